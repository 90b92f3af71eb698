/**
 * Ends the nodes whose lease is over, whichever workspace they belong to. Nearly every command does this first, so no
 * process has to stay resident.
 *
 * A node is ended by an ordinary stop, under its lock and after a second look. So a command that is killed meanwhile leaves
 * what a killed stop leaves, and the next command goes on. A node that another command works on is skipped.
 *
 * @module
 */
import { AT_ONCE, expiry, Gate } from "../async.ts";
import { TombstoneError } from "../errors.ts";
import { systemError } from "../os/errno.ts";
import { dropLeases, type LeaseEntry } from "../state/leases.ts";
import { isLocked } from "../state/lock.ts";
import { type NodeDir, projectOf } from "../state/node_dir.ts";
import { recordOf } from "../state/record.ts";
import { describeOwnerNode } from "./claims.ts";
import { isGone } from "./gone_directory.ts";
import { findMain } from "./liveness.ts";
import { type Over, overByInfo, overByTombstone } from "./lease.ts";
import type { Reporter } from "./reporter.ts";
import { lookAt, type Seen } from "./state.ts";
import { stop } from "./stop.ts";

/** A node whose lease was over, and that was ended. */
export interface EndedLease extends Over {
  /** The node. */
  dir: NodeDir;
  /** Processes terminated; none if only files of it were left. */
  pids: number[];
  /** Those of them that did not exit when asked, and were killed. */
  killed: number[];
}

/** How leases are ended. */
export interface EndLeasesOptions {
  /** Where to report what could not be ended, or not in time. */
  reporter: Reporter;
  /** Whether a node is left alone, since the caller works on it itself. */
  isLeft: (dir: NodeDir, over: Over) => boolean;
  /** Called for each node that was ended, with its name in messages. */
  onEnded: (ended: EndedLease, name: string) => void;
}

/**
 * How long the caller waits for servers to exit, in milliseconds. Those that take longer go on to be terminated while it
 * works, and by the next command.
 */
const LONGEST_MS = 2000;

/**
 * Ends those of these nodes whose lease is over. No failure is the caller's: it is a warning.
 *
 * @param entries the entries of which something may be over
 * @returns whether a node was left alone
 */
export async function endLeases(entries: LeaseEntry[], options: EndLeasesOptions): Promise<boolean> {
  if (entries.length === 0) return false;
  const { reporter } = options;
  const gate = new Gate(AT_ONCE.stop);
  const pending = new Set<string>();
  let isAnyLeft = false;
  const endOne = async (entry: LeaseEntry) => {
    const { dir } = entry;
    const over = judge(entry);
    if (over === null) return;
    if (options.isLeft(dir, over)) {
      isAnyLeft = true;
      return;
    }
    if (isLocked(dir)) return;
    using _place = await gate.enter();
    const name = describeOwnerNode({ dir, project: projectOf(dir) });
    const text = `${name} is still being ended: ${over.reason}`;
    pending.add(text);
    try {
      const ended = await end(entry, over, reporter);
      if (ended !== null) options.onEnded(ended, name);
    } catch (error) {
      const expected = systemError(error);
      if (!(expected instanceof TombstoneError)) throw error;
      if (expected.kind === "lock-timeout") return;
      reporter.warn(`${name} could not be ended, though ${over.reason}: ${expected.message}`);
    } finally {
      pending.delete(text);
    }
  };
  const work = entries.map((entry) =>
    endOne(entry).catch((error) => {
      // Its state cannot be read: the commands on that node tell.
      if (!(systemError(error) instanceof TombstoneError)) throw error;
    })
  );
  await Promise.race([Promise.all(work), expiry(LONGEST_MS)]);
  for (const text of pending) reporter.info(text);
  return isAnyLeft;
}

/** The lease of a node that is over, without its lock. An entry of an older attempt is removed. */
function judge(entry: LeaseEntry): Over | null {
  const seen = lookAt(entry.dir);
  const info = recordOf(seen.nodeFiles.info);
  if (seen.nodeFiles.tombstone.kind === "missing" && info !== null && info.attempt !== entry.attempt) {
    dropLeases(entry.dir, [entry.attempt]);
  }
  return overOf(entry, seen);
}

/** The lease of a node that is over; `null`: none is, or there is nothing to end, or it cannot be judged. */
function overOf(entry: LeaseEntry, { nodeFiles, nodeState }: Seen): Over | null {
  switch (nodeState.kind) {
    case "abandoned":
      return nodeState.over;
    case "running":
    case "died": {
      const { info } = nodeState;
      if (info.attempt !== entry.attempt) return null;
      return overByInfo(info) ?? overByDirectory(entry, findMain(entry.dir, info)?.pid ?? null);
    }
    case "unfinished": {
      const tombstone = recordOf(nodeFiles.tombstone);
      if (nodeState.phase === "live" || tombstone === null) return null;
      // Nothing of a failed start runs, and its reason stays as long as somebody may ask for it.
      const over = nodeState.phase === "failed" ? null : overByTombstone(tombstone);
      return over ?? overByDirectory(entry, null);
    }
    case "stopped":
    case "unrecorded":
    case "unreadable":
    case "foreign":
      return null;
  }
}

function overByDirectory(entry: LeaseEntry, pid: number | null): Over | null {
  return isGone(entry, pid) ? { lease: "directory", reason: `its directory ${entry.directory} is gone` } : null;
}

async function end(entry: LeaseEntry, over: Over, reporter: Reporter): Promise<EndedLease | null> {
  const { dir } = entry;
  let isOver = false;
  const { pids, killed, recovered } = await stop(dir, {
    lockTimeoutMs: 0,
    foreign: "refuse",
    reporter: quietly(reporter),
    patience: "rest",
    when: (seen) => isOver = overOf(entry, seen) !== null,
  });
  if (isOver) dropLeases(dir, [entry.attempt]);
  return isOver ? { dir, ...over, pids: recovered?.pids ?? pids, killed: recovered?.killed ?? killed } : null;
}

/** What is said about a node that the user has not named is for `--verbose`. */
function quietly(reporter: Reporter): Reporter {
  return {
    warn: (text) => reporter.debug(text),
    error: (error) => reporter.debug(error.message),
    info: (text) => reporter.debug(text),
    debug: (text) => reporter.debug(text),
    reached() {},
    wait: () => ({ update() {}, [Symbol.dispose]() {} }),
    recovered() {},
  };
}

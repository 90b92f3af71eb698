/**
 * Ends the nodes whose lease is over, whichever workspace they belong to. Every command that works on nodes does this
 * first, so nothing has to stay resident.
 *
 * The look costs a small file and a look at a directory for each node that runs. A node is ended by an ordinary stop, under
 * its lock and after a second look, so a command that is killed meanwhile leaves what a killed stop leaves, and the next
 * command goes on. A node that somebody works on is passed over.
 *
 * @module
 */
import { AT_ONCE, Gate } from "../async.ts";
import { TombstoneError } from "../errors.ts";
import { systemError } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { dropLeases, type LeaseEntry, listLeases } from "../state/leases.ts";
import { isLocked } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { recordOf } from "../state/record.ts";
import { expiry } from "../async.ts";
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

/** Who is told what. */
export interface LeaseListener {
  /** Whether a node is left to somebody else. */
  isLeft(dir: NodeDir, over: Over): boolean;
  /** A node is about to be ended. */
  onOver(dir: NodeDir, over: Over): void;
  /** It has been ended; `null`: somebody else works on it, or it was no longer over. */
  onEnded(dir: NodeDir, ended: EndedLease | null): void;
  /** It could not be ended. */
  onFailed(dir: NodeDir, over: Over, error: TombstoneError): void;
}

/** How long a file system may take to tell whether a directory is there; one that does not answer tells nothing. */
const ANSWER_MS = 500;

/** Ends what is over. A node that cannot be read or ended does not keep the others from it. */
export async function endLeases(stateDir: string, reporter: Reporter, listener: LeaseListener): Promise<void> {
  const late = expiry(ANSWER_MS);
  const gate = new Gate(AT_ONCE.stop);
  await Promise.all(
    listLeases(stateDir).map(async (entry) => {
      const over = await orNull(() => judge(stateDir, entry, late));
      if (over === null || listener.isLeft(entry.dir, over)) return;
      if (await orNull(() => isLocked(entry.dir)) !== false) return;
      using _place = await gate.enter();
      listener.onOver(entry.dir, over);
      try {
        listener.onEnded(entry.dir, await end(entry, over, reporter));
      } catch (error) {
        const expected = systemError(error);
        if (!(expected instanceof TombstoneError)) throw error;
        if (expected.kind === "lock-timeout") listener.onEnded(entry.dir, null);
        else listener.onFailed(entry.dir, over, expected);
      }
    }),
  );
}

/** The result; `null` if the state cannot be read, which the commands on that node tell. */
async function orNull<T>(look: () => T | Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (systemError(error) instanceof TombstoneError) return null;
    throw error;
  }
}

/** The first look, which costs little for a node of which nothing is over. */
async function judge(stateDir: string, entry: LeaseEntry, late: Promise<unknown>): Promise<Over | null> {
  const { dir, attempt, directory, hasMore } = entry;
  const hasTombstone = lstatOrNull(dir.starting) !== null;
  if (!hasTombstone && lstatOrNull(dir.info) === null) {
    dropLeases(stateDir, [attempt]);
    return null;
  }
  if (!hasMore && (directory === null || !await isMissing(directory, late))) return null;
  const seen = lookAt(dir);
  const info = recordOf(seen.nodeFiles.info);
  if (seen.nodeFiles.tombstone.kind === "missing" && info !== null && info.attempt !== attempt) {
    dropLeases(stateDir, [attempt]);
  }
  return overOf(entry, seen);
}

/** Whether nothing is at a path, if the file system says so in time: that of a server which is down may never. */
async function isMissing(path: string, late: Promise<unknown>): Promise<boolean> {
  const look = Deno.lstat(path).then(() => false, (error) => error instanceof Deno.errors.NotFound);
  return await Promise.race([look, late]) === true;
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
      if (nodeState.phase !== "interrupted" || tombstone === null) return null;
      return overByTombstone(tombstone) ?? overByDirectory(entry, null);
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
  const { stopped, pids, killed, recovered } = await stop(dir, {
    lockTimeoutMs: 0,
    foreign: "refuse",
    reporter: quietly(reporter),
    patience: "rest",
    when: (seen) => overOf(entry, seen) !== null,
  });
  if (!stopped && recovered === null) return null;
  return { dir, ...over, pids: recovered?.pids ?? pids, killed: recovered?.killed ?? killed };
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

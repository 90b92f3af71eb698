/**
 * Whether what a record names still lives: the main process, the starter, the owner of a run.
 *
 * A pid of another pid namespace means nothing here and is never looked up. What shows from here whether such a tree lives is
 * that somebody still has the node's log open, on which each server is launched.
 *
 * @module
 */
import { live } from "../os/scan.ts";
import { isAlive, system } from "../os/system.ts";
import type { ProcessRow, Scan } from "../os/types.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import { type Elsewhere, hasOtherClock, here, isDated, type Origin, relate } from "../state/origin.ts";
import type { NodeInfo, RunOwner } from "../state/node_info.ts";
import type { Tombstone } from "../state/tombstone.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { sleep } from "../timers.ts";
import { inodeOf } from "../state/durable.ts";
import { readLaunchRecords } from "../state/launch_record.ts";

/**
 * The live main process of `node.info`, or `null`. By its start time; where none was recorded, or by another clock, by
 * what {@linkcode findUndated} goes by.
 */
export function findMain(dir: NodeDir, info: NodeInfo, scan: Scan = live): ProcessRow | null {
  if (relate(info) !== "same-boot") return null;
  if (info.start_time !== null && isDated(info)) return scan.find({ pid: info.pid, startTime: info.start_time });
  return findUndated(dir, info.pid, info, scan);
}

/**
 * A process of this number that proves without its start time that it is the node's: by its environment; and where the
 * start time was told by another clock, by leading a session and writing to this node's log, for only the launcher
 * brings that about.
 */
export function findUndated(
  dir: NodeDir,
  pid: number,
  record: Origin & { attempt: string | null },
  scan: Scan = live,
): ProcessRow | null {
  const row = scan.read(pid);
  if (row === null || !isAlive(row) || record.attempt === null) return null;
  if (scan.environment(pid, ATTEMPT_VARIABLE) === record.attempt) return row;
  return hasOtherClock(record) && row.sid === pid && system.processes.writesTo(pid, (path) => isLogOf(dir, path))
    ? row
    : null;
}

/** In words, why a node without a {@linkcode findMain} cannot be taken for dead; `null`: it is. */
export function whyNotGoneHere(dir: NodeDir, info: NodeInfo, scan: Scan): string | null {
  if (relate(info) === "other-namespace") return whyNotDead(dir, info, scan);
  if (relate(info) !== "same-boot" || !hasOtherClock(info)) return null;
  const row = scan.read(info.pid); // numbers are the same in every time namespace
  return row === null || !isAlive(row) ? null : whyNotDead(dir, info, scan);
}

/** Whether a starter or run of this boot and pid namespace goes on. It is pid 1 where it is a container's entry point. */
export function isAtWork(pid: number, startTime: number, scan: Scan): boolean {
  const row = Number.isInteger(pid) && pid > 0 ? scan.read(pid) : null;
  return row !== null && isAlive(row) && system.processes.sameStart(row.startTime, startTime);
}

/** Whether the run of a node goes on; where start times cannot be compared, whoever has its number is taken for it. */
export function isRunLive(run: RunOwner, info: NodeInfo, scan: Scan = live): boolean {
  return hasOtherClock(info) ? scan.read(run.pid) !== null : isAtWork(run.pid, run.start_time, scan);
}

/** What an attempt that cannot be looked at from here has left to judge it by. */
interface Traces {
  /** Attempts whose processes may be visible from here: those of a namespace inside this one are. */
  attempts: string[];
  /** Its network namespace; `null` if unknown. */
  network: string | null;
  /** Its port; 0: unknown or none. */
  port: number;
  /** Inode that the log must have; `"any"`: not recorded yet. */
  log: number | "any";
  /** Whether a process of its own may live that has given its output up. */
  mayHaveLetGo: boolean;
}

/**
 * In words, why an attempt of another namespace cannot be taken for dead; `null`: nothing of it lives, since nobody has
 * the log open that its tree inherited, and nobody listens on its port. In another network namespace, that port cannot
 * be seen, and the log alone decides.
 */
function whyNotGone(dir: NodeDir, traces: Traces, scan: Scan): string | null {
  const inode = inodeOf(dir.log);
  if (inode === null || traces.log !== "any" && traces.log !== inode) {
    return "its log has been replaced, so nothing tells from here whether it still runs";
  }
  const visible = scan.list(ATTEMPT_VARIABLE)
    .find((row) => isAlive(row) && row.value !== null && traces.attempts.includes(row.value));
  if (visible !== undefined) return `it still runs there, seen from here as pid ${visible.pid}`;
  const hasWriter = system.files.hasWriter(dir.log);
  if (hasWriter === null) return "this system does not tell whether its log is still open there";
  if (hasWriter) return "its log is still held open there";
  const canSeePort = traces.network !== null && traces.network === here().network_namespace;
  if (canSeePort && traces.port !== 0 && system.sockets?.isTaken(traces.port) !== false) {
    return `somebody still listens on its port ${traces.port}`;
  }
  if (traces.mayHaveLetGo && !(canSeePort && traces.port !== 0)) {
    return "it does not write to its log, so nothing tells from here whether it still runs";
  }
  return null;
}

/** Inode of the log, if this process writes to it, for {@linkcode NodeInfo.held_log}. */
export function heldLog(dir: NodeDir, pid: number): number | null {
  if (here().pid_namespace === null || !system.processes.writesTo(pid, (path) => path === dir.log)) return null;
  return inodeOf(dir.log);
}

/** In words, why the node of a commit record of another namespace cannot be taken for dead; `null`: it is. */
function whyNotDead(dir: NodeDir, info: NodeInfo, scan: Scan): string | null {
  // Who had let go of the log already when it was ready has shown nothing that could be missing now.
  if (info.held_log === null) return "it does not write to its log, so nothing tells from here whether it still runs";
  const attempts = info.attempt === null ? [] : [info.attempt];
  return whyNotGone(dir, {
    attempts,
    network: info.network_namespace,
    port: info.port,
    log: info.held_log,
    mayHaveLetGo: false,
  }, scan);
}

/** The same for a start of another namespace that has not finished. */
export function whyNotInterrupted(dir: NodeDir, tombstone: Tombstone, scan: Scan): string | null {
  if (tombstone.failed !== null) return null; // nothing of it was left then
  const isLaunched = readLaunchRecords(dir).some(({ attempt }) => attempt === tombstone.attempt);
  // The log is made before the launcher is, so without both there is nobody yet.
  if (!isLaunched && inodeOf(dir.log) === null) return null;
  return whyNotGone(dir, {
    attempts: [tombstone.attempt],
    network: tombstone.network_namespace,
    port: tombstone.port_request ?? 0,
    log: "any",
    mayHaveLetGo: isLaunched && tombstone.pid_file !== null,
  }, scan);
}

/** The same for an attempt that was taken over from another namespace and perhaps not recovered. */
export function whyNotRecovered(dir: NodeDir, tombstone: Tombstone, scan: Scan): string | null {
  const { elsewhere } = tombstone;
  if (elsewhere === null || elsewhere.pid_namespace === here().pid_namespace) return null;
  const attempts = readLaunchRecords(dir).map(({ attempt }) => attempt);
  if (attempts.length === 0 && inodeOf(dir.log) === null) return null;
  return whyNotGone(dir, {
    attempts,
    network: elsewhere.network_namespace,
    port: 0,
    log: "any",
    mayHaveLetGo: attempts.length > 0 && tombstone.older_pid_files.length > 0,
  }, scan);
}

/** How long a launcher of an attempt that was just taken over may take to find that out, in milliseconds. */
const LATE_MS = 2000;

/**
 * Insists that nothing of an attempt of another namespace lives, after its tombstone was taken over: a launcher that came
 * too late for that ends by itself, one that came earlier has opened the log before.
 *
 * @throws {TombstoneError} somebody does
 */
export async function requireGone(dir: NodeDir, why: () => string | null): Promise<void> {
  const deadline = performance.now() + LATE_MS;
  for (let reason = why(); reason !== null; reason = why()) {
    if (performance.now() > deadline) throw foreignError(dir, "recover", `${OTHER_NAMESPACE}, and ${reason}`);
    await sleep(10);
  }
}

/** In words, that a record is of another pid namespace. */
export const OTHER_NAMESPACE = "it was started in another pid namespace (sandbox, container)";

/** The error for a node that cannot be judged from here. */
export function foreignError(dir: NodeDir, action: string, reason: string): TombstoneError {
  const command = action === "recover" ? "sweep" : action;
  return tombstoneError(`Cannot ${action} "${dir.node}": ${reason}, so its processes cannot be judged`, {
    kind: "foreign-state",
    hint:
      `run it where it was started, or forget that node with tombstone ${command} ${dir.node} --workspace ${dir.workspace} --force`,
    details: { workspace: dir.workspace, node: dir.node },
  });
}

/** What a tombstone must remember of older attempts of other namespaces, so that nobody takes them for dead too early. */
export function elsewhereOf(tombstone: Tombstone | null, info: NodeInfo | null): Elsewhere | null {
  for (const record of [tombstone, info]) {
    if (record === null || relate(record) !== "other-namespace") continue;
    return { pid_namespace: record.pid_namespace, network_namespace: record.network_namespace };
  }
  const before = tombstone?.elsewhere ?? null;
  return before === null || before.pid_namespace === here().pid_namespace ? null : before;
}

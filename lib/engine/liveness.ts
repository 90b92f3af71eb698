/**
 * Whether the processes that a record names are still alive: the main process, the starter, the owner of a run.
 *
 * A pid of another pid namespace means nothing here and is never looked up. What can be seen from here is whether some
 * process still has the node's log open: each server is launched with it.
 *
 * @module
 */
import { fixedPort } from "../spec/port_request.ts";
import { live } from "../os/scan.ts";
import { system } from "../os/system.ts";
import type { ProcessRow } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import { type Elsewhere, hasOtherClock, here, isDated, type Origin, relate } from "../state/origin.ts";
import type { NodeInfo, RunOwner } from "../state/node_info.ts";
import type { Tombstone } from "../state/tombstone.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { sleep } from "../async.ts";
import { inodeOf } from "../state/durable.ts";
import { readLaunchRecords } from "../state/launch_record.ts";

/**
 * The live main process of `node.info`, or `null`. It is identified by its start time; if none was recorded, or by
 * another clock, as {@linkcode findUndated} does.
 */
export function findMain(dir: NodeDir, info: NodeInfo, scan: Scan = live): ProcessRow | null {
  if (relate(info) !== "same-boot") return null;
  if (info.start_time !== null && isDated(info)) return scan.find({ pid: info.pid, startTime: info.start_time });
  return findUndated(dir, info.pid, info, scan);
}

/**
 * The process with this pid, if something other than its start time proves that it belongs to the node: its
 * environment; or, if another clock recorded the start time, that it leads its session and writes to this node's log.
 * Only the launcher sets that up.
 */
export function findUndated(
  dir: NodeDir,
  pid: number,
  record: Origin & { attempt: string | null },
  scan: Scan = live,
): ProcessRow | null {
  const row = scan.read(pid);
  if (row === null || !row.isAlive || record.attempt === null) return null;
  if (scan.environment(pid, ATTEMPT_VARIABLE) === record.attempt) return row;
  return hasOtherClock(record) && system.processes.isLedBy(row, pid) &&
      system.processes.writesTo(pid, (path) => isLogOf(dir, path))
    ? row
    : null;
}

/** The reason, in words, why a node without a visible main process may still be alive; `null`: it is dead. */
export function whyNotGoneHere(dir: NodeDir, info: NodeInfo, scan: Scan): string | null {
  if (relate(info) === "other-namespace") return whyNotDead(dir, info, scan);
  if (relate(info) !== "same-boot" || !hasOtherClock(info)) return null;
  const row = scan.read(info.pid); // pids are the same in every time namespace
  return row === null || !row.isAlive ? null : whyNotDead(dir, info, scan);
}

/** Whether a starter or run of this boot and pid namespace is alive. It may be pid 1, the entry point of a container. */
export function isAtWork(pid: number, startTime: number, scan: Scan): boolean {
  const row = Number.isInteger(pid) && pid > 0 ? scan.read(pid) : null;
  return row !== null && row.isAlive && system.processes.sameStart(row.startTime, startTime);
}

/** Whether the run of a node is alive. If start times cannot be compared, any process with its pid counts. */
export function isRunLive(run: RunOwner, info: NodeInfo, scan: Scan = live): boolean {
  return hasOtherClock(info) ? scan.read(run.pid) !== null : isAtWork(run.pid, run.start_time, scan);
}

/** Traces of an attempt whose processes cannot be seen from here. */
interface Traces {
  /** Its attempts: processes of a pid namespace inside this one can be seen. */
  attempts: string[];
  /** Its network namespace; `null` if unknown. */
  network: string | null;
  /** Its port; 0: unknown or none. */
  port: number;
  /** Inode that the log must have; `"any"`: not recorded yet. */
  log: number | "any";
  /** Whether one of its processes may be alive without the log open. */
  mayHaveLetGo: boolean;
}

/**
 * The reason, in words, why an attempt of another namespace may still be alive. `null`: it is dead, since no process
 * has the log open that its tree inherited, and none listens on its port. If the port is in another network namespace,
 * only the log decides.
 */
function whyNotGone(dir: NodeDir, traces: Traces, scan: Scan): string | null {
  const inode = inodeOf(dir.log);
  if (inode === null || traces.log !== "any" && traces.log !== inode) {
    return "its log has been replaced, so nothing tells from here whether it still runs";
  }
  const visible = scan.list(ATTEMPT_VARIABLE)
    .find((row) => row.isAlive && row.value !== null && traces.attempts.includes(row.value));
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

/** Inode of the log if this process has it open for writing, for {@linkcode NodeInfo.held_log}. */
export function heldLog(dir: NodeDir, pid: number): number | null {
  if (here().pid_namespace === null || !system.processes.writesTo(pid, (path) => path === dir.log)) return null;
  return inodeOf(dir.log);
}

/** The reason, in words, why a node that was committed in another namespace may still be alive; `null`: it is dead. */
function whyNotDead(dir: NodeDir, info: NodeInfo, scan: Scan): string | null {
  // It had closed the log before it was ready, so a closed log says nothing now.
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

/** The same for an unfinished start of another namespace. */
export function whyNotInterrupted(dir: NodeDir, tombstone: Tombstone, scan: Scan): string | null {
  if (tombstone.failed !== null) return null; // nothing of it was left then
  const isLaunched = readLaunchRecords(dir).some(({ attempt }) => attempt === tombstone.attempt);
  // The log is created before the launcher runs, so without a log and a launch record nothing was launched.
  if (!isLaunched && inodeOf(dir.log) === null) return null;
  return whyNotGone(dir, {
    attempts: [tombstone.attempt],
    network: tombstone.network_namespace,
    port: fixedPort(tombstone.port_request) ?? 0,
    log: "any",
    mayHaveLetGo: isLaunched && tombstone.pid_file !== null,
  }, scan);
}

/** The same for an attempt of another namespace that was taken over, and perhaps not recovered yet. */
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

/** How long the launcher of an attempt that was taken over may take to notice and exit, in milliseconds. */
const LATE_MS = 2000;

/**
 * Requires that nothing of an attempt of another namespace is alive, after its tombstone was taken over. A launcher that
 * reads the new tombstone exits by itself; one that read the old one has the log open, and is seen.
 *
 * @throws {TombstoneError} something is
 */
export async function requireGone(dir: NodeDir, why: () => string | null): Promise<void> {
  const deadline = performance.now() + LATE_MS;
  for (let reason = why(); reason !== null; reason = why()) {
    if (performance.now() > deadline) throw foreignError(dir, "recover", `${OTHER_NAMESPACE}, and ${reason}`);
    await sleep(10);
  }
}

/** Part of a message: the record is of another pid namespace. */
export const OTHER_NAMESPACE = "it was started in another pid namespace (sandbox, container)";

/** The error for a node whose processes cannot be seen from here. */
export function foreignError(dir: NodeDir, action: string, reason: string): TombstoneError {
  const command = action === "recover" ? "sweep" : action;
  return tombstoneError(`Cannot ${action} "${dir.node}": ${reason}, so its processes cannot be judged`, {
    kind: "foreign-state",
    hint:
      `run it where it was started, or forget that node with tombstone ${command} ${dir.node} --workspace ${dir.workspace} --force`,
    details: { workspace: dir.workspace, node: dir.node },
  });
}

/**
 * What a tombstone must record about older attempts of other namespaces, so that no command considers them dead too
 * early.
 */
export function elsewhereOf(tombstone: Tombstone | null, info: NodeInfo | null): Elsewhere | null {
  for (const record of [tombstone, info]) {
    if (record === null || relate(record) !== "other-namespace") continue;
    return { pid_namespace: record.pid_namespace, network_namespace: record.network_namespace };
  }
  const before = tombstone?.elsewhere ?? null;
  return before === null || before.pid_namespace === here().pid_namespace ? null : before;
}

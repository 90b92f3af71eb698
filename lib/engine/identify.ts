/**
 * Whether the processes that records name still live: the main process, the starter, the owner of a run.
 *
 * @module
 */
import { findLive, isAlive, system } from "../os/system.ts";
import type { ProcessRow } from "../os/types.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import type { Origin } from "../state/origin.ts";
import type { NodeInfo, RunOwner } from "../state/records.ts";
import { hasOtherClock, isDated, relate, whyNotDead } from "./elsewhere.ts";

/**
 * The live main process of `node.info`, or `null`. By its start time; where none was recorded, or by another clock, by
 * what {@linkcode findUndated} goes by.
 */
export function findMain(dir: NodeDir, info: NodeInfo): ProcessRow | null {
  if (relate(info) !== "same-boot") return null;
  if (info.start_time !== null && isDated(info)) return findLive({ pid: info.pid, startTime: info.start_time });
  return findUndated(dir, info.pid, info);
}

/**
 * A process of this number that proves without its start time that it is the node's: by its environment; and where the
 * start time was told by another clock, by leading a session and writing to this node's log, for only the launcher
 * brings that about.
 */
export function findUndated(dir: NodeDir, pid: number, record: Origin & { attempt: string | null }): ProcessRow | null {
  const row = system.processes.read(pid);
  if (row === null || !isAlive(row) || record.attempt === null) return null;
  if (system.processes.environment(pid, ATTEMPT_VARIABLE) === record.attempt) return row;
  return hasOtherClock(record) && row.sid === pid && system.processes.writesTo(pid, (path) => isLogOf(dir, path))
    ? row
    : null;
}

/** In words, why a node without a {@linkcode findMain} cannot be taken for dead; `null`: it is. */
export function whyNotGoneHere(dir: NodeDir, info: NodeInfo): string | null {
  if (relate(info) === "other-namespace") return whyNotDead(dir, info);
  if (relate(info) !== "same-boot" || !hasOtherClock(info)) return null;
  const row = system.processes.read(info.pid); // numbers are the same in every time namespace
  return row === null || !isAlive(row) ? null : whyNotDead(dir, info);
}

/** Whether a starter or run of this boot and pid namespace goes on. It is pid 1 where it is a container's entry point. */
export function isAtWork(pid: number, startTime: number): boolean {
  const row = Number.isInteger(pid) && pid > 0 ? system.processes.read(pid) : null;
  return row !== null && isAlive(row) && system.processes.sameStart(row.startTime, startTime);
}

/** Whether the run of a node goes on; where start times cannot be compared, whoever has its number is taken for it. */
export function isRunLive(run: RunOwner, info: NodeInfo): boolean {
  return hasOtherClock(info) ? system.processes.read(run.pid) !== null : isAtWork(run.pid, run.start_time);
}

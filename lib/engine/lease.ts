/**
 * What a node ends with: a process, an age, a run. Whether one of them is over is told by the same proofs as everything
 * else, and what cannot be told is not over. (Its directory is a lease of every node, too: see gone_directory.ts.)
 *
 * @module
 */
import { live } from "../os/scan.ts";
import { system } from "../os/system.ts";
import type { Scan } from "../os/types.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { isDated, type Origin, relate } from "../state/origin.ts";
import type { Tombstone } from "../state/tombstone.ts";
import { isRunLive } from "./liveness.ts";

/** A lease that is over. */
export interface Over {
  /** Which. */
  lease: "run" | "process" | "age" | "directory";
  /** In words, as part of a message. */
  reason: string;
}

/** The lease of a committed node that is over; `null`: none is. */
export function overByInfo(info: NodeInfo, scan: Scan = live): Over | null {
  if (info.run !== null && !isRunLive(info.run, info, scan)) {
    return { lease: "run", reason: `it was to end with pid ${info.run.pid} (run or up), which is gone` };
  }
  return overByProcess(info, scan) ?? overByAge(info.max_age_ms, ageOf(info));
}

/** The same for a start that was interrupted. */
export function overByTombstone(tombstone: Tombstone, scan: Scan = live): Over | null {
  const age = Date.now() - Date.parse(tombstone.begun_at);
  return overByProcess(tombstone, scan) ?? overByAge(tombstone.max_age_ms, age);
}

/** A process that this one cannot see, of another user or another pid namespace, is not judged. */
function overByProcess(record: Origin & Pick<NodeInfo, "while_process">, scan: Scan): Over | null {
  const { while_process: identity } = record;
  if (identity === null || relate(record) !== "same-boot" || !isDated(record)) return null;
  const row = scan.read(identity.pid);
  const isOver = row === null
    ? system.processes.maySignal(identity.pid)
    : !row.isAlive || !system.processes.sameStart(row.startTime, identity.startTime);
  return isOver ? { lease: "process", reason: `it was to end with pid ${identity.pid}, which is gone` } : null;
}

function overByAge(maxAgeMs: number | null, ageMs: number): Over | null {
  if (maxAgeMs === null || maxAgeMs === 0 || !(ageMs > maxAgeMs)) return null;
  return { lease: "age", reason: `it was to end after ${maxAgeMs / 1000} s` };
}

/**
 * How long a node has been ready, in milliseconds. By the clock since boot, by which its process is dated: that goes on
 * while the machine sleeps, and setting the wall clock does not change it.
 */
function ageOf(info: NodeInfo): number {
  const isByBoot = info.start_time !== null && relate(info) === "same-boot" && isDated(info);
  if (!isByBoot) return Date.now() - Date.parse(info.ready_at ?? "");
  return Date.now() - system.processes.startedAtMs(info.start_time!) - (info.ready_ms ?? 0);
}

/**
 * Where to look for the processes of a node.
 *
 * @module
 */
import { recordOf } from "../state/record.ts";
import { dirname } from "../paths.ts";
import { TombstoneError } from "../errors.ts";
import { live } from "../os/scan.ts";
import { system, UNKNOWN_START } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import { ATTEMPT_VARIABLE, findDaemon, Proven, type Roots } from "../process/tree.ts";
import { readPid } from "../state/port_files.ts";
import { asAttempt } from "../spec/json.ts";
import { type LaunchRecord, readLaunchRecords } from "../state/launch_record.ts";
import { allNodes, isLogOf, type NodeDir } from "../state/node_dir.ts";
import { type NodeInfo, readNodeInfo } from "../state/node_info.ts";
import type { Tombstone } from "../state/tombstone.ts";
import { elsewhereOf, findMain, findUndated, isRunLive } from "./liveness.ts";
import { hasOtherClock, isDated, relate } from "../state/origin.ts";
import type { NodeFiles } from "./state.ts";

/**
 * Where to look for the processes that a node's files name. Those in records of an earlier boot, another host or another
 * pid namespace are left out.
 */
export function rootsOf(dir: NodeDir, nodeFiles: NodeFiles, scan: Scan = live): Roots {
  const attempts = new Set<string>(nodeFiles.unrecorded);
  const processes: Identity[] = [];
  const exclude = new Set<string>();
  const proven: Identity[] = [];
  const tombstone = recordOf(nodeFiles.tombstone);
  const info = recordOf(nodeFiles.info);
  for (const record of [tombstone, info]) {
    if (record === null || relate(record) !== "same-boot") continue;
    for (const name of record.exclude) exclude.add(name);
    if (isDated(record)) proven.push(...record.tree);
    if (record.attempt !== null) attempts.add(record.attempt);
  }
  if (info !== null && relate(info) === "same-boot") {
    processes.push(findMain(dir, info) ?? { pid: info.pid, startTime: UNKNOWN_START });
    // The leftovers of an abandoned test command have the id of its run in their environment.
    if (info.run !== null && !isRunLive(info.run, info)) attempts.add(info.run.id);
    if (info.leader_pid !== info.pid) processes.push({ pid: info.leader_pid, startTime: UNKNOWN_START });
  }
  for (const launch of nodeFiles.launches) {
    if (isOfOtherNamespace(launch, tombstone, info)) continue; // its pids mean nothing here
    attempts.add(launch.attempt);
    if (launch.process === null) continue;
    const isUndated = tombstone?.attempt === launch.attempt && hasOtherClock(tombstone);
    const main = isUndated ? findUndated(dir, launch.process.pid, tombstone) : launch.process;
    processes.push(main ?? { pid: launch.process.pid, startTime: UNKNOWN_START });
    for (const path of tombstone === null ? [] : [tombstone.pid_file, ...tombstone.older_pid_files]) {
      const daemon = path === null ? null : findDaemon(path, launch);
      if (daemon !== null) processes.push(daemon);
    }
  }
  if (nodeFiles.tombstone.kind === "unreadable" || nodeFiles.info.kind === "unreadable") {
    const orphan = findUnrecorded(dir);
    const attempt = orphan === null ? null : asAttempt(system.processes.environment(orphan.pid, ATTEMPT_VARIABLE));
    if (orphan !== null) processes.push(orphan);
    if (attempt !== null) attempts.add(attempt);
  }
  return {
    dir,
    attempts: [...attempts],
    processes,
    exclude: [...exclude],
    proven: new Proven(proven),
    scan,
    others: () => recordedByOthers(dir),
  };
}

/** A launch record does not name the pid namespace that it was written in; the tombstone of its attempt does. */
function isOfOtherNamespace({ attempt }: LaunchRecord, tombstone: Tombstone | null, info: NodeInfo | null): boolean {
  const isOfTombstone = attempt === tombstone?.attempt;
  if (isOfTombstone) return relate(tombstone) === "other-namespace";
  return elsewhereOf(tombstone, info) !== null;
}

/**
 * The server of an unreadable record. The number in `pid` alone proves nothing. A process that leads its session and
 * writes to this node's log is proven: only the launcher sets that up.
 */
function findUnrecorded(dir: NodeDir): Identity | null {
  const pid = readPid(dir.pid, "own");
  if (pid === null) return null;
  const row = system.processes.read(pid);
  if (row === null || !row.isAlive || !system.processes.isLedBy(row, pid)) return null;
  return system.processes.writesTo(pid, (path) => isLogOf(dir, path)) ? { pid, startTime: row.startTime } : null;
}

/** Processes that the other nodes of the state directory have recorded. Nodes with unreadable state are left out. */
export function recordedByOthers(dir: NodeDir): Identity[] {
  const others = Array.from(allNodes(dirname(dirname(dir.path)))).filter(({ path }) => path !== dir.path);
  return others.flatMap((other) => {
    try {
      const info = readNodeInfo(other);
      const main = info.kind === "record" ? findMain(other, info.record) : null;
      const launched = readLaunchRecords(other).map((launch) => launch.process);
      return [main, ...launched].filter((process) => process !== null);
    } catch (error) {
      if (!(error instanceof TombstoneError)) throw error;
      return [];
    }
  });
}

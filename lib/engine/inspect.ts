/**
 * Looking at a node: its files, its processes and, if it runs, its probes.
 *
 * @module
 */
import { findForeignNonce } from "../state/port_files.ts";
import { live } from "../os/scan.ts";
import type { Scan } from "../os/types.ts";
import { Readiness } from "../readiness/wait.ts";
import { isLocked } from "../state/lock.ts";
import { trimLog } from "../state/log.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { emptyReport, type NodeReport, reportOfInfo, reportOfStopped, reportOfTombstone } from "./report.ts";
import { probeTargetOf } from "./reuse.ts";
import { lookAt } from "./state.ts";

/**
 * Reads the state of a node and, if it runs, its probes. Changes nothing, except that it cuts a log that is too long.
 *
 * @param readiness to be kept by a caller that calls this repeatedly for one node
 * @param scan the scan to use
 */
export async function inspect(dir: NodeDir, readiness = new Readiness(), scan: Scan = live): Promise<NodeReport> {
  const { nodeFiles, nodeState } = lookAt(dir, { records: "listed", scan });
  switch (nodeState.kind) {
    case "stopped":
      return reportOfStopped(dir, nodeFiles.entries);
    case "running": {
      const { info } = nodeState;
      trimLog(dir.log, info.log.max_bytes);
      const stale = findForeignNonce(dir, info);
      if (stale !== null) return reportOfInfo(dir, info, "stale", stale);
      const obstacles = await obstaclesOf(dir, info, readiness, scan);
      const reason = describeRunning(dir, info, obstacles);
      return { ...reportOfInfo(dir, info, "running", reason), ready: obstacles.length === 0 };
    }
    case "abandoned": {
      return reportOfInfo(dir, nodeState.info, "interrupted", nodeState.over.reason);
    }
    case "died": {
      const reason = nodeState.rebooted
        ? "the machine was rebooted"
        : nodeState.namespace === "ended"
        ? "the pid namespace (sandbox, container) that it ran in has ended"
        : `pid ${nodeState.info.pid} is gone`;
      return { ...reportOfInfo(dir, nodeState.info, "died", reason), pid: null };
    }
    case "unfinished": {
      if (nodeFiles.tombstone.kind !== "record") {
        const reason = nodeFiles.tombstone.kind === "unreadable" ? `"starting": ${nodeFiles.tombstone.reason}` : null;
        return emptyReport(dir, isLocked(dir) ? "starting" : "interrupted", reason);
      }
      const { record } = nodeFiles.tombstone;
      switch (nodeState.phase) {
        case "live":
          return reportOfTombstone(dir, record, "starting", `pid ${record.starter_pid} is starting it`);
        case "failed":
          return reportOfTombstone(dir, record, "failed", record.failed);
        case "interrupted":
          return reportOfTombstone(dir, record, "interrupted", `its start (pid ${record.starter_pid}) did not finish`);
      }
      break;
    }
    case "unrecorded":
      return emptyReport(dir, "interrupted", "its state was removed, but it still runs");
    case "unreadable":
      return emptyReport(dir, "unknown", `"node.info": ${nodeState.reason}`);
    case "foreign": {
      // A start in another pid namespace holds the lock, which is the same everywhere.
      const isStarting = nodeFiles.tombstone.kind === "record" && isLocked(dir);
      return emptyReport(dir, isStarting ? "starting" : "unknown", nodeState.reason);
    }
  }
}

/** What keeps it from being ready. A node that became ready after the shared scan gets a scan of its own. */
async function obstaclesOf(dir: NodeDir, info: NodeInfo, readiness: Readiness, scan: Scan): Promise<string[]> {
  const obstacles = await readiness.obstacles(info.probes, probeTargetOf(dir, info, scan));
  if (obstacles.length === 0 || !(Date.parse(info.ready_at ?? "") >= (scan.takenAtMs ?? Infinity))) return obstacles;
  return await new Readiness().obstacles(info.probes, probeTargetOf(dir, info));
}

/** In words, what is wrong with a running node; `null` if nothing is. */
function describeRunning(dir: NodeDir, info: NodeInfo, obstacles: string[]): string | null {
  if (info.stop_began_at !== null) return isLocked(dir) ? "it is being stopped" : "a stop of it was interrupted";
  return obstacles.length === 0 ? null : `not ready: ${obstacles.join(", ")}`;
}

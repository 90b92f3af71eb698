/**
 * Looking at a node without its lock, for commands that tell of it.
 *
 * Files and processes cannot be looked at in one moment: a start may commit, or a server be started, between the two,
 * and the look at the processes may be older than the records (see os/snapshot.ts). So that something has ended is said
 * only if, after its process was found gone, the records still name it. (Test: "a node that is started while others are
 * looked at".)
 *
 * @module
 */
import { askSystem } from "../os/system.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { classify, type NodeFiles, type NodeState, readNodeFiles } from "./state.ts";

/** What was seen of a node, and what it means. */
export interface Seen {
  /** Its files. */
  nodeFiles: NodeFiles;
  /** What they mean. */
  nodeState: NodeState;
}

/** Looks at a node that goes on changing. */
const MAX_SCANS = 5;

/**
 * What became of a node. Takes no lock, changes nothing.
 *
 * @param records as for {@linkcode readNodeFiles}; what has ended is looked at again with its records opened
 */
export function lookAt(dir: NodeDir, records: "opened" | "listed" = "opened"): Seen {
  let nodeFiles = readNodeFiles(dir, records);
  let nodeState = classify(nodeFiles);
  for (let look = 1; isEnd(nodeState) && look < MAX_SCANS; look++) {
    using _system = askSystem();
    nodeState = classify(nodeFiles);
    if (!isEnd(nodeState)) break;
    const after = readNodeFiles(dir);
    if (keyOf(after) === keyOf(nodeFiles)) break;
    nodeFiles = after;
    nodeState = classify(nodeFiles);
  }
  return { nodeFiles, nodeState };
}

/** Whether something is said to have ended. */
function isEnd(nodeState: NodeState): boolean {
  switch (nodeState.kind) {
    case "died":
    case "abandoned":
    case "unreadable":
    case "unrecorded":
      return true;
    case "unfinished":
      return nodeState.phase === "interrupted";
    case "running":
    case "stopped":
    case "foreign":
      return false;
  }
}

/** The same for records that name the same processes. */
function keyOf({ tombstone, info, launches, unrecorded }: NodeFiles): string {
  return JSON.stringify([
    tombstone.kind === "record" ? [tombstone.record.attempt, tombstone.record.failed] : tombstone.kind,
    info.kind === "record" ? [info.record.attempt, info.record.pid, info.record.start_time] : info.kind,
    launches.map(({ attempt }) => attempt),
    unrecorded,
  ]);
}

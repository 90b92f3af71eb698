/**
 * The state of a node, from its files and the process table: the recovery table. Changes nothing, takes no lock.
 *
 * Files and processes cannot be read at the same moment: a start may commit, or a server be started, between the two
 * reads, and the scan of the processes may be older than the records (see os/scan.ts). So without the node's lock, a
 * process counts as ended only if the records still name it after it was found gone. (Test: "a node that is started
 * while others are looked at".)
 *
 * @module
 */
import { recordOf } from "../state/record.ts";
import { live } from "../os/scan.ts";
import { requireSight } from "../os/system.ts";
import type { Scan } from "../os/types.ts";
import { findAttempts } from "../process/tree.ts";
import { launchesAmong, type LaunchRecord, readLaunchRecord } from "../state/launch_record.ts";
import { isTemporaryName } from "../state/durable.ts";
import { isLocked } from "../state/lock.ts";
import { entriesOf, existsDir, type NodeDir } from "../state/node_dir.ts";
import { type NodeInfo, readNodeInfo } from "../state/node_info.ts";
import { readTombstone, type Tombstone } from "../state/tombstone.ts";
import type { RecordResult } from "../state/record.ts";
import { findMain, isAtWork, OTHER_NAMESPACE, whyNotGoneHere, whyNotInterrupted, whyNotRecovered } from "./liveness.ts";
import { type Over, overByInfo } from "./lease.ts";
import { hasOtherClock, isDated, relate } from "../state/origin.ts";

/** The files of a node, as they were found. */
export interface NodeFiles {
  /** The node. */
  dir: NodeDir;
  /** Names of all that is in the node's directory. */
  entries: string[];
  /** `starting`. */
  tombstone: RecordResult<Tombstone>;
  /** `node.info`. */
  info: RecordResult<NodeInfo>;
  /** Launchers that have recorded themselves. */
  launches: LaunchRecord[];
  /** Attempts that run although nothing here records them; searched for only if the directory is empty. */
  unrecorded: string[];
}

/** What the files of a node mean: the rows of the recovery table. */
export type NodeState =
  /** Nothing runs, nothing is left. */
  | { kind: "stopped" }
  /** The process of `node.info` is alive. A tombstone of the same attempt only was not removed in time. */
  | { kind: "running"; info: NodeInfo }
  /** The process of `node.info` is alive, but what it was to end with is over. */
  | { kind: "abandoned"; info: NodeInfo; over: Over }
  /** The process of `node.info` is gone; also because of a reboot, or because its pid namespace is gone. */
  | { kind: "died"; info: NodeInfo; rebooted: boolean; namespace: "this" | "ended" }
  /** A start that has not finished: it is in progress (`live`), was interrupted, or failed and was cleaned up. */
  | { kind: "unfinished"; phase: "live" | "interrupted" | "failed" }
  /** Processes run, but their records were removed. */
  | { kind: "unrecorded" }
  /** `node.info` cannot be read, and there is no tombstone. */
  | { kind: "unreadable"; reason: string }
  /** Written on another machine or in another pid namespace, so its processes cannot be seen from here. */
  | { kind: "foreign"; reason: string };

/** How to read a node. */
export interface ReadOptions {
  /**
   * Whether the records are opened even if the directory does not list them. A listing may stop in the middle without an
   * error, so a command that acts on the result opens them (default); for a report on thousands of nodes, the listing is
   * quicker.
   */
  records?: "opened" | "listed";
  /** The scan to use; default {@linkcode live}. */
  scan?: Scan;
}

/** Reads the files of a node. */
export function readNodeFiles(dir: NodeDir, { records = "opened", scan = live }: ReadOptions = {}): NodeFiles {
  requireSight();
  // If a file is listed but missing when it is read, or the other way round, a command is changing the node; the next
  // round shows the result.
  for (let round = 1;; round++) {
    const entries = entriesOf(dir);
    const has = (path: string) => entries.includes(path.slice(dir.path.length + 1));
    const opens = (path: string) => records === "opened" || has(path);
    const tombstone: NodeFiles["tombstone"] = opens(dir.starting) ? readTombstone(dir) : { kind: "missing" };
    const info: NodeFiles["info"] = opens(dir.info) ? readNodeInfo(dir) : { kind: "missing" };
    const launches = launchesAmong(entries).map((attempt) => readLaunchRecord(dir, attempt));
    const isGone = has(dir.starting) !== (tombstone.kind !== "missing") || has(dir.info) !== (info.kind !== "missing");
    const isBare = tombstone.kind === "missing" && info.kind === "missing";
    // A sweep removes node.info last. So a pid without it means that something else removed the record, or that a start
    // has begun since the first round, which the second one then sees.
    const isDoubtful = isGone || isBare && has(dir.pid);
    if (isDoubtful && round < MAX_READS) continue;
    // Every launch has a log, so a directory without one is new, or was removed and made again.
    const unrecorded = entries.every((name) => name === "lock" || isTemporaryName(name)) ? findAttempts(dir, scan) : [];
    const nodeFiles: NodeFiles = { dir, entries, tombstone, info, launches, unrecorded };
    if (!isBare || !has(dir.pid)) return nodeFiles;
    return { ...nodeFiles, info: { kind: "unreadable", reason: "it is missing, though pid is there" } };
  }
}

/** Whether a node exists: it has a directory, or processes whose directory was removed. */
export function isKnown(dir: NodeDir): boolean {
  return existsDir(dir) === "present" || readNodeFiles(dir).unrecorded.length > 0;
}

/** Most rounds of reading files that change meanwhile. */
const MAX_READS = 5;

/** What the files of a node mean. */
export function classify(nodeFiles: NodeFiles, scan: Scan = live): NodeState {
  const { dir, tombstone, info, launches } = nodeFiles;
  const foreign = whyForeign(nodeFiles, scan);
  if (foreign !== null) return { kind: "foreign", reason: foreign };
  const commit = recordOf(info);
  const isCommitted = tombstone.kind === "missing" ||
    (tombstone.kind === "record" && commit !== null && commit.attempt === tombstone.record.attempt);
  if (!isCommitted) return { kind: "unfinished", phase: phaseOf(dir, tombstone, scan) };
  if (commit !== null) {
    if (findMain(dir, commit, scan) !== null) {
      const over = overByInfo(commit, scan);
      return over === null ? { kind: "running", info: commit } : { kind: "abandoned", info: commit, over };
    }
    const relation = relate(commit);
    const namespace = relation === "other-namespace" ? "ended" : "this";
    return { kind: "died", info: commit, rebooted: relation === "earlier-boot", namespace };
  }
  if (info.kind === "unreadable") return { kind: "unreadable", reason: info.reason };
  if (nodeFiles.unrecorded.length > 0) return { kind: "unrecorded" };
  return launches.length > 0 ? { kind: "unfinished", phase: "interrupted" } : { kind: "stopped" };
}

/** The records that could be read, the newer one first. */
export function recordsOf({ tombstone, info }: Pick<NodeFiles, "tombstone" | "info">): (Tombstone | NodeInfo)[] {
  return [recordOf(tombstone), recordOf(info)].filter((record) => record !== null);
}

/** In words, why the recorded processes cannot be seen from here; `null`: they can. */
export function whyForeign({ dir, tombstone, info }: NodeFiles, scan: Scan = live): string | null {
  const records = recordsOf({ tombstone, info });
  if (records.some((record) => relate(record) === "other-host")) return "it was started on another host";
  let reason: string | null = null;
  if (tombstone.kind === "record") {
    reason = relate(tombstone.record) === "other-namespace"
      ? whyNotInterrupted(dir, tombstone.record, scan)
      : relate(tombstone.record) === "same-boot"
      ? whyNotRecovered(dir, tombstone.record, scan)
      : null;
  }
  if (reason !== null) return `${OTHER_NAMESPACE}, and ${reason}`;
  if (info.kind !== "record" || findMain(dir, info.record, scan) !== null) return null;
  reason = whyNotGoneHere(dir, info.record, scan);
  if (reason === null) return null;
  return relate(info.record) === "other-namespace"
    ? `${OTHER_NAMESPACE}, and ${reason}`
    : `it was started in another time namespace, and ${reason}`;
}

function phaseOf(dir: NodeDir, tombstone: RecordResult<Tombstone>, scan: Scan): "live" | "interrupted" | "failed" {
  if (tombstone.kind !== "record") return "interrupted";
  const { starter_pid: pid, starter_start_time: startTime, failed } = tombstone.record;
  if (failed !== null) return "failed";
  const relation = relate(tombstone.record);
  // A starter whose pid cannot be looked up from here is alive if it holds the lock.
  const isElsewhere = relation === "other-namespace" || relation === "same-boot" && hasOtherClock(tombstone.record);
  const isLive = isElsewhere
    ? isLocked(dir)
    : relation === "same-boot" && isDated(tombstone.record) && isAtWork(pid, startTime, scan);
  return isLive ? "live" : "interrupted";
}

/** How far an unfinished start came. */
export function progressOf(dir: NodeDir, nodeFiles: NodeFiles): "before-spawn" | "spawned" | "committed" {
  if (nodeFiles.tombstone.kind === "record") {
    const attempt = nodeFiles.tombstone.record.attempt;
    if (nodeFiles.info.kind === "record" && nodeFiles.info.record.attempt === attempt) return "committed";
    return readLaunchRecord(dir, attempt).process === null ? "before-spawn" : "spawned";
  }
  const hasRun = nodeFiles.launches.some((launch) => launch.process !== null) || nodeFiles.unrecorded.length > 0;
  if (hasRun) return "spawned";
  return nodeFiles.info.kind === "missing" ? "before-spawn" : "committed";
}

/** The files of a node, and its state. */
export interface Seen {
  /** Its files. */
  nodeFiles: NodeFiles;
  /** Its state. */
  nodeState: NodeState;
}

/** Most scans of a node that changes meanwhile. */
const MAX_SCANS = 5;

/**
 * The state of a node. Takes no lock, changes nothing.
 *
 * @param options as for {@linkcode readNodeFiles}; a node that seems to have ended is read again with its records opened
 */
export function lookAt(dir: NodeDir, options: ReadOptions = {}): Seen {
  let nodeFiles = readNodeFiles(dir, options);
  let nodeState = classify(nodeFiles, options.scan);
  for (let round = 1; isEnd(nodeState) && round < MAX_SCANS; round++) {
    nodeState = classify(nodeFiles);
    if (!isEnd(nodeState)) break;
    const after = readNodeFiles(dir);
    if (keyOf(after) === keyOf(nodeFiles)) break;
    nodeFiles = after;
    nodeState = classify(nodeFiles);
  }
  return { nodeFiles, nodeState };
}

/** Whether this state says that something has ended. */
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

/** Equal for records that name the same processes. */
function keyOf({ tombstone, info, launches, unrecorded }: NodeFiles): string {
  return JSON.stringify([
    tombstone.kind === "record" ? [tombstone.record.attempt, tombstone.record.failed] : tombstone.kind,
    info.kind === "record" ? [info.record.attempt, info.record.pid, info.record.start_time] : info.kind,
    launches.map(({ attempt }) => attempt),
    unrecorded,
  ]);
}

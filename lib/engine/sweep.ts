/**
 * The sweep of a node: terminates the processes and removes the files that a dead start or server left, the tombstone
 * last.
 *
 * @module
 */
import { live } from "../os/scan.ts";
import type { Scan } from "../os/types.ts";
import type { NodeOptions, StopOptions } from "./request.ts";
import { removeEntry, syncDir } from "../state/durable.ts";
import { acquireLock, type Lock } from "../state/lock.ts";
import { trimLog } from "../state/log.ts";
import { isReaderName } from "../state/log_unread.ts";
import { dropLeases } from "../state/leases.ts";
import { makeNodeDir, type NodeDir } from "../state/node_dir.ts";
import { RECORDED } from "../state/recorded.ts";
import { foreignError } from "./liveness.ts";
import type { Ending } from "./terminate.ts";
import { classify, isKnown, lookAt, type NodeFiles, type NodeState, readNodeFiles, recordsOf } from "./state.ts";
import { previewRecovery, recover, takeOver } from "./recover.ts";
import { reached, type Recovered } from "./reporter.ts";
import { removeLeftovers } from "./sweep_files.ts";

/** What {@linkcode sweep} did, or with a dry run would do. */
export interface Swept {
  /** `swept`: something was cleaned up; `nothing`: there was nothing; `running`: the node runs and is left alone. */
  action: "swept" | "nothing" | "running";
  /** What was undone; `null` if nothing. */
  recovered: Recovered | null;
}

/**
 * Requires records of this machine and pid namespace.
 *
 * @throws {TombstoneError} they are of another one, and `foreign` is not `"force"`
 */
export function refuseForeign(
  dir: NodeDir,
  nodeState: NodeState,
  action: string,
  foreign: "refuse" | "force",
): void {
  if (nodeState.kind === "foreign" && foreign === "refuse") throw foreignError(dir, action, nodeState.reason);
}

/**
 * Terminates and removes what interrupted starts and dead servers left. A running node is left alone.
 *
 * @throws {TombstoneError} as {@linkcode stop}
 */
export async function sweep(dir: NodeDir, options: StopOptions): Promise<Swept> {
  if (!isKnown(dir)) return { action: "nothing", recovered: null };
  using lock = await lockNode(dir, "sweep", options);
  const nodeFiles = readNodeFiles(dir);
  const nodeState = classify(nodeFiles);
  refuseForeign(dir, nodeState, "sweep", options.foreign);
  if (nodeState.kind === "running") {
    await removeLeftovers(dir);
    trimLog(dir.log, nodeState.info.log.max_bytes);
    return { action: "running", recovered: null };
  }
  const hadTombstone = nodeFiles.tombstone.kind !== "missing";
  const recovered = await undo(dir, nodeFiles, nodeState, { lock, ...options });
  return { action: recovered !== null || hadTombstone ? "swept" : "nothing", recovered };
}

/** The lock of a node, for a command that ends or removes. */
export async function lockNode(
  dir: NodeDir,
  action: "stop" | "sweep" | "forget",
  { lockTimeoutMs, reporter }: NodeOptions,
): Promise<Lock> {
  const lock = await acquireLock(dir, {
    action,
    make: () => makeNodeDir(dir),
    timeoutMs: lockTimeoutMs,
    onWait: (holder) => reporter.info(`waiting for ${holder}`),
  });
  reached("locked", reporter);
  return lock;
}

/** Whether {@linkcode sweep} has anything to do. Takes no lock and changes nothing. */
export function hasWork(dir: NodeDir, scan: Scan): "running" | "nothing" | "work" {
  const { nodeFiles, nodeState } = lookAt(dir, { records: "listed", scan });
  if (nodeState.kind === "unrecorded") return "work";
  if (nodeFiles.entries.some((name) => name !== "lock" && !isPermanent(name, nodeState))) return "work";
  return nodeState.kind === "running" ? "running" : "nothing";
}

/**
 * Whether an entry of a node's directory stays: logs, positions of their readers, recorded settings, and the records of
 * a running node.
 */
function isPermanent(name: string, nodeState: NodeState): boolean {
  if (name === RECORDED || /^server\.log(\.\d+)?$/.test(name) || isReaderName(name)) return true;
  return nodeState.kind === "running" && ["node.info", "pid", "port"].includes(name);
}

/** What {@linkcode sweep} would do now. */
export async function previewSweep(dir: NodeDir, scan: Scan = live): Promise<Swept> {
  if (!isKnown(dir)) return { action: "nothing", recovered: null };
  const { nodeFiles, nodeState } = lookAt(dir);
  if (nodeState.kind === "running") return { action: "running", recovered: null };
  const recovered = await previewRecovery(dir, { nodeFiles, nodeState, scan });
  return { action: recovered === null ? "nothing" : "swept", recovered };
}

/** Takes over the tombstone, recovers, and removes the tombstone last: a kill at any point leaves it in place. */
export async function undo(
  dir: NodeDir,
  nodeFiles: NodeFiles,
  nodeState: NodeState,
  { lock, reporter, scan, patience }: Omit<Ending, "marking">,
): Promise<Recovered | null> {
  if (nodeState.kind === "unfinished") {
    await takeOver(dir, nodeFiles);
    reached("tombstone-written", reporter);
  }
  const { recovered } = await recover(dir, nodeFiles, nodeState, { lock, reporter, scan, patience });
  reached("recovered", reporter);
  lock.insist();
  removeEntry(dir.starting);
  await syncDir(dir.path);
  // Last, so that a command in another workspace finds what a sweep that is killed leaves.
  dropLeases(dir, recordsOf(nodeFiles).map(({ attempt }) => attempt));
  reached("tombstone-removed", reporter);
  return recovered;
}

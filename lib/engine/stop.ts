/**
 * Stopping and sweeping a node.
 *
 * @module
 */
import { tombstoneError } from "../errors.ts";
import { sleep } from "../timers.ts";
import { describeOwner, findOccupant, type Owner } from "../process/listeners.ts";
import { removeEntry, syncDir } from "../state/durable.ts";
import { acquireLock, type Lock } from "../state/lock.ts";
import { trimLog } from "../state/log.ts";
import { makeNodeDir, type NodeDir } from "../state/node_dir.ts";
import { RECORDED } from "../state/port_files.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { declaredFiles } from "../spec/recorded_settings.ts";
import { terminateGracefully } from "./terminate.ts";
import { foreignError } from "./liveness.ts";
import { classify, lookAt, type NodeFiles, type NodeState, readNodeFiles } from "./state.ts";
import { tellWriters } from "./leftovers.ts";
import { previewRecovery, recover, takeOver } from "./recover.ts";
import { reached, type Recovered, type Reporter } from "./reporter.ts";
import { removeLeftovers, sweepFiles } from "./sweep_files.ts";

/** Options of {@linkcode stop} and {@linkcode sweep}. */
export interface StopOptions {
  /** How long to wait for the lock, in milliseconds. */
  lockTimeoutMs: number;
  /** What to do with records of another machine or pid namespace. */
  foreign: "refuse" | "force";
  /** Where to report. */
  reporter: Reporter;
  /** Stops a running node only if it belongs to the run of this id; default: any. */
  ofRun?: string;
  /** Stops a running node only if it still is this attempt; default: any. */
  ofAttempt?: string | null;
}

/** What {@linkcode stop} did. */
export interface Stopped {
  /** Whether a running node was stopped by this call. */
  stopped: boolean;
  /** Processes ended. */
  pids: number[];
  /** Those of them that did not end when asked, and were killed. */
  killed: number[];
  /** What a dead start or server had left; `null` if nothing. */
  recovered: Recovered | null;
}

/** What {@linkcode sweep} did, or with a dry run would do. */
export interface Swept {
  /** `swept`: something was undone; `nothing`: there was nothing; `running`: the node lives and is left alone. */
  action: "swept" | "nothing" | "running";
  /** What was undone; `null` if nothing. */
  recovered: Recovered | null;
}

/**
 * Insists on records of this machine and pid namespace.
 *
 * @throws {TombstoneError} they are of another, and force was not asked for
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
 * Stops a node and sweeps it. Not running is no error. Killed half-way, it leaves either a live main process
 * (still running) or a dead one (died): the next command can judge both.
 *
 * @throws {TombstoneError} it could not be stopped, its port is still taken, or the lock or state refuse
 */
export async function stop(dir: NodeDir, options: StopOptions): Promise<Stopped> {
  using lock = await acquireLock(dir, {
    action: "stop",
    make: () => makeNodeDir(dir),
    timeoutMs: options.lockTimeoutMs,
    onWait: (holder) => options.reporter.info(`waiting for ${holder}`),
  });
  reached("locked", options.reporter);
  const nodeFiles = readNodeFiles(dir);
  const nodeState = classify(nodeFiles);
  refuseForeign(dir, nodeState, "stop", options.foreign);
  if (nodeState.kind !== "running") {
    const recovered = await undo(dir, nodeFiles, nodeState, { lock, reporter: options.reporter });
    return { stopped: false, pids: [], killed: [], recovered };
  }
  const { ofRun, ofAttempt } = options;
  const isAnother = ofAttempt !== undefined && ofAttempt !== nodeState.info.attempt;
  if (isAnother || (ofRun !== undefined && ofRun !== nodeState.info.run?.id)) {
    return { stopped: false, pids: [], killed: [], recovered: null };
  }
  const how = { lock, reporter: options.reporter, marking: "always" } as const;
  const { pids, killed } = await terminateGracefully(dir, nodeFiles, nodeState.info, how);
  reached("ended", options.reporter);
  lock.insist();
  tellWriters(dir, nodeState.info.exclude, options.reporter);
  await sweepFiles(dir, declaredFiles(nodeState.info), {
    onKept: (message) => options.reporter.warn(message),
    insist: lock.insist,
  });
  reached("swept", options.reporter);
  lock.insist();
  removeEntry(dir.starting);
  await syncDir(dir.path);
  await requireFreePort(dir, nodeState.info);
  return { stopped: true, pids, killed, recovered: null };
}

/**
 * Reaps and removes what interrupted starts and dead servers left. A running node is left alone.
 *
 * @throws {TombstoneError} as {@linkcode stop}
 */
export async function sweep(dir: NodeDir, options: StopOptions): Promise<Swept> {
  using lock = await acquireLock(dir, {
    action: "sweep",
    make: () => makeNodeDir(dir),
    timeoutMs: options.lockTimeoutMs,
    onWait: (holder) => options.reporter.info(`waiting for ${holder}`),
  });
  reached("locked", options.reporter);
  const nodeFiles = readNodeFiles(dir);
  const nodeState = classify(nodeFiles);
  refuseForeign(dir, nodeState, "sweep", options.foreign);
  if (nodeState.kind === "running") {
    await removeLeftovers(dir);
    trimLog(dir.log, nodeState.info.log.max_bytes);
    return { action: "running", recovered: null };
  }
  const hadTombstone = nodeFiles.tombstone.kind !== "missing";
  const recovered = await undo(dir, nodeFiles, nodeState, { lock, reporter: options.reporter });
  return { action: recovered !== null || hadTombstone ? "swept" : "nothing", recovered };
}

/** Whether there is anything for {@linkcode sweep} to do; by a look that changes nothing and takes no lock. */
export function hasWork(dir: NodeDir): "running" | "nothing" | "work" {
  const { nodeFiles, nodeState } = lookAt(dir, "listed");
  if (nodeState.kind === "unrecorded") return "work";
  if (nodeFiles.entries.some((name) => name !== "lock" && !isPermanent(name, nodeState))) return "work";
  return nodeState.kind === "running" ? "running" : "nothing";
}

/** Whether an entry of a node's directory may stay as it is: logs, what is kept, and the records of a node that runs. */
function isPermanent(name: string, nodeState: NodeState): boolean {
  if (name === RECORDED || /^server\.log(\.\d+)?$/.test(name)) return true;
  return nodeState.kind === "running" && ["node.info", "pid", "port"].includes(name);
}

/** What {@linkcode sweep} would do now. */
export async function previewSweep(dir: NodeDir): Promise<Swept> {
  const { nodeFiles, nodeState } = lookAt(dir);
  if (nodeState.kind === "running") return { action: "running", recovered: null };
  const recovered = await previewRecovery(dir, nodeFiles, nodeState);
  return { action: recovered === null ? "nothing" : "swept", recovered };
}

/** Takes over, reaps, sweeps, and removes the tombstone last: dying here at any point leaves it in place. */
async function undo(
  dir: NodeDir,
  nodeFiles: NodeFiles,
  nodeState: NodeState,
  { lock, reporter }: { lock: Lock; reporter: Reporter },
): Promise<Recovered | null> {
  if (nodeState.kind === "unfinished") {
    await takeOver(dir, nodeFiles);
    reached("tombstone-written", reporter);
  }
  const { recovered } = await recover(dir, nodeFiles, nodeState, { lock, reporter });
  reached("recovered", reporter);
  lock.insist();
  removeEntry(dir.starting);
  await syncDir(dir.path);
  reached("tombstone-removed", reporter);
  return recovered;
}

/** How long a port may stay taken after the node's last process is gone, in milliseconds. */
const PORT_GRACE_MS = 1000;

/** @throws {TombstoneError} somebody who is not provably the node's still listens on its port */
async function requireFreePort(dir: NodeDir, info: NodeInfo): Promise<void> {
  if (info.port === 0 || info.probes.some((probe) => "any_listener" in probe && probe.any_listener)) return;
  const deadline = performance.now() + PORT_GRACE_MS;
  let owner: Owner | null;
  while ((owner = await findOccupant(info.bind_addr ?? info.host, info.port)) !== null) {
    if (performance.now() >= deadline) {
      throw tombstoneError(
        `Cannot free port ${info.port} of "${dir.node}": ${
          describeOwner(owner)
        } listens on it and is not provably the node's`,
        {
          kind: "stop-failed",
          hint: owner.pid === null ? `ss -ltnp 'sport = :${info.port}'` : `ps -fp ${owner.pid}`,
          details: { port: info.port, owner_pid: owner.pid, owner_command: owner.command },
        },
      );
    }
    await sleep(20);
  }
}

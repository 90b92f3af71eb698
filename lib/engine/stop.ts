/**
 * Stopping a node: its processes end first, then its files go, then its port must be free.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { lockNode, refuseForeign, undo } from "./sweep.ts";
import type { StopOptions } from "./request.ts";
import { tombstoneError } from "../errors.ts";
import { sleep } from "../async.ts";
import { describeOwner, findOccupant, type Owner } from "../process/listeners.ts";
import { removeEntry, syncDir } from "../state/durable.ts";
import { dropLeases } from "../state/leases.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { declaredFiles } from "../spec/settings.ts";
import { keepBeyondStop } from "./commit.ts";
import { terminateGracefully } from "./terminate.ts";
import { classify, isKnown, readNodeFiles } from "./state.ts";
import { tellWriters } from "./leftovers.ts";
import { reached, type Recovered } from "./reporter.ts";
import { sweepFiles } from "./sweep_files.ts";

/** What {@linkcode stop} did. */
export interface Stopped {
  /** Whether a running node was stopped by this call. */
  stopped: boolean;
  /** Processes terminated. */
  pids: number[];
  /** Those of them that did not exit when asked, and were killed. */
  killed: number[];
  /** What was cleaned up after a dead start or server; `null` if nothing. */
  recovered: Recovered | null;
}

/**
 * Stops a node and sweeps it. It is not an error if the node does not run. If it is killed half-way, it leaves either a
 * live main process (running) or a dead one (died), and the next command can handle both.
 *
 * @throws {TombstoneError} a process did not exit, its port is still taken, or the state cannot be locked or changed
 */
export async function stop(dir: NodeDir, options: StopOptions): Promise<Stopped> {
  const nothing: Stopped = { stopped: false, pids: [], killed: [], recovered: null };
  if (!isKnown(dir)) return nothing;
  using lock = await lockNode(dir, "stop", options);
  const nodeFiles = readNodeFiles(dir);
  const nodeState = classify(nodeFiles);
  refuseForeign(dir, nodeState, "stop", options.foreign);
  if (options.when !== undefined && !options.when({ nodeFiles, nodeState })) return nothing;
  if (nodeState.kind !== "running") {
    return { ...nothing, recovered: await undo(dir, nodeFiles, nodeState, { lock, ...options }) };
  }
  const { ofRun, ofAttempt } = options;
  const isAnother = ofAttempt !== undefined && ofAttempt !== nodeState.info.attempt;
  if (isAnother || (ofRun !== undefined && ofRun !== nodeState.info.run?.id)) {
    return nothing;
  }
  const { reporter, scan, patience, hurry } = options;
  const how = { lock, reporter, scan, patience, hurry, marking: "always" } as const;
  const { pids, killed } = await terminateGracefully(dir, nodeFiles, nodeState.info, how);
  reached("ended", options.reporter);
  lock.insist();
  tellWriters(dir, nodeState.info.exclude, options.reporter);
  await keepBeyondStop(dir, nodeState.info, options.reporter);
  lock.insist();
  await sweepFiles(dir, declaredFiles(nodeState.info), {
    onKept: (message) => options.reporter.warn(message),
    insist: lock.insist,
  });
  reached("swept", options.reporter);
  lock.insist();
  removeEntry(dir.starting);
  await syncDir(dir.path);
  dropLeases(dir, [nodeState.info.attempt]);
  await requireFreePort(dir, nodeState.info);
  return { stopped: true, pids, killed, recovered: null };
}

/** How long a port may stay taken after the node's last process is gone, in milliseconds. */
const PORT_GRACE_MS = 1000;

/** @throws {TombstoneError} a process that is not provably the node's still listens on its port */
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
          hint: owner.pid === null ? system.hints.listenersOf(info.port) : system.hints.describeProcess(owner.pid),
          details: { port: info.port, owner_pid: owner.pid, owner_command: owner.command },
        },
      );
    }
    await sleep(20);
  }
}

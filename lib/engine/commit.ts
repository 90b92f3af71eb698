/**
 * The commit record of a start, and its update when the server puts itself into the background.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import type { Identity } from "../os/rows.ts";
import type { Outcome } from "../readiness/wait.ts";
import { removeEntry, removeFile, syncDir } from "../state/durable.ts";
import { launchRecordPath } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { here } from "../state/origin.ts";
import { writePid } from "../state/port_files.ts";
import { type NodeInfo, writeNodeInfo } from "../state/node_info.ts";
import type { Hold, Tombstone } from "../state/tombstone.ts";
import { heldLog } from "./liveness.ts";
import { keepSettings, keepUndone } from "../state/recorded.ts";
import { isStep } from "../spec/probes.ts";
import type { MainProcess } from "./main_process.ts";
import type { StartRequest } from "./request.ts";
import { reached, type Reporter } from "./reporter.ts";

/** What a commit record is made of. */
export interface Committing {
  /** The request, with the chosen port in its settings. */
  request: StartRequest;
  /** The tombstone that it began with. */
  tombstone: Tombstone;
  /** The process that the launcher became. */
  leader: Identity;
  /** The main process. */
  main: Identity;
  /** Port that it listens on; 0: none. */
  port: number;
  /** Result of the wait. */
  ready: Extract<Outcome, { kind: "ready" }>;
  /** Milliseconds from the spawn until then. */
  readyMs: number;
}

/** The commit record of an attempt. */
export function commitRecord({ request, tombstone, leader, main, port, ready, readyMs }: Committing): NodeInfo {
  return {
    node_name: request.dir.node,
    workspace: request.dir.workspace,
    attempt: tombstone.attempt,
    port,
    pid: main.pid,
    start_time: main.startTime,
    leader_pid: leader.pid,
    held_log: heldLog(request.dir, main.pid),
    nonce: ready.nonce,
    bind_addr: ready.host,
    protocol: ready.protocol,
    also_listens: ready.alsoListens,
    started_at: tombstone.begun_at,
    ready_at: new Date().toISOString(),
    ready_ms: readyMs,
    stop_began_at: null,
    tree: [],
    run: request.run,
    while_process: request.whileProcess,
    ...here(),
    ...request.settings,
  };
}

/** An attempt whose processes may still change. */
export interface Following {
  /** The node. */
  dir: NodeDir;
  /** The state that the attempt holds. */
  hold: Hold;
  /** Its main process. */
  main: MainProcess;
  /** Where to report. */
  reporter: Reporter;
}

/**
 * A server may put itself into the background at any moment after it listens; then its record is updated. If this process
 * is killed before that, the node is reported as died, and the next start terminates what still runs of it.
 *
 * @returns the record as it is now
 */
export async function followHandOver(info: NodeInfo, { dir, hold, main, reporter }: Following): Promise<NodeInfo> {
  try {
    const process = await main.handOver(info.port);
    if (process === null || process.pid === info.pid) return info;
    const held_log = heldLog(dir, process.pid);
    const followed = { ...info, pid: process.pid, start_time: process.startTime, held_log };
    hold.insistOnLock();
    await writePid(dir, process.pid);
    hold.insistOnLock();
    await writeNodeInfo(dir, followed);
    reached("followed", reporter, `pid ${process.pid}`);
    return followed;
  } catch (error) {
    // The node is committed already, and this changes nothing about that.
    if (!(error instanceof TombstoneError)) throw error;
    reporter.warn(error.message);
    return info;
  }
}

/**
 * Removes the files that mark an attempt as unfinished. The start has succeeded already, so a failure here only delays
 * this.
 */
export async function finish(info: NodeInfo, { dir, hold, reporter }: Omit<Following, "main">): Promise<void> {
  try {
    hold.insist();
    // Nothing runs of a step that is done, so its tombstone must go even if the disk is full.
    if (isStep(info)) await keepBeyondStop(dir, info, reporter);
    else await keepSettings(dir, info);
    reached("recorded", reporter);
    hold.insist();
    if (info.attempt !== null) removeFile(launchRecordPath(dir, info.attempt));
    reached("launch-removed", reporter);
    removeEntry(dir.starting);
    await syncDir(dir.path);
    reached("tombstone-removed", reporter);
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    reporter.warn(`${error.message}; the next command tries again`);
  }
}

/**
 * Keeps the settings of a node, because its commit record is about to be removed; without a record, that its step is not
 * done. If that fails, the stop or start goes on.
 */
export async function keepBeyondStop(dir: NodeDir, info: NodeInfo | null, reporter: Reporter): Promise<void> {
  try {
    await (info === null ? keepUndone(dir) : keepSettings(dir, info));
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    reporter.warn(`how "${dir.node}" was started is not recorded: ${error.message}`);
  }
}

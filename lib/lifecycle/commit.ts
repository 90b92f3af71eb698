/**
 * The record of a start that has succeeded.
 *
 * @module
 */
import type { Identity } from "../os/types.ts";
import type { Outcome } from "../probe/wait.ts";
import { here } from "../state/origin.ts";
import type { NodeInfo, Tombstone } from "../state/records.ts";
import { heldLog } from "./elsewhere.ts";
import type { StartRequest } from "./request.ts";

/** What a commit record is made of. */
export interface Committing {
  /** What was asked for, its settings with the port that was chosen. */
  request: StartRequest;
  /** The tombstone that it began with. */
  tombstone: Tombstone;
  /** The process that the launcher became. */
  leader: Identity;
  /** The process that the node stands and falls with. */
  main: Identity;
  /** Port that it listens on; 0: none. */
  port: number;
  /** How it was found to be ready. */
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
    session_pid: leader.pid,
    held_log: heldLog(request.dir, main.pid),
    nonce: ready.nonce,
    bind_addr: ready.host,
    protocol: ready.protocol,
    also_listens: ready.alsoListens,
    started_at: tombstone.begun_at,
    ready_at: new Date().toISOString(),
    ready_ms: readyMs,
    stop_began_at: null,
    run: request.run,
    ...here(),
    ...request.settings,
  };
}

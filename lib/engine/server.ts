/**
 * The servers of a command that stays in the foreground, `run` or `up`: it watches them, and stops those that it started.
 *
 * @module
 */
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { system, UNKNOWN_START } from "../os/system.ts";
import { trimLog } from "../state/log.ts";
import { isLocked } from "../state/lock.ts";
import { isStep } from "../spec/probes.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo, RunOwner } from "../state/node_info.ts";
import { withLog } from "./failure.ts";
import { type StartMember, stopGroup } from "./group.ts";
import { findMain } from "./liveness.ts";
import type { Reporter } from "./reporter.ts";
import type { NodeOptions, Started } from "./request.ts";
import { lookAt } from "./state.ts";
import type { Stopped } from "./stop.ts";

/** This process as the owner of the nodes that it starts. */
export function newOwner(): RunOwner {
  return {
    id: crypto.randomUUID(),
    pid: Deno.pid,
    start_time: system.processes.read(Deno.pid)?.startTime ?? UNKNOWN_START,
  };
}

/** A node as it is watched. */
export interface WatchedNode {
  /** Its directory. */
  dir: NodeDir;
  /** Its commit record. */
  info: NodeInfo;
  /** Whether its server died meanwhile; its last lines have been reported then. */
  serverDied: boolean;
}

/** What became of a node. */
export interface ServerResult extends Started {
  /** Its directory. */
  dir: NodeDir;
  /** Whether its server died meanwhile. */
  serverDied: boolean;
  /** Whether this call stopped it; `false` if it was running before, or had already exited. */
  stopped: boolean;
  /** Processes of this server or of an earlier one that had to be killed. */
  killed: number[];
  /** State of the node at the end. */
  left: "running" | "died" | "stopped";
}

/** A node's server, also after a restart by another command. */
export class Server {
  /** Its directory. */
  readonly dir: NodeDir;
  /** Names of the nodes that it needs. */
  readonly after: string[];
  /** The start that found or started it. */
  readonly begun: Started;
  /** How to work on it. */
  readonly options: NodeOptions;
  /** Result of its stop; `null` before that. */
  stopped: Stopped | null = null;
  #info: NodeInfo;
  #hasDied = false;

  /** A node that has been started, or found running. */
  constructor({ dir, after, options }: StartMember, started: ReadonlyMap<string, Started>) {
    this.dir = dir;
    this.after = after;
    this.options = options;
    this.begun = started.get(dir.node)!;
    this.#info = this.begun.info;
  }

  /** Whether it has died since the last call; not if it was stopped, or is being restarted. */
  hasJustDied(): boolean {
    if (this.#hasDied) return false;
    return this.watch() === "died";
  }

  /** What it does now; `"busy"`: another command works on it. Cuts its log if that is too long. */
  watch(): "running" | "busy" | "died" | "stopped" {
    trimLog(this.dir.log, this.begun.info.log.max_bytes);
    if (isStep(this.begun.info)) return "stopped";
    if (findMain(this.dir, this.#info) !== null) return "running";
    if (isLocked(this.dir)) return "busy";
    const { nodeState } = lookAt(this.dir);
    if (nodeState.kind === "running") {
      this.#info = nodeState.info;
      return "running";
    }
    this.#hasDied = nodeState.kind === "died";
    return this.#hasDied ? "died" : "stopped";
  }

  /** The error that says that it has died; `purpose` completes "Cannot keep it". */
  deathOf(purpose: "for the test" | "up"): TombstoneError {
    const { dir, begun: { info } } = this;
    const error = tombstoneError(`Cannot keep "${dir.node}" ${purpose}: its server, pid ${info.pid}, has died`, {
      kind: "server-exited",
      hint: `tombstone logs ${dir.node}`,
      details: { pid: info.pid },
    });
    return withLog(dir, error);
  }

  /** What is known of it now. */
  now(): WatchedNode {
    return { dir: this.dir, info: this.begun.info, serverDied: this.#hasDied };
  }

  /** What became of it. */
  result(): ServerResult {
    const { begun, dir, stopped } = this;
    const running = this.#hasDied ? "died" : "running";
    const killed = [...begun.killed, ...stopped?.killed ?? []];
    const left = isStep(begun.info)
      ? "stopped"
      : stopped === null
      ? running
      : findRunning(dir) === null
      ? "stopped"
      : "running";
    return { ...begun, dir, serverDied: this.#hasDied, stopped: stopped?.stopped ?? false, killed, left };
  }
}

function findRunning(dir: NodeDir): NodeInfo | null {
  const { nodeState } = lookAt(dir);
  return nodeState.kind === "running" ? nodeState.info : null;
}

/** How the servers are stopped. */
export interface StopServersOptions {
  /** Who has started them; what belongs to somebody else by now is left alone. */
  owner: RunOwner;
  /** Where to report. */
  reporter: Reporter;
  /** Called for each that was stopped. */
  onStopped: (node: string, stopped: Stopped) => void;
  /** Aborting it kills what is left at once. */
  hurry?: AbortSignal;
}

/**
 * Stops servers, dependents first.
 *
 * @throws {TombstoneError} the first that could not be stopped
 */
export async function stopServers(servers: Server[], how: StopServersOptions): Promise<void> {
  await stopGroup(servers, {
    options: ({ options }) => ({ ...options, ofRun: how.owner.id, ...(how.hurry && { hurry: how.hurry }) }),
    onStopped({ node }, stopped) {
      const { recovered } = stopped;
      servers.find(({ dir }) => dir.node === node)!.stopped = stopped;
      // Its death has been reported already.
      if (recovered !== null && recovered.reason !== "died") how.reporter.recovered(node, recovered);
      how.onStopped(node, stopped);
    },
  });
}

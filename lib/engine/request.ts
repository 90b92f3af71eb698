/**
 * Requests to the engine (start, stop, sweep), and the result of a start.
 *
 * @module
 */
import type { Identity } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo, RunOwner } from "../state/node_info.ts";
import type { Settings } from "../spec/settings.ts";
import type { Workspace } from "../state/workspace.ts";
import type { Recovered, Reporter } from "./reporter.ts";
import type { Seen } from "./state.ts";

/** How long to wait for the lock by default, in milliseconds. */
export const LOCK_TIMEOUT_MS = 30_000;

/** How to work on a node. */
export interface NodeOptions {
  /** How long to wait for the lock, in milliseconds. */
  lockTimeoutMs: number;
  /** What to do with records of another machine or pid namespace. */
  foreign: "refuse" | "force";
  /** Where to report. */
  reporter: Reporter;
}

/** What to start, and how. */
export interface StartRequest extends NodeOptions {
  /** The node. */
  dir: NodeDir;
  /** Its workspace. */
  workspace: Workspace;
  /** What to run; recorded. */
  settings: Settings;
  /** Variables for the server; never recorded. */
  env: Record<string, string>;
  /** Called when it turns out that a server has to be started; throws if values of variables are missing. */
  requireValues?: () => void;
  /** What to do when the node already runs. */
  running: "keep" | "replace";
  /**
   * What to do when it runs with another command, directory, port or host than requested, or with an old address of a
   * node that it needs: fail, or reuse it with a warning.
   */
  different: "refuse" | "tell";
  /** The command with these addresses of the nodes that it needs filled in; default: `settings.command`. */
  commandAt?: (needs: Settings["needs"]) => string[];
  /** Aborted by a signal to the starter; the reason is the error to throw. */
  abort: AbortSignal;
  /** The `tombstone run` that owns the node and stops it at its end; `null`: the node stays. */
  run: RunOwner | null;
  /** The process that the node is to end with; `null`: none. */
  whileProcess: Identity | null;
  /** Called at the commit of a node that was started here; only clean-up follows. */
  onCommit?: (started: Started) => void;
}

/** A node that is ready. */
export interface Started {
  /** Whether this call started it; `false`: it was running. */
  started: boolean;
  /** Its commit record. */
  info: NodeInfo;
  /** What was cleaned up after an earlier start or server; `null` if nothing. */
  recovered: Recovered | null;
  /** Fields in which a running node differs from the request: `command`, `cwd`, `port`, `db.port`, … */
  differs: string[];
  /** Processes of an earlier server that did not exit when asked, and were killed. */
  killed: number[];
}

/**
 * How long processes may take after they were asked to exit: `"whole"`, as long as the node's stop timeout says; `"rest"`,
 * the same since the stop began, by whatever command, so that several short commands make one long one.
 */
export type Patience = "whole" | "rest";

/** Options of a stop and of a sweep. */
export interface StopOptions extends NodeOptions {
  /** The scan to use, which many that are stopped at the same time share; default: each scans by itself. */
  scan?: Scan;
  /** Aborting it ends the wait for a process that has been asked to exit: what is left is killed. */
  hurry?: AbortSignal;
  /** Stops a running node only if it belongs to the run of this id; default: any. */
  ofRun?: string;
  /** Stops a running node only if it still is this attempt; default: any. */
  ofAttempt?: string | null;
  /** Does anything only if this holds once the node is locked; default: always. */
  when?: (seen: Seen) => boolean;
  /** How long processes may take after they were asked; default: `"whole"`. */
  patience?: Patience;
}

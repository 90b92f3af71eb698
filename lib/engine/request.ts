/**
 * What the engine is asked for: a start, a stop, a sweep; and what comes of a start.
 *
 * @module
 */
import type { Scan } from "../os/types.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo, RunOwner } from "../state/node_info.ts";
import type { Settings } from "../spec/recorded_settings.ts";
import type { Workspace } from "../state/workspace.ts";
import type { Recovered, Reporter } from "./reporter.ts";

/** What to start, and how. */
export interface StartRequest {
  /** The node. */
  dir: NodeDir;
  /** Its workspace. */
  workspace: Workspace;
  /** What to run; recorded. */
  settings: Settings;
  /** Variables for the server; never recorded. */
  env: Record<string, string>;
  /** How long to wait for the lock, in milliseconds. */
  lockTimeoutMs: number;
  /** What to do when the node already runs. */
  running: "keep" | "replace";
  /**
   * What to do when it runs with another command, directory, port or host than this call wants, or was told another
   * address of a node that it comes after: refuse to join it, or tell.
   */
  different: "refuse" | "tell";
  /** The command as it is with these addresses of the nodes that it comes after; default: `settings.command`. */
  commandAt?: (needs: Settings["needs"]) => string[];
  /** What to do with records of another machine or pid namespace. */
  foreign: "refuse" | "force";
  /** Aborted when the starter is told to end; the reason is the error to end with. */
  abort: AbortSignal;
  /** Where to report. */
  reporter: Reporter;
  /** The run that the node is started for, which it ends with; `null`: it stays. */
  run: RunOwner | null;
  /** Called when a node that was started here is committed; what remains then is clean-up. */
  onCommit?: (started: Started) => void;
}

/** A node that is ready. */
export interface Started {
  /** Whether this call started it; `false`: it was running. */
  started: boolean;
  /** Its commit record. */
  info: NodeInfo;
  /** What an earlier start or server had left; `null` if nothing. */
  recovered: Recovered | null;
  /** In what a node that was running differs from what this call wants: `command`, `cwd`, `port`, `db.port`, … */
  differs: string[];
  /** Processes of what ran before, or was left, that did not end when asked, and were killed. */
  killed: number[];
}

/** Options of a stop and of a sweep. */
export interface StopOptions {
  /** How long to wait for the lock, in milliseconds. */
  lockTimeoutMs: number;
  /** What to do with records of another machine or pid namespace. */
  foreign: "refuse" | "force";
  /** Where to report. */
  reporter: Reporter;
  /** Where to ask who is there; many that are stopped at the same time share it; default: each looks itself. */
  scan?: Scan;
  /** Stops a running node only if it belongs to the run of this id; default: any. */
  ofRun?: string;
  /** Stops a running node only if it still is this attempt; default: any. */
  ofAttempt?: string | null;
}

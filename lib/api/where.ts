/**
 * Finding any node from a program, also one that it has not started: its status, and stopping it.
 *
 * @module
 */
import { parseName } from "../spec/names.ts";
import { type Duration, parseDuration } from "../spec/values.ts";
import { inspect } from "../engine/inspect.ts";
import type { NodeReport } from "../engine/report.ts";
import { stop as stopNode } from "../engine/stop.ts";
import type { Reporter } from "../engine/reporter.ts";
import { LOCK_TIMEOUT_MS, type NodeOptions } from "../engine/request.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { NodeFinder } from "../state/finder.ts";
import type { Workspace } from "../state/workspace.ts";

/** Options for finding a node. */
export interface Locator {
  /** Workspace to use instead of the current directory's. */
  workspace?: string;
  /** State directory to use instead of `TOMBSTONE_STATE_DIR` or the platform's default. */
  stateDir?: string;
  /** How long to wait while another program works on the node; default 30 s. */
  lockTimeout?: Duration;
  /** Whether to accept state that was written on another host or in another pid namespace. */
  force?: boolean;
  /** Gets each message for users; default: messages are dropped. */
  tell?: (text: string) => void;
}

/** A node that was found. */
export interface ResolvedNode {
  /** Its directory. */
  dir: NodeDir;
  /** Its workspace. */
  workspace: Workspace;
  /** Options for the engine. */
  options: NodeOptions;
}

/** Finds a node; makes the state directory if it will be written to. */
export async function find(name: string, where: Locator, state: "find" | "ensure"): Promise<ResolvedNode> {
  parseName("node", name);
  if (where.workspace !== undefined) parseName("workspace", where.workspace);
  const finder = new NodeFinder(where);
  const lockTimeoutMs = where.lockTimeout === undefined
    ? LOCK_TIMEOUT_MS
    : parseDuration('"lockTimeout" in the options', where.lockTimeout);
  const foreign = where.force === true ? "force" : "refuse";
  const options: NodeOptions = { lockTimeoutMs, foreign, reporter: reporterOf(where.tell) };
  return { dir: await finder.nodeDir(name, state), workspace: await finder.workspace(), options };
}

/** A reporter for a program: messages for users only. */
function reporterOf(report: (text: string) => void = () => {}): Reporter {
  return {
    warn: report,
    info: report,
    error: (error) => report(error.message),
    debug() {},
    reached() {},
    wait: () => ({ update() {}, [Symbol.dispose]() {} }),
    recovered: (node, { reason }) => report(`recovered "${node}": ${reason}`),
  };
}

/**
 * The state of a node, as reported by `tombstone status NODE --json`.
 *
 * @throws {TombstoneError} its state cannot be read
 */
export async function status(name: string, where: Locator = {}): Promise<NodeReport> {
  return await inspect((await find(name, where, "find")).dir);
}

/**
 * Stops a node and waits until it is gone. It is not an error if the node does not run.
 *
 * @returns whether it ran
 * @throws {TombstoneError} it could not be stopped
 */
export async function stop(name: string, where: Locator = {}): Promise<boolean> {
  const { dir, options } = await find(name, where, "find");
  return (await stopNode(dir, options)).stopped;
}

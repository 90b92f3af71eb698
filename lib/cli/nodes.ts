/**
 * Which nodes a command is about.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { nearest } from "../spec/names.ts";
import { EXIT, TombstoneError, usageError } from "../errors.ts";
import { parseLabel } from "../spec/values.ts";
import { isLocked } from "../state/lock.ts";
import { allNodes, type NodeDir, nodesOfWorkspace } from "../state/node_dir.ts";
import { readNodeInfo } from "../state/node_info.ts";
import { recordOf } from "../state/record.ts";
import { readTombstone } from "../state/tombstone.ts";
import { hasProjectFile } from "../state/workspace.ts";

/** The message if there is no node. */
export const NO_NODES = "no nodes in this workspace";

/** The named nodes; without names, all of the workspace, the described ones first. */
export async function nodesOf(call: Call): Promise<string[]> {
  if (call.nodes.length > 0) return [...new Set(call.nodes)];
  return await knownNames(call);
}

/** Names of the described nodes; if the file is invalid, a warning and none. */
export async function describedNames(call: Call): Promise<string[]> {
  if (!hasProjectFile(await call.workspace())) return [];
  const { projectIfReadable } = await import("./members.ts");
  return [...(await projectIfReadable(call)).keys()];
}

/** Names of the nodes of the workspace that were ever started. */
export async function recordedNames(call: Call): Promise<string[]> {
  const state = call.findState();
  return state === null ? [] : Array.from(nodesOfWorkspace(state, (await call.workspace()).id), ({ node }) => node);
}

/** Names of all nodes, the described ones and those that were ever started. */
export async function knownNames(call: Call): Promise<string[]> {
  return [...new Set([...await describedNames(call), ...await recordedNames(call)])];
}

/** Suggests the nearest name for an unknown node; if there is none, the command that starts it. */
export async function nearOrNew(call: Call, node: string, known?: string[]): Promise<string> {
  const others = (known ?? await knownNames(call)).filter((name) => name !== node);
  const anew = `tombstone start ${node} -- COMMAND [ARG...]`;
  return others.length === 0 ? anew : `did you mean "${await nearest(node, others)}"? A new node: ${anew}`;
}

/** The command that starts a node: for one that is known, its name is enough. */
export async function hintToStart(call: Call, node: string): Promise<string> {
  const known = await knownNames(call);
  return known.includes(node) ? `tombstone start ${node}` : await nearOrNew(call, node, known);
}

/** Warns of each named node that is neither described nor was ever started, with the nearest name. */
export async function warnUnknown(call: Call): Promise<void> {
  if (call.nodes.length === 0) return; // then no workspace is asked for, and with --all there need not be any
  const recorded = await recordedNames(call);
  const strange = [...new Set(call.nodes)].filter((node) => !recorded.includes(node));
  if (strange.length === 0) return;
  // Read only now: a mistake in the file must not affect a node that was started.
  const known = [...new Set([...await describedNames(call), ...recorded])];
  for (const node of strange) {
    if (known.includes(node)) continue;
    const hint = known.length === 0 ? NO_NODES : `did you mean "${await nearest(node, known)}"?`;
    call.output.warn(`there is no node "${node}" (${hint})`);
  }
}

/** The session that is asked for with `--session`; `null`: nodes are not chosen by that. */
export function sessionAsked(call: Call): string | null {
  const session = call.flags.text("session");
  return session === undefined ? null : parseLabel("--session", session);
}

/** The message if a session has no node. */
export function noNodesOf(session: string): string {
  return `no nodes of the session "${session}"`;
}

/** The nodes of a session that run, or whose start has not finished, of every workspace; each with those it needs. */
export function nodesOfSession(call: Call, session: string): { dir: NodeDir; needs: string[] }[] {
  const state = call.findState();
  return Array.from(state === null ? [] : allNodes(state)).flatMap((dir) => {
    const record = recordOf(readTombstone(dir)) ?? recordOf(readNodeInfo(dir));
    return record?.session === session ? [{ dir, needs: Object.keys(record.needs) }] : [];
  });
}

/**
 * The directories of the named nodes; without names, those of the workspace, or with `--all` those of every workspace.
 *
 * @returns what lists them anew at each call
 * @throws {TombstoneError} both names and `--all` were given
 */
export async function dirsOf(call: Call, command: string): Promise<() => Iterable<NodeDir>> {
  const all = call.flags.has("all");
  if (call.nodes.length > 0) {
    if (all) throw usageError("Cannot use --all with names of nodes", `tombstone ${command} --all`);
    const named = await Promise.all([...new Set(call.nodes)].map((node) => call.nodeDir(node, "find")));
    return () => named;
  }
  const workspace = all ? null : (await call.workspace()).id;
  const state = call.findState();
  if (state === null) return () => [];
  return () => workspace === null ? allNodes(state) : nodesOfWorkspace(state, workspace);
}

/** Work on several nodes: a failure is a warning and sets the exit code, and the others are worked on all the same. */
export class EachNode {
  /** Exit code of the first failure. */
  exitCode: number = EXIT.ok;
  readonly #call: Call;

  /** For the nodes of a call. */
  constructor(call: Call) {
    this.#call = call;
  }

  /** The result of the work; `locked` if another command works on a node that was not named, `refused` if it failed. */
  async attempt<T>(
    dir: NodeDir,
    work: () => Promise<T>,
  ): Promise<T | { action: "locked" | "refused"; recovered: null }> {
    try {
      if (this.#call.nodes.length === 0 && isLocked(dir)) return { action: "locked", recovered: null };
      return await work();
    } catch (error) {
      if (!(error instanceof TombstoneError) || this.#call.nodes.length === 1) throw error;
      this.#call.output.warn(`${error.message} (${error.hint})`);
      if (this.exitCode === EXIT.ok) this.exitCode = error.exitCode;
      return { action: "refused", recovered: null };
    }
  }
}

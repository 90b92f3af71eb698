/**
 * Which nodes a command is about.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { nearest } from "../spec/names.ts";
import { parseLabel } from "../spec/values.ts";
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
  return [...new Set([...await describedNames(call), ...await recordedNames(call)])];
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

/** Warns of each named node that is neither described nor was ever started, with the nearest name. */
export async function warnUnknown(call: Call): Promise<void> {
  const recorded = await recordedNames(call);
  const strange = [...new Set(call.nodes)].filter((node) => !recorded.includes(node));
  if (strange.length === 0) return;
  // Read only now: a mistake in the file is no concern of a node that was started.
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

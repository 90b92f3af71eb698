/**
 * Which nodes a command is about.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { nearest } from "../spec/names.ts";
import { nodesOfWorkspace } from "../state/node_dir.ts";
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
  if (call.nodes.length === 0) return; // then no workspace is asked for, and with --all there need not be any
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

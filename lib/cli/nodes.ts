/**
 * Which nodes a command is about.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { nodesOfWorkspace } from "../state/node_dir.ts";
import { hasProjectFile } from "../state/workspace.ts";

/** What to say where there is no node. */
export const NO_NODES = "no nodes in this workspace";

/** The nodes named; without names, all of the workspace: those that the project describes, and then the recorded ones. */
export async function nodesOf(call: Call): Promise<string[]> {
  if (call.nodes.length > 0) return [...new Set(call.nodes)];
  return [...new Set([...await describedNames(call), ...await recordedNames(call)])];
}

/** The nodes that the project describes; what is wrong with its file is told, and keeps nobody from the others. */
export async function describedNames(call: Call): Promise<string[]> {
  if (!hasProjectFile(await call.workspace())) return [];
  const { projectIfReadable } = await import("./members.ts");
  return [...(await projectIfReadable(call)).keys()];
}

/** The nodes of the workspace that were ever started. */
export async function recordedNames(call: Call): Promise<string[]> {
  const state = call.findState();
  return state === null ? [] : Array.from(nodesOfWorkspace(state, (await call.workspace()).id), ({ node }) => node);
}

/**
 * `tombstone completions`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { completions, SHELLS } from "../completions.ts";
import { EXIT } from "../../errors.ts";
import { nodesOfWorkspace } from "../../state/node_dir.ts";
import { hasProjectFile } from "../../state/workspace.ts";
import { projectIfReadable } from "../members.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const shell = SHELLS.find((shell) => shell === call.nodes[0]);
  const lines = shell === undefined ? await nodeNames(call) : completions(shell);
  const document = shell === undefined ? { nodes: lines } : { shell, script: lines.join("\n") + "\n" };
  return { exitCode: EXIT.ok, document, lines, form: "file" };
}

async function nodeNames(call: Call): Promise<string[]> {
  const state = call.findState();
  const workspace = await call.workspace();
  const known = state === null ? [] : Array.from(nodesOfWorkspace(state, workspace.id), (dir) => dir.node);
  const described = hasProjectFile(workspace) ? (await projectIfReadable(call)).keys() : [];
  return [...new Set([...described, ...known])];
}

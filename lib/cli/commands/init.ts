/**
 * `tombstone init`.
 *
 * @module
 */
import { currentDirectory } from "../../os/surroundings.ts";
import { isWithin } from "../../paths.ts";
import type { Call, Result } from "../call.ts";
import { writeForAgents } from "../agents.ts";
import { proposeNodes } from "../../spec/template.ts";
import { stateError } from "../../os/errno.ts";
import { lstatOrNull, readTextOrNull } from "../../os/stat.ts";
import { EXIT, tombstoneError, usageError } from "../../errors.ts";
import { lookAt, recordsOf } from "../../engine/state.ts";
import { allNodes, type NodeDir, projectOf } from "../../state/node_dir.ts";
import { PROJECT_FILE } from "../../spec/names.ts";
import { isProject, type Workspace, workspaceIdOf } from "../../state/workspace.ts";
import { VERSION } from "../../version.ts";

/** Where editors find the schema of the file. */
const SCHEMA = `https://jsr.io/@tombstone/tombstone/${VERSION}/tombstone.schema.json`;

/** Runs the command. The current directory becomes a project. */
export async function run(call: Call): Promise<Result> {
  const dir = currentDirectory();
  if (call.flags.has("agents")) return writeForAgents(dir);
  const { nodes, from } = proposeNodes({
    read: (file) => readTextOrNull(`${dir}/${file}`, { place: "elsewhere" }),
    has: (file) => lstatOrNull(`${dir}/${file}`, { place: "elsewhere" }) !== null,
  });
  const names = Object.keys(nodes);
  if (names.length === 0) {
    throw tombstoneError(
      `Cannot make a ${PROJECT_FILE} for "${dir}": no file in it describes a server that init knows`,
      { kind: "nothing-there", hint: "tombstone start -- COMMAND needs no file" },
    );
  }
  const path = `${dir}/${PROJECT_FILE}`;
  await requireUnmoved(call, dir, path);
  writeNew(path, JSON.stringify({ $schema: SCHEMA, nodes }, null, 2) + "\n");
  const lines = names.map((name) => `  ${name}: from ${from[name]}`);
  return {
    exitCode: EXIT.ok,
    document: { file: path, nodes },
    lines: [`wrote ${PROJECT_FILE}`, ...lines, "next: tombstone start"],
  };
}

/**
 * Refuses if nodes run here: once this directory is a project, commands here would look in another workspace, and not
 * find them.
 */
async function requireUnmoved(call: Call, dir: string, path: string): Promise<void> {
  const state = call.findState();
  if (state === null || call.flags.text("workspace") !== undefined) return;
  const moved = await movedBy(Deno.realPathSync(dir), await call.workspace(), state);
  const [first] = moved;
  if (first === undefined) return;
  const others = moved.filter(({ workspace }) => workspace === first.workspace).map(({ node }) => node);
  const names = moved.map(({ workspace, node }) => `"${node}" of workspace "${workspace}"`).join(", ");
  throw usageError(
    `Cannot make "${path}": this directory would be a workspace of its own, and status here no longer show ${names}`,
    `tombstone stop ${others.join(" ")} --workspace ${first.workspace}, then tombstone init`,
  );
}

/** The running nodes that commands in their directory would no longer find if `dir` were a project. */
async function movedBy(dir: string, current: Workspace, state: string): Promise<NodeDir[]> {
  const moved: NodeDir[] = [];
  for (const node of allNodes(state)) {
    const { nodeFiles, nodeState } = lookAt(node);
    const isRunning = nodeState.kind === "running" || nodeState.kind === "abandoned" ||
      nodeState.kind === "unfinished" && nodeState.phase === "live";
    if (!isRunning) continue;
    const record = recordsOf(nodeFiles);
    const project = projectOf(node);
    if (node.workspace === current.id) {
      if (current.project !== dir && record.some(({ cwd }) => isWithin(cwd, dir))) moved.push(node);
    } else if (project !== null && project !== dir && isWithin(project, dir) && !isProject(project)) {
      // It was a project only because no directory above it is one.
      if (node.workspace === await workspaceIdOf(project)) moved.push(node);
    }
  }
  return moved;
}

/** Never overwrites a file, and never leaves half a file: the whole file is linked into place, or nothing. */
function writeNew(path: string, text: string): void {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    Deno.writeTextFileSync(temporary, text, { createNew: true });
    try {
      Deno.linkSync(temporary, path);
    } finally {
      Deno.removeSync(temporary);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw stateError("write", path, error, "elsewhere");
    throw usageError(`Cannot make "${path}": it is there already`, "tombstone start starts what it describes");
  }
}

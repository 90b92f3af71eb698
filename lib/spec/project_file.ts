/**
 * `tombstone.json`: the nodes of a project.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { type Described, readDescription } from "./description.ts";
import { isFields, placeOfMistake } from "./json.ts";
import { nearest, parseName, PROJECT_FILE } from "./names.ts";
import { checkOrder } from "./order.ts";

/** The described nodes, in the order of the file; none if the file is missing or empty. */
export type Project = Map<string, Described>;

/**
 * Parses the nodes of a project.
 *
 * @param text of the file; an empty one describes nothing
 * @param dir the project's directory, for messages and relative paths
 * @throws {TombstoneError} it is invalid; the message names file, node and field
 */
export async function parseProject(text: string, dir: string): Promise<Project> {
  const path = `${dir}/${PROJECT_FILE}`;
  if (text.trim() === "") return new Map();
  const value = await parse(text, path);
  const hint = '{ "nodes": { "web": { "command": ["node", "server.js"] } } }';
  if (!isFields(value)) throw usageError(`Cannot use "${path}": expected an object`, hint);
  for (const name of Object.keys(value)) {
    if (name === "nodes" || name === "$schema") continue;
    const near = await nearest(name, ["nodes", "$schema"]);
    throw usageError(`Cannot use "${name}" in "${path}": there is no such field`, `did you mean "${near}"? ${hint}`);
  }
  const nodes = value.nodes ?? {};
  if (!isFields(nodes)) throw usageError(`Cannot use "nodes" in "${path}": expected an object`, hint);
  const project: Project = new Map();
  for (const [node, description] of Object.entries(nodes)) {
    parseName("node", node);
    project.set(node, await readDescription(description, { node, where: PROJECT_FILE, base: () => dir, kind: "file" }));
  }
  await checkOrder(project);
  return project;
}

/**
 * Requires a description of a node.
 *
 * @param action for the message
 * @throws {TombstoneError} there is none; the hint names the nearest
 */
export async function requireDescribed(project: Project, node: string, action: string): Promise<void> {
  if (project.has(node)) return;
  const names = [...project.keys()];
  throw usageError(
    `Cannot ${action} "${node}": ${PROJECT_FILE} describes no such node`,
    `did you mean "${await nearest(node, names)}"? It describes ${names.join(", ")}`,
  );
}

/** JSON with comments and trailing commas. The parser for these is loaded only if the file has any. */
async function parse(text: string, path: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const { parse } = await import("@std/jsonc/parse");
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw usageError(
      `Cannot use "${path}": it is not valid JSON, see ${placeOfMistake(text)}`,
      "comments and trailing commas are allowed; names and strings need double quotes",
    );
  }
}

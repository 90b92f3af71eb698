/**
 * A node as `tombstone.json` and the options of the library describe it.
 *
 * @module
 */
import { type TombstoneError, usageError } from "../errors.ts";
import { isGivenIn, optionOf } from "./field.ts";
import { FIELDS, type Path } from "./fields.ts";
import { isFields } from "./json.ts";
import { nearest } from "./names.ts";
import { type Source, valueOf } from "./settings.ts";
import { exampleOf, TYPES } from "./types.ts";

/** Source of a description. */
export interface DescriptionOrigin {
  /** Name of the node. */
  node: string;
  /** Name of the source in messages: `tombstone.json`, or `the options of start`. */
  where: string;
  /** Absolute directory for relative paths. */
  base: () => string;
  /** `"file"`: fields are called by their paths; `"program"`: as options of the library. */
  kind: "file" | "program";
}

/** A valid description of a node. */
export interface Described {
  /** What is described. */
  source: Source;
  /** Nodes that must be ready before it starts. */
  after: string[];
}

/**
 * Reads the description of a node.
 *
 * @throws {TombstoneError} a field is unknown or invalid; the message names source, node and field
 */
export async function readDescription(value: unknown, origin: DescriptionOrigin): Promise<Described> {
  const { node, where, base } = origin;
  if (!isFields(value)) {
    throw usageError(
      `Cannot use node "${node}" in ${where}: expected an object`,
      `"${node}": { "command": ["node", "server.js"] }`,
    );
  }
  const given = new Map<Path, unknown>();
  await collect(value, "", given, origin);
  for (const field of FIELDS) {
    const { path, type } = field;
    const { accepts, wanted } = TYPES[type];
    if (!given.has(path) || accepts(given.get(path))) continue;
    // Values of variables may be secrets.
    const shown = type === "variables" ? "this" : JSON.stringify(given.get(path));
    throw usageError(
      `Cannot use ${shown} for ${placeIn(origin, path)}: expected ${wanted}`,
      `"${spelled(origin, path)}": ${exampleOf(field)}`,
    );
  }
  if (!given.has("command")) {
    throw usageError(
      `Cannot use node "${node}" in ${where}: it has no "command"`,
      '"command": ["node", "server.js"]',
    );
  }
  const source: Source = { node, given, base, place: (path) => placeIn(origin, path) };
  return { source, after: valueOf(source, "after") };
}

/** Collects the values by their paths; refuses unknown fields. `undefined` means not given. */
async function collect(
  value: Record<string, unknown>,
  prefix: string,
  given: Map<Path, unknown>,
  origin: DescriptionOrigin,
): Promise<void> {
  const known = FIELDS.filter((field) => field.path.startsWith(prefix) && isGivenIn(field, origin.kind))
    .map(({ path }) => path);
  const names = new Map(known.map((path) => {
    const [name] = path.slice(prefix.length).split(".") as [string];
    return [spelled(origin, name), name];
  }));
  for (const [spelling, one] of Object.entries(value)) {
    const name = names.get(spelling);
    if (name === undefined) throw await unknownField(prefix, spelling, [...names.keys()], origin);
    if (one === undefined) continue;
    const path = known.find((path) => path === prefix + name);
    if (path !== undefined) given.set(path, one);
    else if (isFields(one)) await collect(one, `${prefix}${name}.`, given, origin);
    else {
      throw usageError(
        `Cannot use ${JSON.stringify(one)} for ${placeIn(origin, prefix + name)}: expected an object`,
        `"${spelled(origin, prefix + name)}": {}`,
      );
    }
  }
}

async function unknownField(
  prefix: string,
  given: string,
  known: string[],
  origin: DescriptionOrigin,
): Promise<TombstoneError> {
  return usageError(
    `Cannot use "${spelled(origin, prefix)}${given}" ${ofNode(origin)}: there is no such field`,
    `did you mean "${await nearest(given, known)}"? All fields: ${known.join(", ")}`,
  );
}

function spelled({ kind }: DescriptionOrigin, path: string): string {
  return kind === "file" ? path : optionOf(path);
}

/** Name of a field in messages. */
function placeIn(origin: DescriptionOrigin, path: string): string {
  return `"${spelled(origin, path)}" ${ofNode(origin)}`;
}

function ofNode({ node, where }: DescriptionOrigin): string {
  return `of node "${node}" in ${where}`;
}

/**
 * A node as `tombstone.json` and the options of the library describe it, and how that becomes the values of flags.
 *
 * @module
 */
import { type TombstoneError, usageError } from "../errors.ts";
import { isFields } from "./json.ts";
import { FIELDS, FORMS, type Texts } from "./fields.ts";
import { nearest } from "./nearest.ts";
import type { Source } from "./source.ts";

/** Where a description stands, for messages: `tombstone.json`, or `the options of start`. */
export interface Origin {
  /** Name of the node. */
  node: string;
  /** Where it is described. */
  where: string;
  /** Absolute directory that its relative paths begin at. */
  base: string;
  /** How a field is called there; default: by its path. */
  spell?: (path: string) => string;
}

/** A described node that holds what it should. */
export interface Described {
  /** Its settings, in the form of flags. */
  source: Source;
  /** Program and arguments. */
  command: string[];
  /** Nodes that must be ready before it starts. */
  after: string[];
  /** Variables for it. */
  env: Record<string, string>;
}

/**
 * Reads the description of a node, whatever it is.
 *
 * @throws {TombstoneError} a field is unknown or of another form; the message names where, node and field
 */
export async function readDescription(value: unknown, origin: Origin): Promise<Described> {
  const { node, where } = origin;
  if (!isFields(value)) {
    throw usageError(
      `Cannot use node "${node}" in ${where}: expected an object`,
      `"${node}": { "command": ["node", "server.js"] }`,
    );
  }
  const values = new Map<string, unknown>();
  await collect(value, "", values, origin);
  for (const { path, type } of FIELDS) {
    const { is, wanted, example } = FORMS[type];
    const found = values.get(path);
    if (found === undefined || is(found)) continue;
    // Values of variables may be secrets.
    const shown = type === "variables" ? "this" : JSON.stringify(found);
    throw usageError(
      `Cannot use ${shown} for ${placeIn(origin, path)}: expected ${wanted}`,
      `"${spelled(origin, path)}": ${example}`,
    );
  }
  const command = values.get("command") as Texts | undefined;
  if (command === undefined) {
    throw usageError(
      `Cannot use node "${node}" in ${where}: it has no "command"`,
      '"command": ["node", "server.js"]',
    );
  }
  const variables = Object.entries((values.get("env") ?? {}) as Record<string, string | number | boolean>);
  const env = Object.fromEntries(variables.map(([name, one]) => [name, String(one)]));
  return {
    source: sourceOf(values, env, origin),
    command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
    after: (values.get("after") ?? []) as string[],
    env,
  };
}

/** The values in the form of flags. */
function sourceOf(values: Map<string, unknown>, env: Record<string, string>, origin: Origin): Source {
  const pathOf = (flag: string) => FIELDS.find((field) => field.flag === flag)!.path;
  const texts = (flag: string): string[] => {
    if (flag === "env") return Object.entries(env).map(([name, one]) => `${name}=${one}`);
    const found = values.get(pathOf(flag));
    return found === undefined ? [] : Array.isArray(found) ? found : [String(found)];
  };
  return {
    node: origin.node,
    get base() {
      return origin.base;
    },
    flags: { has: (flag) => values.get(pathOf(flag)) === true, text: (flag) => texts(flag)[0], texts },
    place: (flag) => placeIn(origin, pathOf(flag)),
  };
}

/** Collects the values by their paths; refuses a field that there is not. */
async function collect(
  value: Record<string, unknown>,
  prefix: string,
  values: Map<string, unknown>,
  origin: Origin,
): Promise<void> {
  const known = FIELDS.flatMap(({ path }) => path.startsWith(prefix) ? [path.slice(prefix.length)] : []);
  const names = [...new Set(known.map((path) => path.split(".")[0]!))];
  for (const [name, one] of Object.entries(value)) {
    if (!names.includes(name)) throw await unknownField(prefix, name, names, origin);
    if (known.includes(name)) values.set(prefix + name, one);
    else if (isFields(one)) await collect(one, `${prefix}${name}.`, values, origin);
    else if (one !== undefined) {
      throw usageError(
        `Cannot use ${JSON.stringify(one)} for ${placeIn(origin, prefix + name)}: expected an object`,
        `"${spelled(origin, prefix + name)}": {}`,
      );
    }
  }
}

async function unknownField(prefix: string, given: string, names: string[], origin: Origin): Promise<TombstoneError> {
  const known = names.map((name) => spelled(origin, name));
  return usageError(
    `Cannot use ${placeIn(origin, prefix + given)}: there is no such field`,
    `did you mean "${await nearest(given, known)}"? All fields: ${known.join(", ")}`,
  );
}

function spelled({ spell }: Origin, path: string): string {
  return spell === undefined ? path : spell(path);
}

/** A field, as messages call it. */
function placeIn(origin: Origin, path: string): string {
  return `"${spelled(origin, path)}" of node "${origin.node}" in ${origin.where}`;
}

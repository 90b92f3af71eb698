/**
 * A node as `tombstone.json` and the options of the library describe it, and how that becomes the values of flags.
 *
 * @module
 */
import { type TombstoneError, usageError } from "../errors.ts";
import { nearest } from "./nearest.ts";
import type { Source } from "./source.ts";

/** Text, or several. */
export type Texts = string | string[];

/** `250ms`, `30s`, `5m`, `4h`; a number is seconds. */
export type Duration = string | number;

/** When a node is ready; all of it must hold. See the flags of `tombstone start`. */
export interface ProbesDescription {
  /** A GET of this path, on the node's port, or of this URL is answered. */
  http?: Texts;
  /** Statuses that count as an answer: `200-399`. */
  http_status?: string;
  /** The node accepts on this unix socket. */
  unix?: Texts;
  /** A line of its output matches this regular expression. */
  log?: Texts;
  /** This file has been written since the start. */
  file?: Texts;
  /** This shell command exits with 0. */
  exec?: Texts;
  /** The server says READY=1 as it does for systemd. */
  notify?: boolean;
  /** A listener that is not the node's own counts, too. */
  any_listener?: boolean;
  /** No probe: ready when the process has survived `alive_for`. */
  none?: boolean;
  /** Ready not before it has run this long. */
  alive_for?: Duration;
  /** Ready when all of it has held for this long. */
  stable_for?: Duration;
}

/** A node, as people describe it. */
export interface NodeDescription {
  /** Program and arguments; or a line for the shell. */
  command: Texts;
  /** Nodes that must be ready before it starts. */
  after?: string[];
  /** TCP port that it listens on; 0: a free one is chosen (`$PORT`, `{port}`). */
  port?: number;
  /** Address to connect to. */
  host?: string;
  /** The server writes its port there. */
  port_file?: string;
  /** When it is ready. */
  probes?: ProbesDescription;
  /** Given up when it is not ready by then. */
  timeout?: Duration;
  /** Directory that it runs in, relative to the project. */
  cwd?: string;
  /** Variables for it; never recorded. */
  env?: Record<string, string | number | boolean>;
  /** Whether to keep only the basics of the environment. */
  clear_env?: boolean;
  /** The server daemonises itself and writes its pid there. */
  pid_file?: string;
  /** Files that are stale whenever it does not run. */
  sweep_files?: Texts;
  /** Names of processes that are never ended. */
  spare?: Texts;
  /** How it is stopped. */
  stop?: { signal?: string; timeout?: Duration; command?: string };
  /** How much of its output is kept. */
  log?: { keep?: number; max?: string | number };
  /** Whether it is hidden from the clean-up of CI runners. */
  outlive_ci_job?: boolean;
}

/** Form of a field's value. */
export type FieldType =
  | "text"
  | "texts"
  | "switch"
  | "number"
  | "duration"
  | "size"
  | "variables"
  | "names"
  | "command";

/** A field: its path with dots, its form, and the flag of `start` that means the same. */
export interface Field {
  /** `probes.http` */
  path: string;
  /** Form of its value. */
  type: FieldType;
  /** Flag; `null` where there is none. */
  flag: string | null;
}

/** Every field of a described node. */
export const FIELDS: Field[] = [
  { path: "command", type: "command", flag: null },
  { path: "after", type: "names", flag: null },
  { path: "port", type: "number", flag: "port" },
  { path: "host", type: "text", flag: "host" },
  { path: "port_file", type: "text", flag: "port-file" },
  { path: "probes.http", type: "texts", flag: "http" },
  { path: "probes.http_status", type: "text", flag: "http-status" },
  { path: "probes.unix", type: "texts", flag: "unix" },
  { path: "probes.log", type: "texts", flag: "log" },
  { path: "probes.file", type: "texts", flag: "file" },
  { path: "probes.exec", type: "texts", flag: "exec" },
  { path: "probes.notify", type: "switch", flag: "notify" },
  { path: "probes.any_listener", type: "switch", flag: "any-listener" },
  { path: "probes.none", type: "switch", flag: "no-probe" },
  { path: "probes.alive_for", type: "duration", flag: "alive-for" },
  { path: "probes.stable_for", type: "duration", flag: "stable-for" },
  { path: "timeout", type: "duration", flag: "timeout" },
  { path: "cwd", type: "text", flag: "cwd" },
  { path: "env", type: "variables", flag: "env" },
  { path: "clear_env", type: "switch", flag: "clear-env" },
  { path: "pid_file", type: "text", flag: "pid-file" },
  { path: "sweep_files", type: "texts", flag: "sweep-file" },
  { path: "spare", type: "texts", flag: "spare" },
  { path: "stop.signal", type: "text", flag: "stop-signal" },
  { path: "stop.timeout", type: "duration", flag: "stop-timeout" },
  { path: "stop.command", type: "text", flag: "stop-command" },
  { path: "log.keep", type: "number", flag: "log-keep" },
  { path: "log.max", type: "size", flag: "log-max" },
  { path: "outlive_ci_job", type: "switch", flag: "outlive-ci-job" },
];

const isText = (value: unknown) => typeof value === "string" && value !== "" && !value.includes("\0");
const isArgument = (value: unknown) => value === "" || isText(value);
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText);
const isNumber = (value: unknown) => typeof value === "number" && value >= 0;
const isPlain = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.values(value).every((one) => ["string", "number", "boolean"].includes(typeof one));

/** What a value of each form must be, and how a refusal says so. */
const FORMS: Record<FieldType, { is: (value: unknown) => boolean; wanted: string; example: string }> = {
  text: { is: isText, wanted: "text", example: '"text"' },
  texts: { is: (value) => isText(value) || isTexts(value), wanted: "text or a list of texts", example: '["text"]' },
  switch: { is: (value) => typeof value === "boolean", wanted: "true or false", example: "true" },
  number: { is: (value) => isNumber(value) && Number.isInteger(value), wanted: "a whole number", example: "3000" },
  duration: {
    is: (value) => isText(value) || isNumber(value),
    wanted: 'a duration such as "250ms", "30s" or "5m" (a number is seconds)',
    example: '"30s"',
  },
  size: {
    is: (value) => isText(value) || isNumber(value),
    wanted: 'a size such as "50MB" (a number is bytes)',
    example: '"50MB"',
  },
  variables: { is: isPlain, wanted: "an object of texts", example: '{ "NAME": "value" }' },
  names: { is: isTexts, wanted: "a list of nodes", example: '["db"]' },
  command: {
    is: (value) => isText(value) || (Array.isArray(value) && isText(value[0]) && value.every(isArgument)),
    wanted: "a list of program and arguments, or a line for the shell",
    example: '["node", "server.js"]',
  },
};

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
  const spell = origin.spell ?? ((path: string) => path);
  const place = (path: string) => `"${spell(path)}" of node "${origin.node}" in ${origin.where}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw usageError(
      `Cannot use node "${origin.node}" in ${origin.where}: expected an object`,
      `"${origin.node}": { "command": ["node", "server.js"] }`,
    );
  }
  const values = new Map<string, unknown>();
  await collect(value as Record<string, unknown>, "", values, origin, spell);
  for (const { path, type } of FIELDS) {
    const { is, wanted, example } = FORMS[type];
    if (!values.has(path) || is(values.get(path))) continue;
    const found = JSON.stringify(values.get(path));
    throw usageError(`Cannot use ${found} for ${place(path)}: expected ${wanted}`, `"${spell(path)}": ${example}`);
  }
  const command = values.get("command") as Texts | undefined;
  if (command === undefined) {
    throw usageError(
      `Cannot use node "${origin.node}" in ${origin.where}: it has no "command"`,
      '"command": ["node", "server.js"]',
    );
  }
  const variables = Object.entries((values.get("env") ?? {}) as Record<string, string | number | boolean>);
  const env = Object.fromEntries(variables.map(([name, one]) => [name, String(one)]));
  const after = (values.get("after") ?? []) as string[];
  const fieldOf = (flag: string) => FIELDS.find((field) => field.flag === flag)!;
  const textsOf = (flag: string): string[] => {
    if (flag === "env") return Object.entries(env).map(([name, one]) => `${name}=${one}`);
    const found = values.get(fieldOf(flag).path);
    return found === undefined ? [] : Array.isArray(found) ? found : [String(found)];
  };
  const flags = {
    has: (flag: string) => values.get(fieldOf(flag).path) === true,
    text: (flag: string) => textsOf(flag)[0],
    texts: textsOf,
  };
  return {
    source: { node: origin.node, base: origin.base, flags, place: (flag) => place(fieldOf(flag).path) },
    command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
    after,
    env,
  };
}

/** Collects the values by their paths; refuses a field that there is not. */
async function collect(
  value: Record<string, unknown>,
  prefix: string,
  values: Map<string, unknown>,
  origin: Origin,
  spell: (path: string) => string,
): Promise<void> {
  const known = [...new Set(FIELDS.flatMap(({ path }) => path.startsWith(prefix) ? [path.slice(prefix.length)] : []))];
  const names = [...new Set(known.map((path) => path.split(".")[0]!))];
  for (const [given, one] of Object.entries(value)) {
    const name = names.find((name) => name === given);
    if (name === undefined) throw await unknownField(given, prefix, names, origin, spell);
    if (one === undefined) continue;
    if (known.includes(name)) {
      values.set(prefix + name, one);
      continue;
    }
    if (typeof one !== "object" || one === null || Array.isArray(one)) {
      throw usageError(
        `Cannot use ${JSON.stringify(one)} for "${
          spell(prefix + name)
        }" of node "${origin.node}" in ${origin.where}: ` +
          "expected an object",
        `"${spell(name)}": {}`,
      );
    }
    await collect(one as Record<string, unknown>, `${prefix}${name}.`, values, origin, spell);
  }
}

async function unknownField(
  given: string,
  prefix: string,
  names: string[],
  { node, where }: Origin,
  spell: (path: string) => string,
): Promise<TombstoneError> {
  const near = await nearest(given, names.map((name) => spell(name)));
  return usageError(
    `Cannot use "${spell(prefix + given)}" of node "${node}" in ${where}: there is no such field`,
    `did you mean "${near}"? All fields: ${names.map((name) => spell(name)).join(", ")}`,
  );
}

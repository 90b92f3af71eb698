/**
 * Parsing the command line.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { usageError } from "../errors.ts";
import { flagFor } from "../spec/outside.ts";
import { nearest, parseName } from "../spec/names.ts";
import { type Command, COMMANDS, COMMON_FLAGS } from "./table.ts";
import type { Flag, Flags } from "./start_flags.ts";

/** A parsed command line. */
export interface Parsed {
  /** Nodes named. */
  nodes: string[];
  /** Flags given. */
  flags: Flags;
  /** What came after `--`; `null` without one. */
  serverCommand: string[] | null;
}

/** A command line, cut at the command's name. */
export interface Split {
  /** Flags of every command that stand before it, with their values. */
  before: string[];
  /** The word that should be a command; `undefined`: there is none. */
  name: string | undefined;
  /** What follows. */
  rest: string[];
}

/**
 * Cuts a command line at the command: flags that every command has may stand before it.
 *
 * @throws {TombstoneError} the value of one is missing
 */
export function splitAtCommand(argv: string[]): Split {
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    const flag = COMMON_FLAGS.find(({ name, short }) => word.split("=")[0] === `--${name}` || word === `-${short}`);
    if (flag === undefined) break;
    if (flag.value === undefined || word.includes("=")) continue;
    at++;
    requireValue(flag, [argv[at] ?? ""]);
  }
  return { before: argv.slice(0, at), name: argv[at], rest: argv.slice(at + 1) };
}

/**
 * The command of this name.
 *
 * @throws {TombstoneError} there is none; the hint names the nearest
 */
export async function findCommand(name: string): Promise<Command> {
  const command = COMMANDS.find((command) => command.name === name || command.alias === name);
  if (command !== undefined) return command;
  if (name.startsWith("-")) {
    const common = COMMON_FLAGS.map((flag) => `--${flag.name}`).join(", ");
    throw usageError(`Cannot use "${name}" before the command: only ${common} may stand there`, "tombstone --help");
  }
  const near = await nearest(name, COMMANDS.map((command) => command.name));
  throw usageError(`Cannot run "${name}": no such command`, `tombstone ${near} --help, or tombstone --help`);
}

/**
 * Parses what follows the command's name.
 *
 * @throws {TombstoneError} an unknown flag, a missing value, a stray or malformed argument
 */
export async function parse(command: Command, argv: string[]): Promise<Parsed> {
  const flags = [...command.flags, ...COMMON_FLAGS];
  const withValue = flags.filter((flag) => flag.value !== undefined);
  const unknown: string[] = [];
  const parsed = parseArgs(argv, {
    string: ["_", ...withValue.map((flag) => flag.name)],
    boolean: flags.filter((flag) => flag.value === undefined).map((flag) => flag.name),
    alias: Object.fromEntries(flags.flatMap((flag) => flag.short ? [[flag.short, flag.name]] : [])),
    collect: withValue.map((flag) => flag.name),
    "--": true,
    unknown: (arg: string, key?: string) => {
      if (key !== undefined) unknown.push(arg);
      return key === undefined;
    },
  }) as unknown as Record<string, unknown>;
  const texts = (name: string) => (parsed[name] ?? []) as string[];

  const usage = `tombstone ${command.name} ${command.synopsis}`;
  const own = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  for (const { name, value } of flags) {
    const given = own.find((word) => word.startsWith(`--${name}=`));
    if (value === undefined && given !== undefined) {
      throw usageError(`Cannot use ${given}: --${name} takes no value`, `--${name}`);
    }
  }
  for (const flag of withValue) requireValue(flag, texts(flag.name));
  if (unknown.length > 0) throw await unknownFlag(command, flags, unknown[0]!);
  for (const { name, repeat } of withValue) {
    if (repeat !== true && texts(name).length > 1) throw usageError(`Cannot use --${name} twice`, usage);
  }
  const nodes = parsed._ as string[];
  const choices = Array.isArray(command.nodes) ? command.nodes : null;
  if (choices !== null && !choices.includes(nodes[0] ?? "")) {
    const given = nodes[0] === undefined ? `${command.name} without an argument` : `the argument "${nodes[0]}"`;
    throw usageError(`Cannot use ${given}: expected one of ${choices.join(", ")}`, usage);
  }
  const most = Array.isArray(command.nodes)
    ? (command.then === "many" ? Infinity : 1)
    : { none: 0, one: 1, many: Infinity }[command.nodes];
  const stray = nodes[most];
  if (stray !== undefined) {
    const hint = command.takesCommand ? `the server's command comes after --: ${usage}` : usage;
    throw usageError(
      `Cannot use the argument "${stray}": ${command.name} takes ${
        most === 0 ? "none" : choices === null ? "one node" : "one"
      }`,
      hint,
    );
  }
  const serverCommand = argv.includes("--") ? parsed["--"] as string[] : null;
  if (serverCommand !== null && !command.takesCommand) {
    throw usageError(`Cannot use "--": ${command.name} takes no command`, usage);
  }
  for (const node of nodes) {
    const target = command.name === "wait" ? flagFor(node) : null;
    parseName("node", node, target === null ? undefined : `tombstone wait ${target}`);
  }
  const workspace = texts("workspace")[0];
  if (workspace !== undefined) parseName("workspace", workspace);
  return {
    nodes,
    serverCommand,
    flags: {
      has: (name) => parsed[name] === true,
      text: (name) => texts(name)[0],
      texts,
    },
  };
}

function requireValue(flag: Flag, values: string[]): void {
  if (!values.includes("")) return;
  throw usageError(`Cannot use --${flag.name}: its value ${flag.value} is missing`, `--${flag.name}=${flag.value}`);
}

async function unknownFlag(command: Command, flags: Flag[], arg: string) {
  const given = arg.split("=")[0]!;
  const name = given.replace(/^-+/, "");
  const near = await nearest(name, flags.map((flag) => flag.name));
  // The nearest of some words may be no near one: nobody who types --force means --workspace.
  const isNear = near[0] === name[0] || name.length > 2 && (near.includes(name) || name.includes(near));
  const all = `tombstone ${command.name} --help`;
  const hint = isNear ? `did you mean --${near}? All flags: ${all}` : `all flags: ${all}`;
  return usageError(`Cannot use ${given}: ${command.name} has no such flag`, hint);
}

/**
 * What `tombstone run` serves without a `tombstone.json`: commands and scripts of `--serve`, or else a script of the
 * package. And its test command, which may be a script or a line for the shell.
 *
 * @module
 */
import { retold, TombstoneError, tombstoneError, usageError } from "../errors.ts";
import type { StartMember } from "../engine/group.ts";
import { prepare } from "../engine/preflight.ts";
import { lstatOrNull, readTextOrNull } from "../os/stat.ts";
import { currentDirectory } from "../os/surroundings.ts";
import { system } from "../os/system.ts";
import { findProgram, requireExecutable, searchPath } from "../process/executable.ts";
import { nearest } from "../spec/names.ts";
import { chosenFrom, parsePortRequest } from "../spec/port_request.ts";
import { findScripts, type Script, type Scripts } from "../spec/scripts.ts";
import { parsePath, parseVariables } from "../spec/values.ts";
import type { RunOwner } from "../state/node_info.ts";
import { findProject, nodeNameOf } from "../state/workspace.ts";
import type { Call } from "./call.ts";
import { addressesOf, placesOf } from "./members.ts";
import { requireOneNode } from "./starting.ts";

/** A server of a run. */
export interface Server {
  /** Name of its node. */
  node: string;
  /** Its command, or a line for the shell. */
  command: string[] | string;
}

/** Scripts that are served by default, in order of preference. */
const DEFAULT_SCRIPTS = ["start", "dev"];

/** The servers of `--serve`, each the name of a script or a line for the shell; without any, the package's own server. */
export async function serversOf(call: Call, usage: string): Promise<Server[]> {
  const serves = call.flags.texts("serve");
  const base = serverDirectory(call);
  const scripts = scriptsOf(base);
  if (serves.length === 0) {
    const name = DEFAULT_SCRIPTS.find((name) => scripts?.scripts.has(name));
    if (name === undefined) throw nothingToServe(call, scripts, usage);
    requireOneNode(call);
    return [{ node: call.node, command: commandOf(call, name, scripts!.scripts.get(name)!, "serving") }];
  }
  const names = nodeNames(call, serves);
  if (serves.length > 1) refuseFlagsOfOne(call);
  return await Promise.all(serves.map(async (serve, at) => {
    const script = scripts?.scripts.get(serve);
    if (script === undefined) await requireKnown(serve, scripts, base);
    return {
      node: names[at]!,
      command: script === undefined ? serve : commandOf(call, serve, script, "serving"),
    };
  }));
}

/** The servers as members of a group: each starts when the earlier ones are ready, and gets their addresses. */
export async function membersOfServers(
  call: Call,
  servers: Server[],
): Promise<(run: RunOwner | null) => StartMember[]> {
  const { options } = call;
  const prepared = servers.map(({ node, command }) => ({ node, ...prepare({ ...call.sourceOf(command), node }) }));
  const placed = await Promise.all(
    prepared.map(async (one) => ({ ...one, dir: await call.nodeDir(one.node, "ensure") })),
  );
  const workspace = await call.workspace();
  const running = call.flags.has("replace") ? "replace" : "keep";
  return (run) =>
    placed.map(({ dir, settings, env, whileProcess }, at) => {
      const after = placed.slice(0, at).map(({ node }) => node);
      const same = { workspace, running, run, whileProcess, different: "refuse" } as const;
      return {
        dir,
        after,
        options,
        request: (before) => ({
          ...same,
          settings: { ...settings, needs: addressesOf(after, before) },
          env: { ...placesOf(after, before), ...env },
        }),
      };
    });
}

/** The test command: one word may be the name of a script, or a whole line for the shell. */
export async function testOf(call: Call, test: string[]): Promise<string[]> {
  const [word] = test;
  const here = { cwd: currentDirectory(), path: searchPath() };
  if (word === undefined || test.length > 1) {
    requireScript(test, here.cwd);
    return await checked(test, here, null);
  }
  const scripts = scriptsOf(here.cwd);
  const script = scripts?.scripts.get(word);
  if (script !== undefined) return commandOf(call, word, script, "running");
  const isLine = /[\s;&|<>$`]/.test(word) && findProgram(word, here) === null;
  return isLine ? system.shell.words(word) : await checked(test, here, scripts);
}

/** The command, if it can be executed; for a word that is none, the near script. */
async function checked(test: string[], here: { cwd: string; path: string }, scripts: Scripts | null) {
  try {
    requireExecutable(test[0]!, here);
    return test;
  } catch (error) {
    // The usual hint is for the server: --env sets its PATH.
    if (!(error instanceof TombstoneError) || error.kind !== "command-not-found") throw error;
    const names = [...scripts?.scripts.keys() ?? []];
    const hint = names.length === 0
      ? "install it, or give its full path after --"
      : `did you mean the script "${await nearest(test[0]!, names)}"? Else give its full path after --`;
    throw retold(error, { hint });
  }
}

/** What npm runs without a script of that name. */
const OF_NPM = ["start", "stop", "restart", "env"];

/** `npm test` without such a script can only fail: it is said before the servers are started. */
function requireScript(test: string[], dir: string): void {
  const [, name] = /^npm (?:run |run-script )?([\w:.-]+)$/.exec(test.join(" ")) ?? [];
  const isRun = test.length === 3 || name === "test";
  if (name === undefined || !isRun || OF_NPM.includes(name)) return;
  const scripts = scriptsOf(dir);
  const has = (file: string) =>
    lstatOrNull(`${scripts?.dir}/${file}`, { place: "elsewhere", unseen: "missing" }) !== null;
  if (scripts === null || scripts.broken !== null || !has("package.json") || has(".npmrc")) return;
  if (scripts.scripts.get(name)?.file === "package.json") return;
  const names = [...scripts.scripts].flatMap(([name, { file }]) => file === "package.json" ? [name] : []);
  throw usageError(
    `Cannot run "${test.join(" ")}": "${scripts.dir}/package.json" has no script "${name}"`,
    `npm pkg set scripts.${name}="COMMAND"${names.length === 0 ? "" : `, or run one of ${names.join(", ")}`}`,
  );
}

/** The directory that the servers run in. */
function serverDirectory({ flags }: Call): string {
  const cwd = flags.text("cwd");
  return cwd === undefined ? currentDirectory() : parsePath(cwd, currentDirectory);
}

/** The scripts of a directory, or of the nearest one above it in the same project. */
function scriptsOf(dir: string): Scripts | null {
  const options = { place: "elsewhere", unseen: "missing" } as const;
  return findScripts(dir, findProject(dir), {
    read: (path) => readTextOrNull(path, options),
    has: (path) => lstatOrNull(path, options) !== null,
  });
}

/** The command of a script. Prints it, since the user has typed only its name, or nothing. */
function commandOf(
  { flags, output }: Call,
  name: string,
  { command, file }: Script,
  action: "serving" | "running",
): string[] {
  const env = action === "serving" ? parseVariables("--env", flags.texts("env")) : {};
  try {
    requireExecutable(command[0]!, { cwd: currentDirectory(), path: searchPath(env) });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    throw tombstoneError(`${error.message}; it runs the script "${name}" of ${file}`, {
      kind: error.kind,
      hint: `install it, or give the whole command: tombstone run --serve "COMMAND" -- TEST [ARG...]`,
    });
  }
  output.info(`${action} the script "${name}" of ${file}: ${command.join(" ")}`);
  return command;
}

/** A single word that is neither a script nor a program is a typo. */
async function requireKnown(serve: string, scripts: Scripts | null, base: string): Promise<void> {
  if (!/^[\w:.-]+$/.test(serve) || findProgram(serve, { cwd: base, path: searchPath() }) !== null) return;
  const names = [...scripts?.scripts.keys() ?? []];
  const near = names.length === 0 ? null : await nearest(serve, names);
  throw tombstoneError(`Cannot serve "${serve}": it is neither a script of the package nor a command on PATH`, {
    kind: "command-not-found",
    hint: near === null ? '--serve "npm start"' : `did you mean --serve ${near}?`,
  });
}

/** Names of the nodes of several servers: as given; else a script by its last part, and a line by the directory. */
function nodeNames(call: Call, serves: string[]): string[] {
  if (serves.length === 1) {
    requireOneNode(call);
    return [call.node];
  }
  const given = new Set(call.nodes);
  if (given.size === serves.length) return [...given];
  if (given.size > 0) {
    const names = serves.map((_, at) => `NODE${at + 1}`).join(" ");
    throw usageError(
      `Cannot use ${given.size === 1 ? "the name" : "the names"} ${
        [...given].map((name) => `"${name}"`).join(", ")
      }: ` +
        `${serves.length} servers take ${serves.length} different names, or none`,
      `tombstone run ${names} ${
        serves.map((serve) => `--serve ${system.shell.quote(serve)}`).join(" ")
      } -- TEST [ARG...]`,
    );
  }
  const names: string[] = [];
  for (const serve of serves) {
    const name = /^[\w:.-]+$/.test(serve) ? nodeNameOf(serve.slice(serve.lastIndexOf(":") + 1)) : call.node;
    let number = 1;
    while (names.includes(number === 1 ? name : `${name}-${number}`)) number++;
    names.push(number === 1 ? name : `${name}-${number}`);
  }
  return names;
}

/** Flags that name a place that two servers cannot share. */
const OF_ONE = ["port", "port-file", "pid-file", "unix", "sweep-file"];

function refuseFlagsOfOne({ flags }: Call): void {
  for (const name of OF_ONE) {
    const [value] = flags.texts(name);
    if (value === undefined || name === "port" && chosenFrom(parsePortRequest("--port", value)) !== null) continue;
    throw usageError(
      `Cannot use --${name} ${value} with several --serve: only one server can have it`,
      name === "port"
        ? `leave it out, since each port is found automatically, or choose one for each with --port 0 or --port ${value}+`
        : "describe the servers in tombstone.json: tombstone init",
    );
  }
}

function nothingToServe(call: Call, scripts: Scripts | null, usage: string): TombstoneError {
  if (scripts !== null && scripts.broken !== null) {
    return usageError(
      `Cannot run "${call.node}": "${scripts.broken}" is not valid JSON, so its scripts are unknown`,
      usage,
    );
  }
  const found = scripts === null ? "there is no package.json" : `"${scripts.dir}" has no script "start" or "dev"`;
  return usageError(`Cannot run "${call.node}": nothing says what to serve, and ${found}`, usage);
}

/**
 * The nodes that `tombstone.json` describes, for the commands that work on them.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { Call } from "./call.ts";
import { flagAt, givenBy, START_FLAGS } from "./start_flags.ts";
import { type Endpoint, type Settings, type Source, valueOf } from "../spec/settings.ts";
import type { Identity } from "../os/rows.ts";
import { currentDirectory } from "../os/surroundings.ts";
import { inOrder } from "../spec/order.ts";
import { checkReferences, fillReferences } from "../spec/placeholders.ts";
import { parseProject, type Project, requireDescribed } from "../spec/project_file.ts";
import { retold, TombstoneError, usageError } from "../errors.ts";
import type { StartMember } from "../engine/group.ts";
import { addressOf } from "../readiness/http.ts";
import { prepare, sessionOf, whileProcessOf } from "../engine/preflight.ts";
import type { Started, StartRequest } from "../engine/request.ts";
import { requireExecutable, searchPath } from "../process/executable.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { RunOwner } from "../state/node_info.ts";
import { readProjectFile } from "../state/workspace.ts";
import { PROJECT_FILE } from "../spec/names.ts";

/** The described nodes; none without a `tombstone.json`. */
export async function projectOf(call: Call): Promise<Project> {
  const { project } = await call.workspace();
  return project === null ? new Map() : await parseProject(readProjectFile(project), project);
}

/** These nodes (without names, all) and those that they need, in order; `action` is for messages. */
export async function orderedNames(project: Project, names: string[], action: string): Promise<string[]> {
  for (const name of names) await requireDescribed(project, name, action);
  return inOrder(project, names.length === 0 ? project.keys() : names);
}

/** All nodes that a node needs, directly or not. */
export function needsOf(project: Project, node: string): string[] {
  return project.has(node) ? inOrder(project, [node]).filter((name) => name !== node) : [];
}

/** How to start described nodes. */
export interface MemberOptions {
  /** What to do with one that runs already. */
  running: (node: string) => "keep" | "replace";
  /** What to do with one that runs but differs from its description. */
  different: StartRequest["different"];
  /** The run that it belongs to; called before anything is stopped or started. */
  run: (dir: NodeDir) => RunOwner | null;
  /** The process that it ends with already, and shall go on to; asked before anything is stopped or started. */
  whileProcess?: (dir: NodeDir) => Identity | null;
  /** Variables on top of the described ones. */
  env?: Record<string, string>;
}

/**
 * The described nodes as members of a group. Everything that can be wrong is found here, before there is any state.
 *
 * @param names as from {@linkcode orderedNames}
 */
export async function membersOf(
  call: Call,
  project: Project,
  names: string[],
): Promise<(options: MemberOptions) => StartMember[]> {
  const workspace = await call.workspace();
  const timeout = call.flags.text("timeout") === undefined ? {} : { timeout_ms: call.duration("timeout", 0) };
  const leases = leasesOf(call);
  const nodes = [...project.keys()];
  const prepared = await Promise.all(names.map(async (node) => {
    const { source } = project.get(node)!;
    const { settings: own, env } = prepare(source);
    const settings = { ...own, ...timeout, ...leases.settings };
    const { command } = settings;
    const needs = needsOf(project, node);
    for (const text of [...command, ...Object.values(env)]) {
      await checkReferences(text, { node, needs, nodes, hasPort: settings.port_request !== null });
    }
    requireProgram(node, command[0]!, { cwd: settings.cwd, path: searchPath(env) });
    return { node, env, needs, settings };
  }));
  const { options } = call;
  const placed = await Promise.all(
    prepared.map(async (one) => ({ ...one, dir: await call.nodeDir(one.node, "ensure") })),
  );
  return ({ running, different, run, whileProcess: kept, env: more = {} }) =>
    placed.map(({ dir, env, needs, settings }) => {
      const whileProcess = leases.whileProcess ?? kept?.(dir) ?? null;
      const same = { workspace, different, running: running(dir.node), run: run(dir), whileProcess };
      const request = (before: ReadonlyMap<string, Started>) => {
        const places = addressesOf(needs, before);
        const filled = (text: string) => fillReferences(text, places);
        const own = Object.entries({ ...env, ...more }).map(([name, value]) => [name, filled(value)]);
        return {
          ...same,
          settings: { ...settings, command: settings.command.map(filled), needs: places },
          commandAt: (places: Record<string, Endpoint>) => settings.command.map((word) => fillReferences(word, places)),
          env: { ...placesOf(needs, before), ...Object.fromEntries(own) },
        };
      };
      return { dir, after: needs, options, request };
    });
}

function requireProgram(node: string, program: string, options: { cwd: string; path: string }): void {
  try {
    requireExecutable(program, options);
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    throw retold(error, {
      message: `${error.message}; it is the "command" of node "${node}" in ${PROJECT_FILE}`,
      hint: `install it, give its full path there, or set PATH in "env" of "${node}"`,
    });
  }
}

/** Addresses of all given nodes that have a port. */
export function addressesOf(names: string[], nodes: ReadonlyMap<string, Started>): Record<string, Endpoint> {
  return Object.fromEntries(names.flatMap((name) => {
    const info = nodes.get(name)?.info;
    const place = info === undefined ? null : addressOf(info);
    return place === null ? [] : [[name, place]];
  }));
}

/** What the names of a node's variables begin with: `TOMBSTONE_DB`. */
export function prefixOf(node: string): string {
  return `TOMBSTONE_${node.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`;
}

/** `TOMBSTONE_DB_HOST`, `_PORT` and `_URL` for each of these nodes that has a port. */
export function placesOf(names: string[], nodes: ReadonlyMap<string, Started>): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, place] of Object.entries(addressesOf(names, nodes))) {
    const prefix = prefixOf(name);
    for (const [what, value] of Object.entries(place)) {
      variables[`${prefix}_${what.toUpperCase()}`] = String(value);
    }
  }
  return variables;
}

/** Flags of `start` about the call, not about the node. */
export const FLAGS_OF_KNOWN = [
  "timeout",
  "lock-timeout",
  "replace",
  "force",
  "trace",
  "while-pid",
  "max-age",
  "session",
];

/** What a call says of the leases of nodes that are described or recorded: it goes before what they say themselves. */
export function leasesOf(call: Call): { settings: Partial<Settings>; whileProcess: Identity | null } {
  const given = givenBy(call.flags);
  const source: Source = { node: call.node, given, base: currentDirectory, place: flagAt };
  const session = sessionOf(source);
  const settings = {
    ...(given.has("max_age") ? { max_age_ms: valueOf(source, "max_age") } : {}),
    ...(session === null ? {} : { session }),
  };
  return { settings, whileProcess: whileProcessOf(source) };
}

/** The first flag about a server that is given and not allowed, as it was typed; `null` if there is none. */
export function flagBesides({ flags }: Call, allowed: string[]): string | null {
  for (const { name } of START_FLAGS) {
    const value = flags.text(name);
    if (allowed.includes(name) || value === undefined && !flags.has(name)) continue;
    return `--${name}${value === undefined ? "" : ` ${system.shell.quote(value)}`}`;
  }
  return null;
}

/** Refuses flags that need a command, for nodes that are described. */
export function refuseFlags(call: Call, allowed: string[], instead: (given: string) => string): void {
  const given = flagBesides(call, allowed);
  if (given === null) return;
  throw usageError(
    `Cannot use ${given.split(" ")[0]} without a command: the nodes are described in ${PROJECT_FILE}`,
    `describe it there, or ${instead(given)}`,
  );
}

/**
 * The same for a command that does not need the file: if the file is invalid, it warns, and returns no described nodes.
 */
export async function projectIfReadable(call: Call): Promise<Project> {
  await call.workspace(); // fails without one
  try {
    return await projectOf(call);
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    call.output.warn(error.message);
    return new Map();
  }
}

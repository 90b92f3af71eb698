/**
 * Nodes that are named without a command: each as the project describes it, else as it was last started.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { recordOf } from "../state/record.ts";
import type { Call } from "./call.ts";
import {
  flagBesides,
  FLAGS_OF_KNOWN,
  leasesOf,
  type MemberOptions,
  membersOf,
  orderedNames,
  projectIfReadable,
  projectOf,
  refuseFlags,
} from "./members.ts";
import { nearOrNew, recordedNames } from "./nodes.ts";
import { runningOf } from "./starting.ts";
import type { StartMember } from "../engine/group.ts";
import { type TombstoneError, tombstoneError, usageError } from "../errors.ts";
import { statOrNull } from "../os/stat.ts";
import { lookAt, readNodeFiles } from "../engine/state.ts";
import { currentDirectory, variable } from "../os/surroundings.ts";
import { requireExecutable, searchPath } from "../process/executable.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { readRecorded } from "../state/recorded.ts";
import { type Settings, settingsOf } from "../spec/settings.ts";
import { PROJECT_FILE } from "../spec/names.ts";
import type { Project } from "../spec/project_file.ts";
import { parseVariables } from "../spec/values.ts";

/** Nodes that can be started without naming their commands. */
export interface KnownNodes {
  /** Names of all nodes to start, dependencies first. */
  names: string[];
  /** These nodes as members of a group. */
  members: (options: MemberOptions) => StartMember[];
}

/**
 * The named nodes; without names, all that the project describes or, if it describes none, all that were ever started.
 * Reports all mistakes of the call.
 *
 * @returns `null` if there are none
 * @throws {TombstoneError} one is neither described nor recorded, or a flag is given that needs a command
 */
export async function knownNodes(call: Call, action: Action): Promise<KnownNodes | null> {
  const found = new Set<string>();
  for (const node of call.nodes.length > 0 ? call.nodes : await recordedNames(call)) {
    if (isRecorded(await call.nodeDir(node, "find"))) found.add(node);
  }
  // A mistake in the file must not block a recorded node.
  const canDoWithout = action === "restart" || call.nodes.length > 0 && call.nodes.every((node) => found.has(node));
  const project = canDoWithout ? await projectIfReadable(call) : await projectOf(call);
  const named = call.nodes.length > 0 ? [...new Set(call.nodes)] : project.size > 0 ? [...project.keys()] : [...found];
  const recorded = named.filter((node) => !project.has(node) && (found.has(node) || project.size === 0));
  if (named.length === 0 || action === "start" && project.size === 0 && found.size === 0) return null;
  const unknown = recorded.find((node) => !found.has(node));
  if (unknown !== undefined) {
    const known = [...project.keys(), ...await recordedNames(call)];
    throw nothingRecorded(await call.nodeDir(unknown, "find"), action, await nearOrNew(call, unknown, known));
  }
  const described = named.filter((node) => !recorded.includes(node));
  const strange = described.find((node) => !project.has(node));
  if (strange !== undefined) throw await neverSeen(call, project, strange, action);
  const names = described.length === 0 ? [] : await orderedNames(project, described, action);
  if (action === "start") {
    if (described.length > 0) {
      refuseFlags(call, FLAGS_OF_KNOWN, (given) => `tombstone start ${call.node} ${given} -- COMMAND [ARG...]`);
    } else await refuseFlagsOfRecorded(call, recorded[0]!);
  }
  const ofRecorded = await recordedMembersOf(call, recorded, action);
  const ofDescribed = await membersOf(call, project, names);
  return {
    names: [...names, ...recorded],
    members: (options) => [...ofDescribed(options), ...ofRecorded(options)],
  };
}

/** The error for a name that is neither described nor recorded; the near one may be either. */
async function neverSeen(call: Call, project: Project, node: string, action: Action): Promise<TombstoneError> {
  return usageError(
    `Cannot ${action} "${node}": ${PROJECT_FILE} describes no such node`,
    await nearOrNew(call, node, [...project.keys(), ...await recordedNames(call)]),
  );
}

/** Refuses flags that need a command. The hint has the recorded one. */
async function refuseFlagsOfRecorded(call: Call, node: string): Promise<void> {
  const given = flagBesides(call, [...FLAGS_OF_KNOWN, "env"]);
  if (given === null) return;
  const { command, cwd } = findRecorded(await call.nodeDir(node, "find"))!;
  const elsewhere = cwd === currentDirectory() ? "" : ` --cwd ${system.shell.quote(cwd)}`;
  throw usageError(
    `Cannot use ${given.split(" ")[0]} without a command: "${node}" starts as it was last started`,
    `tombstone start ${node} ${given}${elsewhere} -- ${command.map(system.shell.quote).join(" ")}`,
  );
}

/** The command that runs. */
export type Action = "start" | "restart";

/**
 * Recorded nodes as members of a group. Everything that can be wrong is found here, before anything is stopped or started.
 *
 * @throws {TombstoneError} a node has no record, or a value that it needs is unknown
 */
async function recordedMembersOf(
  call: Call,
  names: string[],
  action: Action,
): Promise<(options: MemberOptions) => StartMember[]> {
  const workspace = await call.workspace();
  const given = parseVariables("--env", call.flags.texts("env"));
  const { options } = call;
  const leases = leasesOf(call);
  const prepared = await Promise.all(names.map(async (node) => {
    const dir = await call.nodeDir(node, "find");
    const recorded = findRecorded(dir)!;
    const { env, missing } = completeEnv(recorded, given);
    const again = `${action} ${node}${call.flags.has("replace") ? " --replace" : ""}`;
    const requireValues = () => requireNone(missing, { node, action, again });
    // One that runs already needs no values, unless it ends before it is found running.
    const mayRun = action === "start" && runningOf(call, node) === "keep" && lookAt(dir).nodeState.kind === "running";
    if (!mayRun) requireValues();
    const settings = {
      ...recorded,
      ...leases.settings,
      timeout_ms: call.duration("timeout", recorded.timeout_ms),
      env_names: [...new Set([...recorded.env_names, ...Object.keys(given)])],
    };
    requireDirectory(dir, settings.cwd, action);
    requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
    return { dir, settings, env, requireValues };
  }));
  return ({ running, different, run, whileProcess: kept }) =>
    prepared.map(({ dir, settings, env, requireValues }) => {
      const whileProcess = leases.whileProcess ?? kept?.(dir) ?? null;
      const request = {
        workspace,
        settings,
        env,
        requireValues,
        different,
        running: running(dir.node),
        run: run(dir),
        whileProcess,
      };
      return { dir, after: [], options, request: () => request };
    });
}

/** Whether a node can be started without naming its command. */
function isRecorded(dir: NodeDir): boolean {
  return findRecorded(dir) !== null;
}

/**
 * The settings of the last successful start of a node or, if there was none, of the failed or interrupted one; `null` if
 * none are known.
 */
export function findRecorded(dir: NodeDir): Settings | null {
  const { info, tombstone } = readNodeFiles(dir);
  const kept = recordOf(info) ?? readRecorded(dir).settings;
  for (const settings of [kept, recordOf(tombstone)]) {
    if (settings !== null && settings.command.length > 0) return settingsOf(settings);
  }
  return null;
}

function requireDirectory({ node }: NodeDir, cwd: string, action: Action): void {
  if (statOrNull(cwd, { place: "elsewhere", unseen: "missing" })?.isDirectory) return;
  throw usageError(
    `Cannot ${action} "${node}" as it was: its directory "${cwd}" is gone`,
    `tombstone start ${node} -- COMMAND [ARG...], from another directory`,
  );
}

function nothingRecorded({ workspace, node }: NodeDir, action: Action, hint: string): TombstoneError {
  return tombstoneError(`Cannot ${action} "${node}": no command is recorded for it`, {
    kind: "nothing-there",
    hint,
    details: { workspace, node },
  });
}

/** Values of variables are never recorded, so they come from `--env` of this call or from its environment. */
function completeEnv(
  recorded: Settings,
  given: Record<string, string>,
): { env: Record<string, string>; missing: string[] } {
  const env: Record<string, string> = { ...given };
  const missing: string[] = [];
  for (const name of recorded.env_names) {
    const value = env[name] ?? variable(name);
    if (value === undefined) missing.push(name);
    else env[name] = value;
  }
  return { env, missing };
}

function requireNone(
  missing: string[],
  { node, action, again }: { node: string; action: Action; again: string },
): void {
  if (missing.length === 0) return;
  throw usageError(
    `Cannot ${action} "${node}": it was started with --env ${missing.join(", ")}, whose value is not recorded`,
    `tombstone ${again} ${missing.map((name) => `--env ${name}=VALUE`).join(" ")}`,
  );
}

/**
 * The nodes that no file describes, for the commands that start them as they were last started.
 *
 * @module
 */
import type { Call } from "./call.ts";
import type { MemberOptions } from "./members.ts";
import { type TombstoneError, tombstoneError, usageError } from "../errors.ts";
import { errnoOf } from "../errno.ts";
import type { StartMember } from "../engine/group.ts";
import { readNodeFiles } from "../engine/state.ts";
import { variable } from "../os/surroundings.ts";
import { requireExecutable, searchPath } from "../process/executable.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { readRecorded } from "../state/recorded.ts";
import { type Settings, settingsOf } from "../spec/settings.ts";
import { parseVariables } from "../spec/values.ts";

/** What is to be done with the nodes. */
export type Action = "start" | "restart";

/**
 * Recorded nodes as members of a group. Everything that can be wrong is found here, before anything is stopped or started.
 *
 * @throws {TombstoneError} nothing is recorded of one, or a value that it needs is not known
 */
export async function recordedMembersOf(
  call: Call,
  names: string[],
  action: Action,
): Promise<(options: MemberOptions) => StartMember[]> {
  const workspace = await call.workspace();
  const given = parseVariables("--env", call.flags.texts("env"));
  const { options } = call;
  const prepared = await Promise.all(names.map(async (node) => {
    const dir = await call.nodeDir(node, "find");
    const recorded = findRecorded(dir);
    if (recorded === null) throw nothingRecorded(dir, action);
    const env = completeEnv(dir, recorded, given, action);
    const settings = {
      ...recorded,
      timeout_ms: call.duration("timeout", recorded.timeout_ms),
      env_names: Object.keys(env),
    };
    requireDirectory(dir, settings.cwd, action);
    requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
    return { dir, settings, env };
  }));
  return ({ running, different, run }) =>
    prepared.map(({ dir, settings, env }) => {
      const request = { workspace, settings, env, different, running: running(dir.node), run: run(dir) };
      return { dir, after: [], options, request: () => request };
    });
}

/** Whether a node can be started without its command being named. */
export function isRecorded(dir: NodeDir): boolean {
  return findRecorded(dir) !== null;
}

/**
 * What a node was last started with: the last start that committed or, where none ever has, the one that failed or was
 * interrupted; `null`: nothing is known.
 */
function findRecorded(dir: NodeDir): Settings | null {
  const { info, tombstone } = readNodeFiles(dir);
  const kept = info.kind === "record" ? info.record : readRecorded(dir).settings;
  for (const settings of [kept, tombstone.kind === "record" ? tombstone.record : null]) {
    if (settings !== null && settings.command.length > 0) return settingsOf(settings);
  }
  return null;
}

function requireDirectory({ node }: NodeDir, cwd: string, action: Action): void {
  try {
    if (Deno.statSync(cwd).isDirectory) return;
  } catch (error) {
    if (errnoOf(error) === null) throw error; // else it is gone, or not to be seen
  }
  throw usageError(
    `Cannot ${action} "${node}" as it was: its directory "${cwd}" is gone`,
    `tombstone start ${node} -- COMMAND [ARG...], from another directory`,
  );
}

function nothingRecorded({ workspace, node }: NodeDir, action: Action): TombstoneError {
  return tombstoneError(`Cannot ${action} "${node}": no command is recorded for it`, {
    kind: "nothing-there",
    hint: `tombstone start ${node} -- COMMAND [ARG...]`,
    details: { workspace, node },
  });
}

/** Values of variables are never recorded, so those given with `--env` come from this call or its environment. */
function completeEnv(
  dir: NodeDir,
  recorded: Settings,
  given: Record<string, string>,
  action: Action,
): Record<string, string> {
  const env: Record<string, string> = { ...given };
  const missing: string[] = [];
  for (const name of recorded.env_names) {
    const value = env[name] ?? variable(name);
    if (value === undefined) missing.push(name);
    else env[name] = value;
  }
  if (missing.length === 0) return env;
  throw usageError(
    `Cannot ${action} "${dir.node}": it was started with --env ${missing.join(", ")}, whose value is not recorded`,
    `tombstone ${action} ${dir.node} ${missing.map((name) => `--env ${name}=VALUE`).join(" ")}`,
  );
}

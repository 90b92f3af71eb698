/**
 * `tombstone restart`.
 *
 * @module
 */
import { variable } from "../../os/surroundings.ts";
import type { Call, Result } from "../call.ts";
import { parseEnv } from "../../spec/values.ts";
import { type TombstoneError, tombstoneError, usageError } from "../../errors.ts";
import type { Project } from "../../spec/project_file.ts";
import { stopGroup } from "../../engine/group.ts";
import { lookAt, readNodeFiles } from "../../engine/state.ts";
import { tellKilled } from "../../engine/leftovers.ts";
import { requireExecutable, searchPath } from "../../process/executable.ts";
import { existsDir, type NodeDir } from "../../state/node_dir.ts";
import type { RunOwner } from "../../state/node_info.ts";
import { type Settings, settingsOf } from "../../spec/recorded_settings.ts";
import { recordedNames } from "../nodes.ts";
import { startAndTell, startMembers } from "../starting.ts";

/** Runs the command: with nodes as the project describes them, or with one as it is recorded. */
export async function run(call: Call): Promise<Result> {
  const { projectIfReadable } = await import("../members.ts");
  // What is wrong in the file must not keep anybody from a node that is recorded.
  const project = await projectIfReadable(call);
  const isDescribed = call.nodes.length === 0 ? project.size > 0 : call.nodes.some((node) => project.has(node));
  if (isDescribed) return await restartDescribed(call, project);
  const names = call.nodes.length > 0 ? call.nodes : await recordedNames(call);
  const [name, second] = names;
  if (name === undefined) throw nothingRecorded();
  if (second !== undefined) {
    throw usageError(
      `Cannot restart ${names.map((node) => `"${node}"`).join(", ")} at once: no tombstone.json describes them`,
      `one by one: tombstone restart ${name}`,
    );
  }
  return await restartRecorded(call, name);
}

function nothingRecorded(): TombstoneError {
  return tombstoneError("Cannot restart anything: there are no nodes in this workspace", {
    kind: "nothing-there",
    hint: "tombstone start -- COMMAND [ARG...]",
  });
}

/**
 * One node is replaced by one start; several are stopped first, in the order in which that can be done. A restart that
 * is killed half-way leaves what `start` brings up as described.
 */
async function restartDescribed(call: Call, project: Project): Promise<Result> {
  const { membersOf, needsOf, orderedNames } = await import("../members.ts");
  const names = await orderedNames(project, call.nodes, "restart");
  const wanted = call.nodes.length === 0 ? names : names.filter((node) => call.nodes.includes(node));
  const dirs = new Map<string, NodeDir>();
  for (const node of names) dirs.set(node, await call.nodeDir(node, "find"));
  const runs = new Map(names.map((node) => [node, runOf(dirs.get(node)!)]));
  const members = (await membersOf(call, project, names))({
    running: (node) => wanted.length === 1 && wanted[0] === node ? "replace" : "keep",
    different: "tell",
    run: (node) => runs.get(node)!,
    env: parseEnv("--env", call.flags.texts("env")),
  });
  const killed = new Map<string, number[]>();
  if (wanted.length > 1) {
    const { lockTimeoutMs, foreign, output: reporter } = call;
    const running = wanted.filter((node) => existsDir(dirs.get(node)!) === "present");
    await stopGroup(running.map((node) => ({ node, after: needsOf(project, node), dir: dirs.get(node)! })), {
      options: () => ({ lockTimeoutMs, foreign, reporter }),
      onStopped(node, stopped) {
        killed.set(node, stopped.killed);
        tellKilled(dirs.get(node)!, stopped.killed, reporter);
        if (stopped.recovered !== null) reporter.recovered(node, stopped.recovered);
      },
    });
  }
  return await startMembers(call, members, killed);
}

/** The run that a node belongs to, which it goes on to do. */
function runOf(dir: NodeDir): RunOwner | null {
  const { nodeState } = lookAt(dir);
  return nodeState.kind === "running" ? nodeState.info.run : null;
}

/**
 * It is one start that replaces what runs, so that a restart killed half-way leaves a tombstone that still knows the
 * command.
 */
async function restartRecorded(call: Call, node: string): Promise<Result> {
  const given = parseEnv("--env", call.flags.texts("env"));
  const dir = await call.nodeDir(node, "find");
  const recorded = findRecorded(dir);
  const env = completeEnv(dir, recorded, given);
  const settings = {
    ...recorded,
    timeout_ms: call.duration("timeout", recorded.timeout_ms),
    env_names: Object.keys(env),
  };
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
  const { lockTimeoutMs } = call;
  return await startAndTell(call, {
    dir,
    settings,
    env,
    running: "replace",
    different: "tell",
    lockTimeoutMs,
    run: runOf(dir),
  });
}

/** What the node was last started with, from its commit record or, if it never came that far, from the tombstone. */
function findRecorded(dir: NodeDir): Settings {
  const { info, tombstone } = readNodeFiles(dir);
  for (const found of [tombstone, info]) {
    if (found.kind === "record" && found.record.command.length > 0) return settingsOf(found.record);
  }
  throw tombstoneError(`Cannot restart "${dir.node}": no command is recorded for it`, {
    kind: "nothing-there",
    hint: `tombstone start ${dir.node} -- COMMAND [ARG...]`,
    details: { workspace: dir.workspace, node: dir.node },
  });
}

/** Values of variables are never recorded, so those given with `--env` come from this call or its environment. */
function completeEnv(dir: NodeDir, recorded: Settings, given: Record<string, string>): Record<string, string> {
  const env: Record<string, string> = { ...given };
  const missing: string[] = [];
  for (const name of recorded.env_names) {
    const value = env[name] ?? variable(name);
    if (value === undefined) missing.push(name);
    else env[name] = value;
  }
  if (missing.length === 0) return env;
  throw usageError(
    `Cannot restart "${dir.node}": it was started with --env ${missing.join(", ")}, whose value is not recorded`,
    `tombstone restart ${dir.node} ${missing.map((name) => `--env ${name}=VALUE`).join(" ")}`,
  );
}

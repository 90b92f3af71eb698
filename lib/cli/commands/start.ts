/**
 * `tombstone start`.
 *
 * @module
 */
import { requireOneNode, runningOf, startAndTell, startMembers } from "../starting.ts";
import { requireExecutable, searchPath } from "../../process/executable.ts";
import type { Call, Result } from "../call.ts";
import { START_FLAGS } from "../start_flags.ts";
import { settingsFrom } from "../../spec/settings.ts";
import { parseEnv } from "../../spec/values.ts";
import { type TombstoneError, usageError } from "../../errors.ts";

/** Runs the command: the one node whose command is given, or those that the project describes. */
export async function run(call: Call): Promise<Result> {
  if (call.serverCommand === null) return await startDescribed(call);
  if (call.serverCommand.length === 0) throw noCommand(call);
  requireOneNode(call);
  const settings = settingsFrom(call.source, call.serverCommand);
  const env = parseEnv("--env", call.flags.texts("env"));
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
  const { lockTimeoutMs } = call;
  const running = call.flags.has("replace") ? "replace" : "keep";
  // The last mistake that a command line can hold is known by now; from here on there is state.
  const dir = await call.nodeDir(call.node, "ensure");
  return await startAndTell(call, { dir, settings, env, running, different: "refuse", lockTimeoutMs, run: null });
}

function noCommand(call: Call): TombstoneError {
  // Several names, and nothing that they could be names of: they are the command.
  const command = call.nodes.length > 1 ? call.nodes.join(" ") : null;
  return usageError(
    `Cannot start "${call.node}": no command after --`,
    command === null
      ? `tombstone start ${call.node} -- COMMAND [ARG...], or describe it: tombstone init`
      : `tombstone start -- ${command}`,
  );
}

async function startDescribed(call: Call): Promise<Result> {
  // Its code is loaded where there is a file to read.
  const { projectOf, orderedNames, membersOf, refuseFlags } = await import("../members.ts");
  const project = await projectOf(call);
  if (project.size === 0) throw noCommand(call);
  const names = await orderedNames(project, call.nodes, "start");
  refuseFlags(call, START_FLAGS, ["timeout", "lock-timeout", "replace", "force", "trace"]);
  const members = (await membersOf(call, project, names))({
    running: (node) => runningOf(call, node),
    different: "tell",
    run: () => null,
  });
  return await startMembers(call, members);
}

/**
 * `tombstone start`.
 *
 * @module
 */
import { requireOneNode, runningOf, startAndTell, startMembers } from "../starting.ts";
import { requireExecutable, searchPath } from "../../process/executable.ts";
import type { Call, Result } from "../call.ts";
import { nearOrNew } from "../nodes.ts";
import { prepare } from "../../engine/preflight.ts";
import { type TombstoneError, usageError } from "../../errors.ts";

/** Runs the command: for the given command, or for nodes that are described or were started before. */
export async function run(call: Call): Promise<Result> {
  if (call.serverCommand === null) return await startKnown(call);
  if (call.serverCommand.length === 0) throw await noCommand(call);
  requireOneNode(call);
  const { settings, env, whileProcess } = prepare(call.sourceOf(call.serverCommand));
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
  const running = call.flags.has("replace") ? "replace" : "keep";
  const { options } = call;
  // The command line is completely checked now; from here on, state is touched.
  const dir = await call.nodeDir(call.node, "ensure");
  const how = { running, different: "refuse", run: null, whileProcess } as const;
  return await startAndTell(call, { ...options, ...how, dir, settings, env });
}

async function noCommand(call: Call): Promise<TombstoneError> {
  // Several names without a command: probably they are the command, and -- is missing.
  const command = call.nodes.length > 1 ? call.nodes.join(" ") : null;
  return usageError(
    `Cannot start "${call.node}": no command after --`,
    command === null
      ? `${await nearOrNew(call, call.node)}, or describe it: tombstone init`
      : `tombstone start -- ${command}`,
  );
}

async function startKnown(call: Call): Promise<Result> {
  // Loaded only here, where it is needed.
  const { knownNodes } = await import("../known.ts");
  const known = await knownNodes(call, "start");
  if (known === null) throw await noCommand(call);
  const members = known.members({
    running: (node) => runningOf(call, node),
    different: "tell",
    run: () => null,
  });
  return await startMembers(call, members);
}

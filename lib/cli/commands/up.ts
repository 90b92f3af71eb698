/**
 * `tombstone up`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { prepare } from "../../engine/preflight.ts";
import { EXIT, retold, TombstoneError, usageError } from "../../errors.ts";
import type { StartMember } from "../../engine/group.ts";
import { up, type UpResult } from "../../engine/up.ts";
import { requireExecutable, searchPath } from "../../process/executable.ts";
import type { RunOwner } from "../../state/node_info.ts";
import { Follower } from "../follower.ts";
import { describeKilled } from "../describe.ts";
import { documentOfServer, nameOf, outputsOf, requireOneNode, resultOf, runningOf } from "../starting.ts";

/**
 * Runs the command: as `start`, but in the foreground. The servers' output goes to stdout, or with `--json` to stderr;
 * messages of this command go to stderr.
 */
export async function run(call: Call): Promise<Result> {
  const { output } = call;
  const members = await membersOf(call);
  const dirs = new Map(members(null).map(({ dir }) => [dir.node, dir]));
  using follower = new Follower(output, [...dirs.values()]);
  const result = await up({
    name: nameOf(members(null)),
    members,
    reporter: output,
    copy: (exited) => exited === null ? follower.copy() : follower.finish(exited),
    onReady(node, started) {
      for (const line of resultOf(dirs.get(node)!, started).lines) output.info(line);
      output.outputs(outputsOf(dirs.get(node)!, started), dirs.size === 1 ? undefined : node);
    },
    onStopped(node, { stopped, killed }) {
      if (stopped) output.info(`stopped "${node}"${describeKilled(killed)}`);
    },
  }).catch((error) => {
    throw withoutShown(output, error);
  });
  const { cause, died, nodes } = result;
  if (died !== null) throw withoutShown(output, cause!);
  for (const [node, { stopped, started, left }] of nodes) {
    if (!stopped && started && left === "running") output.info(`"${node}" was started anew meanwhile, and goes on`);
  }
  if (cause === null) output.info(`other commands have stopped ${dirs.size === 1 ? "it" : "all of them"}`);
  return { exitCode: cause?.exitCode ?? EXIT.ok, document: documentOf(call, result), lines: [] };
}

/** The error without the end of the log, if that is on the same terminal already. Who ignores stdout sees it in the error. */
function withoutShown(output: Call["output"], error: unknown): unknown {
  const isShown = output.mode.form === "text" && output.logs.isAmongMessages;
  return isShown && error instanceof TombstoneError ? retold(error, { logTail: [] }) : error;
}

type Members = (owner: RunOwner | null) => StartMember[];

/** The node of a command, or those that are described or were started before. */
async function membersOf(call: Call): Promise<Members> {
  const command = call.serverCommand;
  if (command === null) {
    const { knownNodes } = await import("../known.ts");
    const known = await knownNodes(call, "start");
    if (known === null) throw noCommand(call);
    return (run) => known.members({ running: (node) => runningOf(call, node), different: "tell", run: () => run });
  }
  if (command.length === 0) throw noCommand(call);
  requireOneNode(call);
  const { settings, env, whileProcess } = prepare(call.sourceOf(command));
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
  const dir = await call.nodeDir(call.node, "ensure");
  const workspace = await call.workspace();
  const running = call.flags.has("replace") ? "replace" : "keep";
  const request = { workspace, settings, env, running, whileProcess, different: "refuse" } as const;
  return (run) => [{ dir, after: [], options: call.options, request: () => ({ ...request, run }) }];
}

function noCommand(call: Call): TombstoneError {
  return usageError(
    `Cannot keep up "${call.node}": no command after --`,
    `tombstone up ${call.node} -- COMMAND [ARG...], or describe it: tombstone init`,
  );
}

/** One document for one named node or one command; else a list. */
function documentOf(call: Call, { nodes }: UpResult): unknown {
  const documents = Array.from(nodes.values(), documentOfServer);
  return call.serverCommand !== null || call.nodes.length === 1 ? documents.at(-1) : { nodes: documents };
}

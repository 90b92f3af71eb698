/**
 * `tombstone run`.
 *
 * @module
 */
import { system } from "../../os/system.ts";
import { fillPort } from "../../spec/placeholders.ts";
import { currentDirectory } from "../../os/surroundings.ts";
import type { Call, Result } from "../call.ts";
import { START_FLAGS } from "../start_flags.ts";
import { prepare } from "../../engine/preflight.ts";
import { EXIT, usageError } from "../../errors.ts";
import type { StartMember } from "../../engine/group.ts";
import { addressOf } from "../../readiness/http.ts";
import { reportOfInfo } from "../../engine/report.ts";
import type { Started } from "../../engine/request.ts";
import { run as runTest, type RunResult } from "../../engine/run.ts";
import { describeKilled } from "../output.ts";
import { requireExecutable, searchPath } from "../../process/executable.ts";
import type { RunOwner } from "../../state/node_info.ts";
import { FLAGS_OF_KNOWN, membersOf, orderedNames, placesOf, projectOf, refuseFlags } from "../members.ts";
import { nameOf, outputsOf, requireOneNode, resultOf, runningOf } from "../starting.ts";

/**
 * Runs the command: with the server of `--serve`, or with the described ones. The test command has the terminal; messages
 * of this command go to stderr.
 */
export async function run(call: Call): Promise<Result> {
  const { flags, output } = call;
  const test = call.serverCommand ?? [];
  const usage = `tombstone run ${call.node} --serve "COMMAND" -- TEST [ARG...]`;
  const prepare = flags.text("serve") === undefined ? await describedMembers(call, usage) : ownMember;
  if (test.length === 0) throw usageError(`Cannot run "${call.node}": no test command after --`, usage);
  requireExecutable(test[0]!, { cwd: currentDirectory(), path: searchPath() });
  const members = await prepare(call);
  const dirs = new Map(members(null).map(({ dir }) => [dir.node, dir]));
  const result = await runTest({
    name: nameOf(members(null)),
    members,
    reporter: output,
    serverDeath: flags.has("fail-fast") ? "end" : "go on",
    onReady(node, started) {
      for (const line of resultOf(dirs.get(node)!, started).lines) output.info(line);
      output.outputs(outputsOf(dirs.get(node)!, started), dirs.size === 1 ? undefined : node);
    },
    onStopped(node, { stopped, killed }) {
      if (stopped) output.info(`stopped "${node}"${describeKilled(killed)}`);
    },
    test(nodes) {
      const place = addressFor(call, nodes);
      const words = test.map((word) => fillPort(word, place?.port ?? null));
      return {
        // With --json, stdout must be one document, so the output of the test goes to stderr.
        command: output.mode.form === "json" ? system.shell.toStderr(words) : words,
        env: {
          ...(dirs.size === 1 ? {} : placesOf([...dirs.keys()], nodes)),
          ...(place === null ? {} : { PORT: String(place.port), TOMBSTONE_URL: place.url }),
        },
      };
    },
  });
  for (const [node, { stopped, started, left }] of result.nodes) {
    if (!stopped && started && left === "running") output.info(`"${node}" was started anew meanwhile, and goes on`);
  }
  return { exitCode: exitCodeOf(result), document: documentOf(call, result, test), lines: [] };
}

type Members = (owner: RunOwner | null) => StartMember[];

/** The one node of `--serve`. */
async function ownMember(call: Call): Promise<Members> {
  const { flags, options } = call;
  requireOneNode(call);
  const { settings, env } = prepare(call.sourceOf(flags.text("serve")!));
  const dir = await call.nodeDir(call.node, "ensure");
  const workspace = await call.workspace();
  const running = flags.has("replace") ? "replace" : "keep";
  const request = { workspace, settings, env, running, different: "refuse" } as const;
  return (run) => [{ dir, after: [], options, request: () => ({ ...request, run }) }];
}

/** The described nodes; it is an error if there are none. */
async function describedMembers(call: Call, usage: string): Promise<(call: Call) => Promise<Members>> {
  const project = await projectOf(call);
  if (project.size === 0) throw usageError(`Cannot run "${call.node}": the server's command is missing`, usage);
  const names = await orderedNames(project, call.nodes, "run");
  refuseFlags(call, START_FLAGS, { allowed: FLAGS_OF_KNOWN, settings: "described" });
  return async (call) => {
    const prepared = await membersOf(call, project, names);
    // A test against another server than the described one would say nothing about the project.
    return (run) => prepared({ running: (node) => runningOf(call, node), different: "refuse", run: () => run });
  };
}

/** The node whose address the test gets as `PORT` and `TOMBSTONE_URL`: the only one, or the named one. */
function addressFor(call: Call, nodes: ReadonlyMap<string, Started>): { port: number; url: string } | null {
  const node = nodes.size === 1 ? [...nodes.keys()][0]! : call.nodes.length === 1 ? call.node : null;
  const started = node === null ? undefined : nodes.get(node);
  return started === undefined ? null : addressOf(started.info);
}

function exitCodeOf({ test: { cause, status } }: RunResult): number {
  if (cause === null) return status.code;
  return cause === "watch" ? EXIT.failed : cause.exitCode;
}

/** One document for one named node or that of `--serve`; else a list. */
function documentOf(
  call: Call,
  { nodes, test: { status, durationMs, leftovers } }: RunResult,
  command: string[],
): unknown {
  const test = {
    command,
    exit_code: status.code,
    signal: status.signal,
    duration_ms: durationMs,
    ended: leftovers.pids,
    killed: leftovers.killed,
  };
  const documents = Array.from(
    nodes,
    ([node, { dir, info, started, recovered, differs, stopped, killed, serverDied, left }]) => ({
      ...reportOfInfo(dir, info, left),
      node,
      started,
      recovered,
      differs,
      killed,
      stopped,
      server_died: serverDied,
    }),
  );
  const isOne = call.nodes.length === 1 || call.flags.text("serve") !== undefined;
  return isOne ? { ...documents.find(({ node }) => node === call.node)!, test } : { nodes: documents, test };
}

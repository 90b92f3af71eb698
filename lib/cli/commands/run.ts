/**
 * `tombstone run`.
 *
 * @module
 */
import { system } from "../../os/system.ts";
import { fillPort } from "../../spec/placeholders.ts";
import type { Call, Result } from "../call.ts";
import { EXIT, usageError } from "../../errors.ts";
import type { StartMember } from "../../engine/group.ts";
import { addressOf, lastLinesOfItsOwn } from "../../readiness/http.ts";
import type { Started } from "../../engine/request.ts";
import { run as runTest, type RunResult } from "../../engine/run.ts";
import { describeKilled } from "../describe.ts";
import type { RunOwner } from "../../state/node_info.ts";
import { FLAGS_OF_KNOWN, membersOf, orderedNames, placesOf, projectOf, refuseFlags } from "../members.ts";
import { membersOfServers, serversOf, testOf } from "../serve.ts";
import { documentOfServer, nameOf, outputsOf, resultOf, runningOf } from "../starting.ts";

/**
 * Runs the command: with the servers of `--serve`, else the described ones, else the package's own. The test command has
 * the terminal; messages of this command go to stderr.
 */
export async function run(call: Call): Promise<Result> {
  const { flags, output } = call;
  const given = call.serverCommand ?? [];
  const serves = flags.texts("serve").map((serve) => `--serve ${system.shell.quote(serve)}`);
  const server = serves.length === 0 ? '--serve "COMMAND"' : serves.join(" ");
  const usage = [
    "tombstone run",
    ...call.nodes,
    server,
    "--",
    given.length === 0 ? "TEST [ARG...]" : given.map(system.shell.quote).join(" "),
  ].join(" ");
  if (given.length === 0) throw usageError(`Cannot run "${call.node}": no test command after --`, usage);
  const showLog = showLogOf(flags.text("show-log"));
  const prepare = await preparation(call, usage);
  const test = await testOf(call, given);
  const { members, isOne } = await prepare();
  const dirs = new Map(members(null).map(({ dir }) => [dir.node, dir]));
  const tails = new Map<string, string[]>();
  const result = await runTest({
    name: nameOf(members(null)),
    members,
    reporter: output,
    serverDeath: flags.has("fail-fast") ? "end" : "go on",
    onReady(node, started) {
      for (const line of resultOf(dirs.get(node)!, started).lines) output.info(line);
      output.outputs(outputsOf(dirs.get(node)!, started), dirs.size === 1 ? undefined : node);
    },
    onTested(end, nodes) {
      if (showLog === "never" || showLog === "failure" && !hasFailed(end)) return;
      for (const { dir, info, serverDied } of nodes) {
        if (serverDied) continue;
        const lines = lastLinesOfItsOwn(dir.log, info.probes, LOG_LINES);
        tails.set(dir.node, lines);
        output.tail(`the last lines of the log of "${dir.node}":`, lines);
      }
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
    if (!stopped && started && left === "running") {
      output.info(`"${node}" was started again meanwhile, and keeps running`);
    }
  }
  return { exitCode: exitCodeOf(result), document: documentOf(result, { command: test, isOne, tails }), lines: [] };
}

/** Lines of a log that are shown after a test. */
const LOG_LINES = 50;

/** When the ends of the servers' logs are shown after the test. */
const SHOW_LOG = ["always", "failure", "never"] as const;

function showLogOf(value = "failure"): (typeof SHOW_LOG)[number] {
  const found = SHOW_LOG.find((one) => one === value);
  if (found !== undefined) return found;
  throw usageError(`Cannot use "${value}" for --show-log: expected ${SHOW_LOG.join(", ")}`, "--show-log failure");
}

/** Whether the test itself has failed. A test that a signal ended has not. */
function hasFailed({ cause, status }: RunResult["test"]): boolean {
  return cause === "watch" || cause === null && status.code !== 0;
}

/** The nodes of a run. */
interface Prepared {
  members: (run: RunOwner | null) => StartMember[];
  /** Whether the document is about one node. */
  isOne: boolean;
}

/** The nodes of this call, after all mistakes in it were reported. */
async function preparation(call: Call, usage: string): Promise<() => Promise<Prepared>> {
  const project = call.flags.texts("serve").length > 0 ? null : await projectOf(call);
  if (project === null || project.size === 0) {
    const servers = await serversOf(call, usage);
    return async () => ({ members: await membersOfServers(call, servers), isOne: servers.length === 1 });
  }
  const names = await orderedNames(project, call.nodes, "run");
  refuseFlags(call, FLAGS_OF_KNOWN, (given) => `tombstone run ${given} --serve "COMMAND" -- TEST [ARG...]`);
  return async () => {
    const prepared = await membersOf(call, project, names);
    // A test against another server than the described one would say nothing about the project.
    const running = (node: string) => runningOf(call, node);
    return {
      members: (run) => prepared({ running, different: "refuse", run: () => run }),
      isOne: call.nodes.length === 1,
    };
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

/** One document for one named node or one server of this call; else a list. */
function documentOf(
  { nodes, test: { status, durationMs, leftovers } }: RunResult,
  { command, isOne, tails }: { command: string[]; isOne: boolean; tails: ReadonlyMap<string, string[]> },
): unknown {
  const test = {
    command,
    exit_code: status.code,
    signal: status.signal,
    duration_ms: durationMs,
    ended: leftovers.pids,
    killed: leftovers.killed,
  };
  const documents = Array.from(nodes, ([node, server]) => ({
    ...documentOfServer(server),
    server_died: server.serverDied,
    log_tail: tails.get(node) ?? [],
  }));
  return isOne ? { ...documents.at(-1), test } : { nodes: documents, test };
}

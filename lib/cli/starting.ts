/**
 * Starting nodes and reporting the results, for `start`, `restart`, `run` and `up`.
 *
 * @module
 */
import type { Call, Result } from "./call.ts";
import { EXIT, usageError } from "../errors.ts";
import { type Member, startGroup, type StartMember } from "../engine/group.ts";
import { system } from "../os/system.ts";
import { type NodeReport, reportOfInfo } from "../engine/report.ts";
import { listenToSignals } from "../engine/signals.ts";
import type { Started, StartRequest } from "../engine/request.ts";
import type { ServerResult } from "../engine/server.ts";
import { start } from "../engine/start.ts";
import { address, type Paint, PLAIN } from "./render.ts";
import { isStep } from "../spec/probes.ts";
import type { NodeDir } from "../state/node_dir.ts";

/** Refuses several nodes with one command. */
export function requireOneNode(call: Call): void {
  const second = call.nodes[1];
  if (second === undefined) return;
  throw usageError(
    `Cannot use the argument "${second}": a command is for one node`,
    `the server's command comes after --: tombstone start ${call.node} -- COMMAND`,
  );
}

/**
 * What to do with a described node that already runs. `--replace` applies to the named nodes, not to their
 * dependencies.
 */
export function runningOf(call: Call, node: string): "keep" | "replace" {
  const isMeant = call.nodes.length === 0 || call.nodes.includes(node);
  return call.flags.has("replace") && isMeant ? "replace" : "keep";
}

/** Starts several nodes and reports each when it is ready. The document includes the processes killed before. */
export async function startMembers(
  call: Call,
  members: StartMember[],
  killed: ReadonlyMap<string, number[]> = new Map(),
): Promise<Result> {
  const { output } = call;
  using interrupt = listenToSignals("start", nameOf(members));
  const dirs = new Map(members.map(({ dir }) => [dir.node, dir]));
  const started = await startGroup(members, {
    abort: interrupt.abort,
    reporter: output,
    onStarted: (node, started) => {
      const { lines } = resultOf(dirs.get(node)!, started, output.paint);
      if (output.mode.form === "text") output.result(null, lines);
      output.outputs(outputsOf(dirs.get(node)!, started), members.length === 1 ? undefined : node);
    },
    onUndone: (node, { stopped }) => {
      if (stopped) output.info(`stopped "${node}" again`);
    },
  });
  tellEnding(call, members.map(({ dir }) => dir.node).filter((node) => isLasting(started.get(node)!)));
  const documents = new Map(members.map(({ dir }) => {
    const begun = started.get(dir.node)!;
    const all = [...killed.get(dir.node) ?? [], ...begun.killed];
    return [dir.node, resultOf(dir, { ...begun, killed: all }).document];
  }));
  // The form of the document depends on what was typed, not on the file.
  const document = call.nodes.length === 1 ? documents.get(call.node) : { nodes: [...documents.values()] };
  return { exitCode: EXIT.ok, document, lines: [] };
}

/** Name of a group in messages. */
export function nameOf(members: Member[]): string {
  return members.map(({ dir }) => dir.node).join(" ");
}

/** Starts a node and reports it at the commit: only clean-up follows. */
export async function startAndTell(
  call: Call,
  request: Omit<StartRequest, "workspace" | "abort" | "onCommit">,
): Promise<Result> {
  using interrupt = listenToSignals("start", call.node);
  let printed: Result | null = null;
  const started = await start({
    ...request,
    workspace: await call.workspace(),
    abort: interrupt.abort,
    onCommit: (started) => {
      printed = { ...resultOf(request.dir, started, call.output.paint), isPrinted: true };
      call.output.result(printed.document, printed.lines);
      call.output.outputs(outputsOf(request.dir, started));
    },
  });
  if (printed === null) call.output.outputs(outputsOf(request.dir, started));
  if (isLasting(started)) tellEnding(call, [request.dir.node]);
  return printed ?? resultOf(request.dir, started, call.output.paint);
}

/** Whether a server was started that is meant to go on. */
const isLasting = ({ started, info }: Started) => started && !isStep(info);

/** Warns that what was started ends with the command line of the caller: where that has a sandbox of its own. */
function tellEnding({ output }: Call, nodes: string[]): void {
  if (nodes.length === 0 || system.host.outlivesCommand() !== false) return;
  const [ends, them] = nodes.length === 1 ? ["ends", "it"] : ["end", "them"];
  output.warn(
    `${nodes.map((node) => `"${node}"`).join(", ")} ${ends} with this command line, because its sandbox does (a pid ` +
      `namespace); use ${them} in the same line, or give the test to tombstone run`,
  );
}

/** Outputs of a node for later steps of a CI job. */
export function outputsOf(dir: NodeDir, { info }: Started): Record<string, string | number | null> {
  const { pid, port, url } = reportOfInfo(dir, info, "running");
  return { pid, port, url };
}

/** The report of a node that is ready. */
export function resultOf(
  dir: NodeDir,
  { started, info, recovered, differs, killed }: Started,
  paint: Paint = PLAIN,
): Result {
  if (isStep(info)) {
    const report = { ...reportOfInfo(dir, info, "stopped"), ready: true, started, recovered, differs, killed };
    return {
      exitCode: EXIT.ok,
      document: report,
      lines: [`${paint.good("ran")} "${dir.node}" in ${info.ready_ms} ms`],
    };
  }
  const report = reportOfInfo(dir, info, "running");
  const where = address(report) === null ? "" : ` on ${address(report)}`;
  const more = info.also_listens.length === 0 ? "" : `, also listens on ${info.also_listens.join(", ")}`;
  const line = started
    ? `${paint.good("started")} "${dir.node}" (pid ${info.pid})${where} in ${info.ready_ms} ms${more}`
    : `"${dir.node}" is already running (pid ${info.pid})${where}`;
  const survives = system.host.outlivesCommand();
  const document = { ...report, ready: true, started, survives, recovered, differs, killed };
  return { exitCode: EXIT.ok, document, lines: [line] };
}

/** The document of a server of `run` or `up`. */
export function documentOfServer(
  { dir, info, started, recovered, differs, killed, stopped, left }: ServerResult,
): NodeReport & { stopped: boolean } {
  return { ...reportOfInfo(dir, info, left), started, recovered, differs, killed, stopped };
}

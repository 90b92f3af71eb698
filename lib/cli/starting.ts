/**
 * Starting nodes and reporting what came of it, for the commands that do.
 *
 * @module
 */
import type { Call, Result } from "./call.ts";
import { EXIT, usageError } from "../errors.ts";
import { type Member, startGroup, type StartMember } from "../engine/group.ts";
import { reportOfInfo } from "../engine/report.ts";
import { listenToSignals } from "../engine/signals.ts";
import type { Started, StartRequest } from "../engine/request.ts";
import { start } from "../engine/start.ts";
import { address, type Paint, PLAIN } from "./render.ts";
import type { NodeDir } from "../state/node_dir.ts";

/** A command on the command line is that of one node. */
export function requireOneNode(call: Call): void {
  const second = call.nodes[1];
  if (second === undefined) return;
  throw usageError(
    `Cannot use the argument "${second}": a command is for one node`,
    `the server's command comes after --: tombstone start ${call.node} -- COMMAND`,
  );
}

/** What to do with a described node that runs already: what the named ones need is never replaced. */
export function runningOf(call: Call, node: string): "keep" | "replace" {
  const isMeant = call.nodes.length === 0 || call.nodes.includes(node);
  return call.flags.has("replace") && isMeant ? "replace" : "keep";
}

/** Starts several nodes, and tells of each as it is ready; and in the document, who had to be killed before. */
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
  const documents = new Map(members.map(({ dir }) => {
    const begun = started.get(dir.node)!;
    const all = [...killed.get(dir.node) ?? [], ...begun.killed];
    return [dir.node, resultOf(dir, { ...begun, killed: all }).document];
  }));
  // The form depends on what was typed, not on what the file says.
  const document = call.nodes.length === 1 ? documents.get(call.node) : { nodes: [...documents.values()] };
  return { exitCode: EXIT.ok, document, lines: [] };
}

/** What messages call a group. */
export function nameOf(members: Member[]): string {
  return members.map(({ dir }) => dir.node).join(" ");
}

/** Starts, and tells of it at the moment of the commit: what remains then is only clean-up. */
export async function startAndTell(
  call: Call,
  request: Pick<StartRequest, "dir" | "settings" | "env" | "running" | "different" | "run">,
): Promise<Result> {
  using interrupt = listenToSignals("start", call.node);
  let told: Result | null = null;
  const started = await start({
    ...request,
    ...call.options,
    workspace: await call.workspace(),
    abort: interrupt.abort,
    onCommit: (started) => {
      told = { ...resultOf(request.dir, started, call.output.paint), isTold: true };
      call.output.result(told.document, told.lines);
      call.output.outputs(outputsOf(request.dir, started));
    },
  });
  if (told === null) call.output.outputs(outputsOf(request.dir, started));
  return told ?? resultOf(request.dir, started, call.output.paint);
}

/** What later steps of a CI job may want to know of a node. */
export function outputsOf(dir: NodeDir, { info }: Started): Record<string, string | number | null> {
  const { pid, port, url } = reportOfInfo(dir, info, "running");
  return { pid, port, url };
}

/** What there is to say of a node that is ready. */
export function resultOf(
  dir: NodeDir,
  { started, info, recovered, differs, killed }: Started,
  paint: Paint = PLAIN,
): Result {
  const report = reportOfInfo(dir, info, "running");
  const where = address(report) === null ? "" : ` on ${address(report)}`;
  const more = info.also_listens.length === 0 ? "" : `, also listens on ${info.also_listens.join(", ")}`;
  const line = started
    ? `${paint.good("started")} "${dir.node}" (pid ${info.pid})${where} in ${info.ready_ms} ms${more}`
    : `"${dir.node}" is already running (pid ${info.pid})${where}`;
  const document = { ...report, ready: true, started, recovered, differs, killed };
  return { exitCode: EXIT.ok, document, lines: [line] };
}

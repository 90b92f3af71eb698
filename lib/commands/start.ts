/**
 * `tombstone start`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { parseEnv } from "../cli/values.ts";
import { EXIT, usageError } from "../errors.ts";
import { reportOfInfo } from "../lifecycle/inspect.ts";
import { listenToSignals } from "../lifecycle/interrupt.ts";
import type { Started, StartRequest } from "../lifecycle/request.ts";
import { start } from "../lifecycle/start.ts";
import { requireExecutable } from "../process/resolve_command.ts";
import { type Paint, PLAIN } from "../output/paint.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { address } from "./render.ts";
import { readSettingFlags } from "./settings.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  if (call.serverCommand.length === 0) {
    throw usageError(
      `Cannot start "${call.node}": no command after --`,
      `tombstone start ${call.node} -- COMMAND [ARG...]`,
    );
  }
  const settings = readSettingFlags(call, call.serverCommand);
  const env = parseEnv("--env", call.flags.texts("env"));
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: pathOf(env) });
  const { lockTimeoutMs } = call;
  const running = call.flags.has("replace") ? "replace" : "keep";
  // The last mistake that a command line can hold is known by now; from here on there is state.
  const dir = await call.nodeDir(call.node, "ensure");
  return await startAndTell(call, { dir, settings, env, running, lockTimeoutMs, run: null });
}

/** Starts, and tells of it at the moment of the commit: what remains then is only clean-up. */
export async function startAndTell(
  call: Call,
  request: Pick<StartRequest, "dir" | "settings" | "env" | "running" | "lockTimeoutMs" | "run">,
): Promise<Result> {
  const { foreign, output: teller } = call;
  using interrupt = listenToSignals("start", call.node);
  let told: Result | null = null;
  const started = await start({
    ...request,
    workspace: await call.workspace(),
    foreign,
    teller,
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
export function resultOf(dir: NodeDir, { started, info, recovered }: Started, paint: Paint = PLAIN): Result {
  const report = reportOfInfo(dir, info, "running");
  const where = address(report) === null ? "" : ` on ${address(report)}`;
  const line = started
    ? `${paint.good("started")} "${dir.node}" (pid ${info.pid})${where} in ${info.ready_ms} ms`
    : `"${dir.node}" is already running (pid ${info.pid})${where}`;
  return { exitCode: EXIT.ok, document: { ...report, ready: true, started, recovered }, lines: [line] };
}

/** The `PATH` that the server's command is looked up on. */
export function pathOf(env: Record<string, string>): string {
  return env.PATH ?? Deno.env.get("PATH") ?? "/usr/local/bin:/usr/bin:/bin";
}

/**
 * `tombstone run`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { parseEnv } from "../cli/values.ts";
import { EXIT, usageError } from "../errors.ts";
import { reportOfInfo } from "../lifecycle/inspect.ts";
import { run as runTest, type RunResult } from "../lifecycle/run.ts";
import { requireExecutable } from "../process/resolve_command.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { readSettingFlags } from "./settings.ts";
import { outputsOf, pathOf, resultOf } from "./start.ts";

/** Runs the command. The test command has the terminal; what this command has to say goes to stderr. */
export async function run(call: Call): Promise<Result> {
  const { flags, output, serverCommand: test } = call;
  const serve = flags.text("serve");
  const usage = `tombstone run ${call.node} --serve "COMMAND" -- TEST [ARG...]`;
  if (serve === undefined) throw usageError(`Cannot run "${call.node}": the server's command is missing`, usage);
  if (test.length === 0) throw usageError(`Cannot run "${call.node}": no test command after --`, usage);
  const settings = readSettingFlags(call, ["/bin/sh", "-c", serve]);
  const env = parseEnv("--env", flags.texts("env"));
  requireExecutable(test[0]!, { cwd: Deno.cwd(), path: pathOf({}) });
  const { lockTimeoutMs, foreign } = call;
  const dir = await call.nodeDir(call.node, "ensure");
  const result = await runTest({
    node: {
      dir,
      settings,
      env,
      lockTimeoutMs,
      foreign,
      running: flags.has("replace") ? "replace" : "keep",
      workspace: await call.workspace(),
      teller: output,
    },
    serverDeath: flags.has("fail-fast") ? "end" : "go on",
    onReady(started) {
      for (const line of resultOf(dir, started).lines) output.tell(line);
      output.outputs(outputsOf(dir, started));
    },
    test(info) {
      const { port, url } = reportOfInfo(dir, info, "running");
      const words = port === null ? test : test.map((word) => word.replaceAll("{port}", String(port)));
      return {
        // With --json, stdout is one document, and not the test's.
        command: output.mode.form === "json" ? ["/bin/sh", "-c", 'exec "$@" >&2', "sh", ...words] : words,
        env: url === null ? {} : { PORT: String(port), TOMBSTONE_URL: url },
      };
    },
  });
  if (result.stopped) output.tell(`stopped "${dir.node}"`);
  else if (result.started && result.left === "running") {
    output.tell(`"${dir.node}" was started anew meanwhile, and goes on`);
  }
  return { exitCode: exitCodeOf(result), document: documentOf(dir, result, test), lines: [] };
}

function exitCodeOf({ test: { cause, status } }: RunResult): number {
  if (cause === null) return status.code;
  return cause === "watch" ? EXIT.failed : cause.exitCode;
}

function documentOf(dir: NodeDir, result: RunResult, command: string[]): unknown {
  const { info, started, recovered, stopped, serverDied, test, left } = result;
  return {
    ...reportOfInfo(dir, info, left),
    started,
    recovered,
    stopped,
    server_died: serverDied,
    test: { command, exit_code: test.status.code, signal: test.status.signal, duration_ms: test.durationMs },
  };
}

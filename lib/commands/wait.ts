/**
 * `tombstone wait`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { EXIT, TombstoneError } from "../errors.ts";
import { inspect, type NodeReport } from "../lifecycle/inspect.ts";
import { sleep } from "../os/sleep.ts";
import { Readiness } from "../probe/wait.ts";
import { statusLine } from "./render.ts";

/** How long a node may stand where nobody works on it any more, before waiting is in vain; milliseconds. */
const PATIENCE = 2000;

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const timeoutMs = call.duration("timeout", 60_000);
  const dir = await call.nodeDir(call.node, "find");
  const begun = performance.now();
  using waiting = call.output.wait(dir);
  const readiness = new Readiness();
  for (let pause = 5;; pause = Math.min(pause * 1.5, 50)) {
    const report = await inspect(dir, readiness);
    if (report.state === "running" && report.ready) {
      return { exitCode: EXIT.ok, document: report, lines: [statusLine(report, call.output.paint)] };
    }
    waiting.update([`it is ${report.state}${report.reason === null ? "" : `, ${report.reason}`}`]);
    const elapsed = performance.now() - begun;
    if (isInVain(report) && elapsed >= Math.min(PATIENCE, timeoutMs)) throw inVain(report);
    if (elapsed >= timeoutMs) throw notReady(report, timeoutMs);
    await sleep(Math.min(pause, timeoutMs - elapsed + 1));
  }
}

/** Whether only a new start could still make it ready. One may just be about to begin, hence the patience. */
function isInVain(report: NodeReport): boolean {
  return report.state === "failed" || report.state === "died" || report.state === "interrupted";
}

function inVain(report: NodeReport): TombstoneError {
  const reason = report.reason === null ? "" : `: ${report.reason}`;
  return new TombstoneError(`Cannot wait for "${report.node}": it is ${report.state}${reason}`, {
    kind: "not-ready",
    hint: `tombstone start ${report.node} -- COMMAND`,
    exitCode: EXIT.failed,
    details: { node: report.node, state: report.state },
  });
}

function notReady(report: NodeReport, timeoutMs: number): TombstoneError {
  return new TombstoneError(
    `Cannot wait for "${report.node}" any longer: it is ${report.state} after ${timeoutMs} ms`,
    {
      kind: "not-ready",
      hint: `tombstone status ${report.node}, or allow more time with --timeout`,
      exitCode: EXIT.notReady,
      details: { node: report.node, state: report.state, timeout_ms: timeoutMs },
    },
  );
}

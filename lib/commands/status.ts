/**
 * `tombstone status`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { EXIT } from "../errors.ts";
import { inspect, type State } from "../lifecycle/inspect.ts";
import { nodesOfWorkspace } from "../state/node_dir.ts";
import { statusLine, statusTable } from "./render.ts";

/** Exit codes of states, as of the init scripts of the LSB; the worst first. */
const WORST_FIRST = [EXIT.state, EXIT.failed, EXIT.nothing, EXIT.ok];

/** Exit code of `status` for a node in this state. */
export function exitCodeOf(state: State): number {
  switch (state) {
    case "running":
      return EXIT.ok;
    case "interrupted":
    case "failed":
    case "died":
    case "stale":
      return EXIT.failed;
    case "starting":
    case "stopped":
      return EXIT.nothing;
    case "unknown":
      return EXIT.state;
  }
}

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  if (call.nodes.length === 1) {
    const report = await inspect(await call.nodeDir(call.node, "find"));
    return { exitCode: exitCodeOf(report.state), document: report, lines: [statusLine(report, call.output.paint)] };
  }
  const state = call.findState();
  const dirs = state === null ? [] : nodesOfWorkspace(state, (await call.workspace()).id);
  const reports = await Promise.all(dirs.map(inspect));
  const codes = reports.map((report) => exitCodeOf(report.state));
  return {
    exitCode: WORST_FIRST.find((code) => (codes as number[]).includes(code)) ?? EXIT.nothing,
    document: { nodes: reports },
    lines: reports.length === 0 ? ["no nodes in this workspace"] : statusTable(reports, "node", call.output.paint),
  };
}

/**
 * `tombstone list`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { EXIT } from "../errors.ts";
import { inspect } from "../lifecycle/inspect.ts";
import { allNodes } from "../state/node_dir.ts";
import { statusTable } from "./render.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const state = call.findState();
  const reports = [];
  for (const dir of state === null ? [] : allNodes(state)) reports.push(await inspect(dir));
  return {
    exitCode: EXIT.ok,
    document: { nodes: reports },
    lines: reports.length === 0 ? ["no nodes"] : statusTable(reports, "workspace and node", call.output.paint),
  };
}

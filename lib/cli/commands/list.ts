/**
 * `tombstone list`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT } from "../../errors.ts";
import { allNodes } from "../../state/node_dir.ts";
import { tellNodes } from "./status.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const state = call.findState();
  await tellNodes(call, state === null ? [] : allNodes(state), {
    columns: "workspace and node",
    none: "no nodes",
    described: [],
    tail: 0,
  });
  return { exitCode: EXIT.ok, document: null, lines: [], isPrinted: true };
}

/**
 * `tombstone list`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT } from "../../errors.ts";
import { allNodes } from "../../state/node_dir.ts";
import { nodesOfSession, noNodesOf, sessionAsked } from "../nodes.ts";
import { tellNodes } from "./status.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const session = sessionAsked(call);
  const state = call.findState();
  const all = () => state === null ? [] : allNodes(state);
  await tellNodes(call, session === null ? all() : nodesOfSession(call, session).map(({ dir }) => dir), {
    columns: "workspace and node",
    none: session === null ? "no nodes" : noNodesOf(session),
    described: [],
    tail: 0,
  });
  return { exitCode: EXIT.ok, document: null, lines: [], isPrinted: true };
}

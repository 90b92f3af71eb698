/**
 * `tombstone restart`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { knownNodes } from "../known.ts";
import { startMembers } from "../starting.ts";
import { tombstoneError } from "../../errors.ts";
import { stopGroup } from "../../engine/group.ts";
import { tellKilled } from "../../engine/leftovers.ts";
import { lookAt } from "../../engine/state.ts";
import { parseVariables } from "../../spec/values.ts";
import type { NodeDir } from "../../state/node_dir.ts";
import type { NodeInfo } from "../../state/node_info.ts";

/**
 * Runs the command: with nodes as the project describes them, else as they were last started. One node is replaced by a
 * single start: if that is killed half-way, its tombstone still has the command. Several are stopped first, in order; if
 * that is killed half-way, `start` brings them up.
 */
export async function run(call: Call): Promise<Result> {
  const known = await knownNodes(call, "restart");
  if (known === null) {
    throw tombstoneError("Cannot restart anything: there are no nodes in this workspace", {
      kind: "nothing-there",
      hint: "tombstone start -- COMMAND [ARG...]",
    });
  }
  const { names } = known;
  const wanted = call.nodes.length === 0 ? names : names.filter((node) => call.nodes.includes(node));
  const members = known.members({
    running: (node) => wanted.length === 1 && wanted[0] === node ? "replace" : "keep",
    different: "tell",
    run: (dir) => runningInfo(dir)?.run ?? null,
    whileProcess: (dir) => runningInfo(dir)?.while_process ?? null,
    env: parseVariables("--env", call.flags.texts("env")),
  });
  const killed = new Map<string, number[]>();
  if (wanted.length > 1) {
    const { options } = call;
    await stopGroup(members.filter(({ dir }) => wanted.includes(dir.node)), {
      options: () => options,
      onStopped(dir, stopped) {
        killed.set(dir.node, stopped.killed);
        tellKilled(dir, stopped.killed, options.reporter);
        if (stopped.recovered !== null) options.reporter.recovered(dir.node, stopped.recovered);
      },
    });
  }
  return await startMembers(call, members, killed);
}

/** The record of a node that runs; after the restart it still belongs to the run or process that is named there. */
function runningInfo(dir: NodeDir): NodeInfo | null {
  const { nodeState } = lookAt(dir);
  return nodeState.kind === "running" ? nodeState.info : null;
}

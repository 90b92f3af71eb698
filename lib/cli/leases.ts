/**
 * Before a command works on nodes: those whose lease is over are ended, and that is told.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { describeOwnerNode } from "../engine/claims.ts";
import { endLeases } from "../engine/end_leases.ts";
import type { Over } from "../engine/lease.ts";
import { type NodeDir, projectOf } from "../state/node_dir.ts";
import { expiry } from "../async.ts";
import type { Call } from "./call.ts";
import { describeKilled } from "./describe.ts";

/**
 * The longest time that a command of the user's waits for that, in milliseconds. A server that takes longer to exit goes on
 * to be ended while the command works, and by the next one.
 */
const LONGEST_MS = 2000;

/**
 * Ends the nodes whose lease is over. Whatever happens, the command of the user's goes on.
 *
 * @param own whether those of its own workspace are ended, too, or left to the command, which tells what it recovers
 */
export async function endOver(call: Call, own: "too" | "to the command"): Promise<void> {
  const { output } = call;
  const pending = new Map<string, string>();
  const nameOf = (dir: NodeDir) => describeOwnerNode({ dir, project: projectOf(dir) });
  const begin = (dir: NodeDir, { reason }: Over) =>
    pending.set(dir.path, `${nameOf(dir)} is still being ended: ${reason}`);
  const state = stateOf(call);
  if (state === null) return;
  const except = own === "too" ? null : await workspaceOf(call);
  const work = endLeases(state, output, {
    isLeft: (dir, { lease }) => dir.workspace === except && lease !== "directory",
    onOver: begin,
    onEnded(dir, ended) {
      pending.delete(dir.path);
      if (ended === null) return;
      const { pids, killed, reason, lease } = ended;
      const what = pids.length === 0
        ? `swept ${nameOf(dir)}`
        : `ended ${nameOf(dir)} (pid ${pids.join(", ")})${describeKilled(killed)}`;
      output.leaseEnded(
        { workspace: dir.workspace, node: dir.node, lease, reason, pids, killed },
        `${what}: ${reason}`,
      );
    },
    onFailed(dir, { reason }, error) {
      pending.delete(dir.path);
      output.warn(`${nameOf(dir)} could not be ended, though ${reason}: ${error.message}`);
    },
  }).catch((error) => output.warn(`nodes whose lease is over could not be looked for: ${error.message}`));
  await Promise.race([work, expiry(LONGEST_MS)]);
  for (const text of pending.values()) output.info(text);
}

/** Id of the workspace; `null` if there is none, which the command itself tells. */
async function workspaceOf(call: Call): Promise<string | null> {
  try {
    return (await call.workspace()).id;
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

/** The state directory; `null` if there is none, or it cannot be used, which the command itself tells. */
function stateOf(call: Call): string | null {
  try {
    return call.findState();
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

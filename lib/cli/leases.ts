/**
 * Before a command works on nodes, it ends those whose lease is over, and says so.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { dueLeases } from "../engine/due_leases.ts";
import type { EndedLease } from "../engine/end_leases.ts";
import type { Call } from "./call.ts";
import { describeKilled } from "./describe.ts";

/**
 * Ends the nodes whose lease is over. The user's command goes on in any case.
 *
 * @param own whether to end those of its own workspace, too, or to leave them to the command, which tells what it recovers
 * @returns whether any were left to the command
 */
export async function endOver(call: Call, own: "too" | "to the command"): Promise<boolean> {
  const { output } = call;
  const state = await orNull(() => call.findState());
  const due = state === null ? [] : await dueLeases(state, output);
  if (due.length === 0) return false;
  const left = own === "too" ? null : (await orNull(() => call.workspace()))?.id;
  const { endLeases } = await import("../engine/end_leases.ts");
  return await endLeases(due, {
    reporter: output,
    isLeft: (dir, { lease }) => dir.workspace === left && lease !== "directory",
    onEnded(ended, name) {
      const { dir: { workspace, node }, lease, reason, pids, killed } = ended;
      output.leaseEnded({ workspace, node, lease, reason, pids, killed }, lineOf(name, ended));
    },
  });
}

function lineOf(name: string, { pids, killed, reason }: EndedLease): string {
  if (pids.length === 0) return `swept ${name}: ${reason}`;
  return `ended ${name} (pid ${pids.join(", ")})${describeKilled(killed)}: ${reason}`;
}

/** The result; `null` if it cannot be had, which the command itself tells. */
async function orNull<T>(look: () => T | Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

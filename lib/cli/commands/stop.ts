/**
 * `tombstone stop`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT, TombstoneError, usageError } from "../../errors.ts";
import { levelsOf } from "../../engine/group.ts";
import { isKnown } from "../../engine/state.ts";
import { stop, type Stopped } from "../../engine/stop.ts";
import { live, scanTogether } from "../../os/scan.ts";
import { describeKilled } from "../output.ts";
import { inBatches } from "../../async.ts";
import { NO_NODES, recordedNames } from "../nodes.ts";

/** Nodes that are stopped at the same time. */
const AT_ONCE = 32;

/** Runs the command. Every node is tried; the first error is the one that counts. */
export async function run(call: Call): Promise<Result> {
  const members = await stopMembersOf(call);
  const names = members.map(({ node }) => node);
  const results: unknown[] = [];
  const lines: string[] = [];
  let firstError: unknown = null;
  const scan = names.length > 1 ? scanTogether() : live;
  const stopOne = async ({ node }: { node: string }): Promise<void> => {
    const dir = await call.nodeDir(node, "find");
    try {
      const done: Stopped = !isKnown(dir)
        ? { stopped: false, pids: [], killed: [], recovered: null }
        : await stop(dir, { lockTimeoutMs: call.lockTimeoutMs, foreign: call.foreign, reporter: call.output, scan });
      if (done.recovered !== null) call.output.recovered(node, done.recovered);
      const at = names.indexOf(node);
      results[at] = { workspace: dir.workspace, node, state: "stopped", ...done };
      lines[at] = done.stopped
        ? `stopped "${node}" (pid ${done.pids.join(", ")})${describeKilled(done.killed)}`
        : `"${node}" is not running`;
    } catch (error) {
      if (!(error instanceof TombstoneError)) throw error;
      if (firstError !== null) call.output.warn(error.message);
      firstError ??= error;
    }
  };
  for (const level of levelsOf(members)) for await (const _ of inBatches(AT_ONCE, level, stopOne));
  if (firstError !== null) {
    for (const line of lines.filter((line) => line !== undefined)) call.output.info(line);
    throw firstError;
  }
  return { exitCode: EXIT.ok, document: { nodes: results }, lines: names.length === 0 ? [NO_NODES] : lines };
}

/** The nodes that are to be stopped, each with all that it needs. */
async function stopMembersOf(call: Call): Promise<{ node: string; after: string[] }[]> {
  const all = call.flags.has("all");
  if (all && call.nodes.length > 0) throw usageError("Cannot use --all with names of nodes", "tombstone stop --all");
  // One node has no order, and must be stoppable whatever the file says.
  if (call.nodes.length === 1) return [{ node: call.node, after: [] }];
  const { projectIfReadable, needsOf } = await import("../members.ts");
  const project = await projectIfReadable(call);
  const names = call.nodes.length > 0 ? call.nodes : [...project.keys(), ...await recordedNames(call)];
  return [...new Set(names)].map((node) => ({ node, after: needsOf(project, node) }));
}

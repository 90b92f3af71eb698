/**
 * `tombstone stop`.
 *
 * @module
 */
import { type Call, DEFAULT_NODE, type Result } from "../cli/call.ts";
import { EXIT, TombstoneError, usageError } from "../errors.ts";
import { stop, type Stopped } from "../lifecycle/stop.ts";
import { shareLooks } from "../process/tree.ts";
import { existsDir, nodesOfWorkspace } from "../state/node_dir.ts";
import { inBatches } from "./batches.ts";

/** Nodes that are stopped at the same time. */
const AT_ONCE = 32;

/** Runs the command. Every node is tried; the first error is the one that counts. */
export async function run(call: Call): Promise<Result> {
  const names = await nodeNames(call);
  const results: unknown[] = [];
  const lines: string[] = [];
  let firstError: unknown = null;
  using _shared = names.length > 1 ? shareLooks() : null;
  const stopOne = async (name: string): Promise<void> => {
    const dir = await call.nodeDir(name, "find");
    try {
      const done: Stopped = existsDir(dir) === "missing"
        ? { stopped: false, pids: [], recovered: null }
        : await stop(dir, { lockTimeoutMs: call.lockTimeoutMs, foreign: call.foreign, teller: call.output });
      if (done.recovered !== null) call.output.recovered(name, done.recovered);
      const at = names.indexOf(name);
      results[at] = { workspace: dir.workspace, node: name, state: "stopped", ...done };
      lines[at] = done.stopped ? `stopped "${name}" (pid ${done.pids.join(", ")})` : `"${name}" is not running`;
    } catch (error) {
      if (!(error instanceof TombstoneError)) throw error;
      if (firstError !== null) call.output.warn(error.message);
      firstError ??= error;
    }
  };
  for await (const _ of inBatches(AT_ONCE, names, stopOne));
  if (firstError !== null) {
    for (const line of lines.filter((line) => line !== undefined)) call.output.tell(line);
    throw firstError;
  }
  return { exitCode: EXIT.ok, document: { nodes: results }, lines };
}

async function nodeNames(call: Call): Promise<string[]> {
  if (!call.flags.has("all")) return call.nodes.length === 0 ? [DEFAULT_NODE] : [...new Set(call.nodes)];
  if (call.nodes.length > 0) throw usageError("Cannot use --all with names of nodes", "tombstone stop --all");
  const state = call.findState();
  return state === null ? [] : Array.from(nodesOfWorkspace(state, (await call.workspace()).id), (dir) => dir.node);
}

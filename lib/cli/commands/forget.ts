/**
 * `tombstone forget`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { AT_ONCE, inBatches } from "../../async.ts";
import { forget, type Forgotten } from "../../engine/forget.ts";
import { EXIT, TombstoneError, usageError } from "../../errors.ts";
import { scanTogether } from "../../os/scan.ts";
import { isLocked } from "../../state/lock.ts";
import { allNodes, type NodeDir, nodesOfWorkspace } from "../../state/node_dir.ts";
import { NodeStream } from "../node_stream.ts";
import { withPlace } from "../place.ts";
import { NO_NODES, warnUnknown } from "../nodes.ts";

type Done = Omit<Forgotten, "action"> & { action: Forgotten["action"] | "locked" | "refused" };

/**
 * Runs the command: for the named nodes, all of the workspace, or of all workspaces. A running node is kept, which is an
 * error only if it was named.
 */
export async function run(call: Call): Promise<Result> {
  const all = call.flags.has("all");
  const isNamed = call.nodes.length > 0;
  if (all && isNamed) throw usageError("Cannot use --all with names of nodes", "tombstone forget --all");
  await warnUnknown(call);
  const options = { ...call.options, scan: scanTogether() };
  const stream = new NodeStream(call.output);
  let exitCode: number = EXIT.ok;
  const forgetOne = async (dir: NodeDir): Promise<[NodeDir, Done]> => {
    if (!isNamed && isLocked(dir)) return [dir, { action: "locked", recovered: null, kept: [] }];
    try {
      return [dir, await forget(dir, options)];
    } catch (error) {
      if (!(error instanceof TombstoneError) || call.nodes.length === 1) throw error;
      call.output.warn(`${error.message} (${error.hint})`);
      if (exitCode === EXIT.ok) exitCode = error.exitCode;
      return [dir, { action: "refused", recovered: null, kept: [] }];
    }
  };
  for await (const [dir, done] of inBatches(AT_ONCE.sweep, await dirsOf(call), forgetOne)) {
    const { workspace, node } = dir;
    if (done.recovered !== null) call.output.recovered(node, done.recovered);
    if (done.action === "running" && isNamed && exitCode === EXIT.ok) exitCode = EXIT.failed;
    stream.add({ workspace, node, ...done });
    stream.line(withPlace(describe(dir, done), call.output.place));
  }
  stream.end(all ? "no nodes" : NO_NODES);
  return { exitCode, document: null, lines: [], isPrinted: true };
}

async function dirsOf(call: Call): Promise<Iterable<NodeDir>> {
  if (call.nodes.length > 0) {
    return await Promise.all([...new Set(call.nodes)].map((node) => call.nodeDir(node, "find")));
  }
  const state = call.findState();
  if (state === null) return [];
  return call.flags.has("all") ? allNodes(state) : nodesOfWorkspace(state, (await call.workspace()).id);
}

function describe({ path, node }: NodeDir, { action, kept }: Done): string {
  switch (action) {
    case "running":
      return `"${node}" is running, not forgotten; first: tombstone stop ${node}`;
    case "locked":
      return `"${node}" is in use by another tombstone command, skipped`;
    case "refused":
      return `"${node}" could not be forgotten`;
    case "nothing":
      return `"${node}" has nothing to forget`;
    case "forgotten":
      return `forgot "${node}"` +
        (kept.length === 0 ? "" : `, but "${path}" still holds other files: ${kept.join(", ")}`);
  }
}

/**
 * `tombstone forget`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { AT_ONCE, inBatches } from "../../async.ts";
import { forget, type Forgotten } from "../../engine/forget.ts";
import { EXIT } from "../../errors.ts";
import { scanTogether } from "../../os/scan.ts";
import type { NodeDir } from "../../state/node_dir.ts";
import { NodeStream } from "../node_stream.ts";
import { withPlace } from "../place.ts";
import { dirsOf, EachNode, NO_NODES, warnUnknown } from "../nodes.ts";

type Done = Omit<Forgotten, "action"> & { action: Forgotten["action"] | "locked" | "refused" };

/**
 * Runs the command: for the named nodes, all of the workspace, or of all workspaces. A running node is kept, which is an
 * error only if it was named.
 */
export async function run(call: Call): Promise<Result> {
  const dirs = await dirsOf(call, "forget");
  await warnUnknown(call);
  const options = { ...call.options, scan: scanTogether() };
  const stream = new NodeStream(call.output);
  const each = new EachNode(call);
  const forgetOne = async (dir: NodeDir): Promise<[NodeDir, Done]> => [
    dir,
    { kept: [], ...await each.attempt(dir, () => forget(dir, options)) },
  ];
  for await (const [dir, done] of inBatches(AT_ONCE.sweep, dirs(), forgetOne)) {
    const { workspace, node } = dir;
    if (done.recovered !== null) call.output.recovered(node, done.recovered);
    if (done.action === "running" && call.nodes.length > 0 && each.exitCode === EXIT.ok) each.exitCode = EXIT.failed;
    stream.add({ workspace, node, ...done });
    stream.line(withPlace(describe(dir, done), call.output.place));
  }
  stream.end(call.flags.has("all") ? "no nodes" : NO_NODES);
  return { exitCode: each.exitCode, document: null, lines: [], isPrinted: true };
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

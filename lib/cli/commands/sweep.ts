/**
 * `tombstone sweep`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT } from "../../errors.ts";
import { describeGone, goneDirectoryOfRunning } from "../../engine/gone_directory.ts";
import { hasWork, previewSweep, sweep, type Swept } from "../../engine/sweep.ts";
import { live, scanOnce, scanTogether } from "../../os/scan.ts";
import type { Scan } from "../../os/types.ts";
import { describeRecovery } from "../describe.ts";
import { ATTEMPT_VARIABLE } from "../../process/tree.ts";
import type { NodeDir } from "../../state/node_dir.ts";
import { AT_ONCE, inBatches } from "../../async.ts";
import { NodeStream } from "../node_stream.ts";
import { dirsOf, EachNode, NO_NODES, warnUnknown } from "../nodes.ts";

type Done = Omit<Swept, "action"> & { action: Swept["action"] | "locked" | "refused" };

/** Runs the command. With several nodes, one that cannot be swept is reported and skipped, and sets the exit code. */
export async function run(call: Call): Promise<Result> {
  const isDryRun = call.flags.has("dry-run");
  const stream = new NodeStream(call.output);
  const tell = (dir: NodeDir, done: Done) => {
    const { workspace, node } = dir;
    const gone = done.action === "running" ? goneDirectoryOfRunning(dir) : null;
    stream.add({ workspace, node, dry_run: isDryRun, ...done, directory_gone: gone !== null });
    stream.line(describe(node, done, isDryRun) + (gone === null ? "" : `; ${describeGone(dir, gone)}`));
  };
  const dirs = await dirsOf(call, "sweep");
  await warnUnknown(call);
  let exitCode: number = EXIT.ok;
  if (call.nodes.length !== 1) exitCode = await sweepMany(call, dirs, isDryRun, tell);
  else {
    const dir = await call.nodeDir(call.node, "find");
    tell(dir, await sweepOne(call, dir, isDryRun));
  }
  stream.end(call.flags.has("all") ? "no nodes" : NO_NODES);
  return { exitCode, document: null, lines: [], isPrinted: true };
}

/** Finds the nodes that need work by one scan of the system; then sweeps them, many at a time. */
async function sweepMany(
  call: Call,
  dirs: () => Iterable<NodeDir>,
  isDryRun: boolean,
  tell: (dir: NodeDir, done: Done) => void,
): Promise<number> {
  const idle = new Map<string, "running" | "nothing">();
  let count = 0;
  {
    const scan = scanOnce(ATTEMPT_VARIABLE);
    for (const dir of dirs()) {
      count++;
      const found = hasWork(dir, scan);
      if (found !== "work") idle.set(dir.path, found);
    }
  }
  const scan = scanTogether();
  using waiting = call.output.count("sweep");
  const each = new EachNode(call);
  let done = 0;
  const work = async (dir: NodeDir): Promise<[NodeDir, Done]> => {
    const action = idle.get(dir.path);
    if (action !== undefined) return [dir, { action, recovered: null }];
    return [dir, await each.attempt(dir, () => sweepOne(call, dir, isDryRun, scan))];
  };
  for await (const [dir, what] of inBatches(AT_ONCE.sweep, dirs(), work)) {
    tell(dir, what);
    waiting.update([`${++done} of ${count} nodes`]);
  }
  return each.exitCode;
}

async function sweepOne(call: Call, dir: NodeDir, isDryRun: boolean, scan: Scan = live): Promise<Done> {
  return isDryRun ? await previewSweep(dir, scan) : await sweep(dir, { ...call.options, scan });
}

function describe(node: string, done: Done, isDryRun: boolean): string {
  switch (done.action) {
    case "running":
      return `"${node}" is running, nothing to sweep`;
    case "locked":
      return `"${node}" is in use by another tombstone command, skipped`;
    case "refused":
      return `"${node}" could not be swept`;
    case "nothing":
      return `"${node}" has nothing to sweep`;
    case "swept":
      if (done.recovered === null) return `swept "${node}"`;
      return (isDryRun ? "dry run, nothing is done: would have " : "") + describeRecovery(node, done.recovered);
  }
}

/**
 * `tombstone sweep`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { EXIT, TombstoneError, usageError } from "../errors.ts";
import { foreseeSweep, sweep, type Swept } from "../lifecycle/stop.ts";
import { describeRecovery } from "../output/output.ts";
import { isLocked } from "../state/lock.ts";
import { allNodes, existsDir, type NodeDir } from "../state/node_dir.ts";

type Done = Omit<Swept, "action"> & { action: Swept["action"] | "locked" | "refused" };

/** Runs the command. With `--all`, what refuses to be swept is told and passed over, and counts in the exit code. */
export async function run(call: Call): Promise<Result> {
  const all = call.flags.has("all");
  const isDryRun = call.flags.has("dry-run");
  if (all && call.nodes.length > 0) {
    throw usageError("Cannot use --all with the name of a node", "tombstone sweep --all");
  }
  const state = call.findState();
  const dirs = all ? (state === null ? [] : allNodes(state)) : [await call.nodeDir(call.node, "find")];
  const results = [];
  const lines: string[] = [];
  let exitCode: number = EXIT.ok;
  for (const dir of dirs) {
    let done: Done;
    try {
      done = await sweepOne(call, dir, isDryRun, all);
    } catch (error) {
      if (!all || !(error instanceof TombstoneError)) throw error;
      call.output.warn(`${error.message} (${error.hint})`);
      exitCode = exitCode === EXIT.ok ? error.exitCode : exitCode;
      done = { action: "refused", recovered: null };
    }
    results.push({ workspace: dir.workspace, node: dir.node, dry_run: isDryRun, ...done });
    lines.push(describe(dir.node, done, isDryRun));
  }
  if (lines.length === 0) lines.push("no nodes");
  return { exitCode, document: { nodes: results }, lines };
}

async function sweepOne(call: Call, dir: NodeDir, isDryRun: boolean, all: boolean): Promise<Done> {
  if (existsDir(dir) === "missing") return { action: "nothing", recovered: null };
  if (isDryRun) return foreseeSweep(dir);
  if (all && isLocked(dir)) return { action: "locked", recovered: null };
  return await sweep(dir, { lockTimeoutMs: call.lockTimeoutMs, foreign: call.foreign, teller: call.output });
}

function describe(node: string, done: Done, isDryRun: boolean): string {
  switch (done.action) {
    case "running":
      return `"${node}" is running, nothing to sweep`;
    case "locked":
      return `"${node}" is being worked on, passed over`;
    case "refused":
      return `"${node}" could not be swept`;
    case "nothing":
      return `"${node}" has nothing to sweep`;
    case "swept":
      if (done.recovered === null) return `swept "${node}"`;
      return (isDryRun ? "dry run, nothing is done: would have " : "") + describeRecovery(node, done.recovered);
  }
}

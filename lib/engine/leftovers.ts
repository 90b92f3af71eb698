/**
 * Reports of processes that did not exit when they were asked to.
 *
 * @module
 */
import { systemError } from "../os/errno.ts";
import { retold, TombstoneError, tombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import type { ProcessRow } from "../os/rows.ts";
import { ALWAYS_EXCLUDED, ATTEMPT_VARIABLE } from "../process/tree.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Reporter } from "./reporter.ts";

/** An error of the clean-up after a failed start, which also says why the start had failed. */
export function afterFailure(cause: unknown, error: unknown): unknown {
  const expected = systemError(error);
  if (expected instanceof TombstoneError && cause instanceof Error) {
    return retold(expected, { message: `${cause.message}. ${expected.message}`, cause });
  }
  if (error instanceof Error) error.cause ??= cause;
  return error;
}

/** Warns that processes had to be killed. */
export function tellKilled(dir: NodeDir, killed: number[], reporter: Reporter): void {
  if (killed.length > 0) {
    reporter.warn(`"${dir.node}": pid ${killed.join(", ")} did not end when asked, and was killed`);
  }
}

/**
 * Warns of processes that still write to the log of a node that is not running. The open log is the only trace of a
 * child that has left its session and cleared its environment. But any process may have opened that file, so it does
 * not justify a signal.
 */
export function tellWriters(dir: NodeDir, exclude: string[], reporter: Reporter): void {
  if (system.files.hasWriter(dir.log) !== true) return;
  const isLog = (path: string) => path === dir.log;
  const isExcluded = ({ name }: ProcessRow) => ALWAYS_EXCLUDED.includes(name) || exclude.includes(name);
  for (const row of system.processes.list(ATTEMPT_VARIABLE)) {
    if (row.pid === Deno.pid || !row.isAlive || isExcluded(row) || !system.processes.writesTo(row.pid, isLog)) {
      continue;
    }
    const named = `pid ${row.pid} (${system.processes.commandLine(row.pid) || row.name})`;
    reporter.warn(
      `${named} still runs and has the log of "${dir.node}" open; nothing proves that it belongs to the node, so it was not ended`,
    );
  }
}

/** What a stop is waiting for, in words. */
export function inWords(rows: ProcessRow[]): string[] {
  return rows.map((row) => `pid ${row.pid} (${row.name}) has not ended`);
}

/**
 * Requires that no process is left.
 *
 * @throws {TombstoneError} one is
 */
export function requireTerminated(dir: NodeDir, left: ProcessRow[], action = "stop"): void {
  const [first] = left;
  if (first === undefined) return;
  const others = left.slice(1).map((row) => `, ${row.pid} (${row.name})`).join("");
  const named = `pid ${first.pid} (${first.name})${others}`;
  const pids = left.map((row) => row.pid);
  const isAnothers = !system.processes.maySignal(first.pid);
  throw tombstoneError(
    isAnothers
      ? `Cannot ${action} "${dir.node}": ${named} belongs to another user, and may not be signalled`
      : `Cannot ${action} "${dir.node}": ${named} did not end, not even by SIGKILL`,
    {
      kind: "stop-failed",
      hint: isAnothers
        ? `${system.hints.killAsRoot(pids)}, then tombstone sweep ${dir.node}`
        : `${system.hints.describeStuck(pids)}, then tombstone sweep ${dir.node}`,
      details: { pids },
    },
  );
}

/**
 * What to tell of processes that did not end as they were asked to.
 *
 * @module
 */
import { EXIT, TombstoneError } from "../errors.ts";
import { maySignal } from "../os/platform.ts";
import type { ProcessRow } from "../os/types.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Teller } from "./teller.ts";

/**
 * Insists that nobody is left of a start that failed.
 *
 * @throws {TombstoneError} somebody is; it tells both that and why the start had failed
 */
export function requireEndedAfter(dir: NodeDir, left: ProcessRow[], cause: unknown): void {
  try {
    requireEnded(dir, left);
  } catch (error) {
    if (!(error instanceof TombstoneError) || !(cause instanceof Error)) throw error;
    const { kind, hint, exitCode, details } = error;
    throw new TombstoneError(`${cause.message}. ${error.message}`, { kind, hint, exitCode, details, cause });
  }
}

/** Tells that somebody had to be killed. */
export function tellKilled(dir: NodeDir, killed: number[], teller: Teller): void {
  if (killed.length > 0) teller.warn(`"${dir.node}": pid ${killed.join(", ")} did not end when asked, and was killed`);
}

/** What a stop waits for. */
export function inWords(rows: ProcessRow[]): string[] {
  return rows.map((row) => `pid ${row.pid} (${row.name}) has not ended`);
}

/**
 * Insists that nobody is left.
 *
 * @throws {TombstoneError} if any process is
 */
export function requireEnded(dir: NodeDir, left: ProcessRow[], action = "stop"): void {
  const [first] = left;
  if (first === undefined) return;
  const others = left.slice(1).map((row) => `, ${row.pid} (${row.name})`).join("");
  const named = `pid ${first.pid} (${first.name})${others}`;
  const isAnothers = !maySignal(first.pid);
  throw new TombstoneError(
    isAnothers
      ? `Cannot ${action} "${dir.node}": ${named} belongs to another user, and may not be signalled`
      : `Cannot ${action} "${dir.node}": ${named} did not end, not even by SIGKILL`,
    {
      kind: "stop-failed",
      hint: isAnothers
        ? `sudo kill ${left.map((row) => row.pid).join(" ")}, then tombstone sweep ${dir.node}`
        : `ps -o pid,stat,wchan,args -p ${left.map((row) => row.pid).join(",")}, then tombstone sweep ${dir.node}`,
      exitCode: EXIT.failed,
      details: { pids: left.map((row) => row.pid) },
    },
  );
}

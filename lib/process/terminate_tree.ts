/**
 * Terminating every process of a node.
 *
 * @module
 */
import { findLive, freeze, kill, untilOneEnds } from "../os/system.ts";
import type { Identity, ProcessRow } from "../os/rows.ts";
import { sleep } from "../async.ts";
import { ask, Asker, keyOf } from "./stop_signal.ts";
import { findTreeQuickly, Proven, type Roots, scanForTree } from "./tree.ts";

/** How to terminate a tree. */
export interface TerminateOptions {
  /**
   * The process that gets the signal first, while the others get none for a part of the grace (a graceful stop);
   * `null`: all get it at once.
   */
  main: Identity | null;
  /** The signal. */
  signal: Deno.Signal;
  /** Milliseconds until the remaining processes are killed. */
  graceMs: number;
  /** Aborting it ends the grace early. */
  hurry?: AbortSignal;
  /** Asks the main process in another way than by the signal; resolves when that is done. */
  ask?: () => Promise<void>;
  /**
   * Called before the first signal, and again when there are more, with the processes that are proven by descent alone: if
   * this command were killed now, nothing else would prove them.
   */
  remember?: (lean: Identity[]) => Promise<void>;
  /** Called once, after the first signal. */
  onAsked?: () => void;
  /** Called after each scan with the processes that are still alive. */
  onScan?: (left: ProcessRow[]) => void;
}

/** Result of {@linkcode terminateTree}. */
export interface Terminated {
  /** Processes that were found and are gone. */
  pids: number[];
  /** Those of them that did not exit after the signal, and were killed. */
  killed: number[];
  /** Processes that are still alive. */
  left: ProcessRow[];
}

/** There was no process. */
export const NOBODY: Terminated = { pids: [], killed: [], left: [] };

/** Longest time between two scans of the process table, in milliseconds. */
const SCAN_EVERY_MS = 50;

/** Longest wait for a process that cannot be killed (uninterruptible sleep, another user's), in milliseconds. */
const AFTER_KILL_MS = 5000;

/**
 * Terminates the processes of a node: sends the stop signal, and kills the rest after the grace. It scans before the
 * first signal, since a process may lose its only proof with its parent. Then it scans until two scans in a row find
 * nothing, since a process may fork while it dies.
 */
export async function terminateTree(given: Roots, options: TerminateOptions): Promise<Terminated> {
  const roots = { ...given, proven: given.proven ?? new Proven() };
  let deadline = performance.now() + options.graceMs;
  const asker = options.main === null ? null : new Asker({ ...options, main: options.main });
  const seen = new Map<string, Identity>();
  const asked = new Set<string>();
  const killed = new Set<string>();
  let remembered = -1;
  for (let empty = 0, round = 1;; round++) {
    const tree = (await scanForTree(roots)).map((row) => roots.proven.asFirstSeen(row));
    for (const row of tree) seen.set(keyOf(row), row);
    const result = (left: ProcessRow[]): Terminated => {
      const gone = [...seen.values()].filter((each) => findLive(each) === null);
      return { pids: pidsOf(gone), killed: pidsOf(gone.filter((each) => killed.has(keyOf(each)))), left };
    };
    options.onScan?.(tree);
    empty = tree.length === 0 ? empty + 1 : 0;
    if (empty === 2) return result([]);
    if (empty === 1) continue;
    const lean = roots.proven.byOthers();
    if (lean.length > remembered) await options.remember?.(lean);
    remembered = lean.length;
    const now = performance.now();
    if (options.hurry?.aborted) deadline = Math.min(deadline, now);
    if (now >= deadline + AFTER_KILL_MS) return result(tree);
    if (now >= deadline) {
      const asSeen = (rows: ProcessRow[]) => rows.map((row) => roots.proven.asFirstSeen(row));
      const frozen = await freezeAll(tree, {
        quick: () => asSeen(findTreeQuickly(roots)),
        thorough: async () => asSeen(await scanForTree(roots)),
      });
      for (const row of frozen) seen.set(keyOf(row), row);
      const sent = frozen.filter(kill);
      for (const row of sent) killed.add(keyOf(row));
      await untilGone(frozen, performance.now() + (sent.length === 0 ? SCAN_EVERY_MS : 5));
    } else if (asker === null) {
      for (const row of tree) {
        if (!asked.has(keyOf(row))) ask(row, options.signal);
        asked.add(keyOf(row));
      }
      if (round === 1) options.onAsked?.();
      await untilGone(tree, Math.min(deadline, now + SCAN_EVERY_MS));
    } else {
      asker.turn(tree);
      if (round === 1) options.onAsked?.();
      const { main } = asker;
      await untilGone(main === null ? tree : [main], Math.min(deadline, now + SCAN_EVERY_MS));
    }
  }
}

/** Most scans for processes that were forked while others were being stopped. */
const MAX_FREEZES = 20;

/**
 * Freezes all processes before it kills the first. Otherwise a process that keeps forking would leave children that
 * nothing proves. Scans until there is no new one. (Test: "a tree that forks while it is killed".)
 *
 * @returns these and the new ones
 */
async function freezeAll(
  tree: ProcessRow[],
  scan: { quick: () => ProcessRow[]; thorough: () => Promise<ProcessRow[]> },
): Promise<ProcessRow[]> {
  const all = new Map(tree.map((row) => [keyOf(row), row]));
  const add = (rows: ProcessRow[]) => {
    const fresh = rows.filter((row) => !all.has(keyOf(row)));
    for (const row of fresh) all.set(keyOf(row), row);
    return fresh;
  };
  let fresh = tree;
  for (let round = 0; fresh.length > 0 && round < MAX_FREEZES; round++) {
    for (const row of fresh) freeze(row);
    fresh = add(scan.quick());
    if (fresh.length === 0) fresh = add(await scan.thorough());
  }
  return [...all.values()];
}

function pidsOf(processes: Identity[]): number[] {
  return [...new Set(processes.map(({ pid }) => pid))];
}

/** Waits until none of these processes is alive, or until the deadline (of `performance.now()`). */
async function untilGone(processes: Identity[], deadline: number): Promise<void> {
  for (let left = processes; (left = left.filter((process) => findLive(process) !== null)).length > 0;) {
    const now = performance.now();
    if (now >= deadline) return;
    await untilOneEnds(left, deadline - now);
    // A wake-up may come too early, as when only the first thread has exited; this keeps it from spinning.
    if (performance.now() - now < 1 && left.every((process) => findLive(process) !== null)) await sleep(1);
  }
}

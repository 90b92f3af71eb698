/**
 * Ending every process of a node.
 *
 * @module
 */
import { findLive, signal, untilOneEnds } from "../os/platform.ts";
import type { Identity, ProcessRow } from "../os/types.ts";
import { sleep } from "../os/sleep.ts";
import { lookForTree, type Roots } from "./tree.ts";

/** How to end a tree. */
export interface ReapOptions {
  /**
   * The process that is asked first, with the others left to it while it lives (a graceful stop);
   * `null`: all are asked at once.
   */
  main: Identity | null;
  /** Signal that asks. */
  signal: Deno.Signal;
  /** Milliseconds until what is left is killed. */
  graceMs: number;
  /** Asks the main process in another way than by the signal; resolves when that is done. */
  ask?: () => Promise<void>;
  /** Called with those that have not ended yet, after each look. */
  onLook?: (left: ProcessRow[]) => void;
}

/** Longest time between two looks at the whole process table, in milliseconds. */
const LOOK_AGAIN = 50;

/** Shells, which put off their traps until the foreground child has ended (POSIX 2.11), so it must be asked too. */
const SHELLS = ["sh", "dash", "bash", "ash", "ksh", "mksh", "zsh", "busybox"];

/**
 * Ends the processes of a node: asks, and kills what is left after the grace. Looks again until there is
 * nobody twice in a row, because a process may fork while it dies.
 *
 * @returns the processes that it found, ended now unless they are in `left`
 */
export async function reap(roots: Roots, options: ReapOptions): Promise<{ pids: number[]; left: ProcessRow[] }> {
  const deadline = performance.now() + options.graceMs;
  // What cannot be killed (uninterruptible sleep, another user's) is waited for no longer than this.
  const lastLook = deadline + 5000;
  const seen = new Set<number>();
  const asked = new Set<string>();
  const ask = (row: ProcessRow, name: Deno.Signal) => {
    const key = `${row.pid} ${row.startTime} ${name}`;
    if (asked.has(key)) return;
    asked.add(key);
    signal(row, name);
    // A stopped process takes no other signal until it is continued.
    if (row.state === "T") signal(row, "SIGCONT");
  };
  let asking: Promise<void> | null = null;
  for (let empty = 0;;) {
    const tree = await lookForTree(roots);
    for (const row of tree) seen.add(row.pid);
    options.onLook?.(tree);
    empty = tree.length === 0 ? empty + 1 : 0;
    if (empty === 2) return { pids: [...seen], left: [] };
    if (empty === 1) continue;
    if (performance.now() > lastLook) return { pids: [...seen], left: tree };
    const main = options.main === null ? null : findLive(options.main);
    if (performance.now() >= deadline) {
      for (const row of tree) signal(row, "SIGKILL");
      await untilGone(tree, performance.now() + 5);
    } else if (main === null) {
      for (const row of tree) ask(row, options.main === null ? options.signal : "SIGTERM");
      await untilGone(tree, Math.min(deadline, performance.now() + LOOK_AGAIN));
    } else {
      if (options.ask !== undefined) asking ??= options.ask();
      else ask(main, options.signal);
      if (options.ask === undefined && SHELLS.includes(main.name)) {
        for (const row of tree) if (row.pgid === main.pgid) ask(row, options.signal);
      }
      await untilGone([main], Math.min(deadline, performance.now() + LOOK_AGAIN));
    }
  }
}

/** Waits until none of these processes lives, or until the deadline (of `performance.now()`). */
async function untilGone(processes: Identity[], deadline: number): Promise<void> {
  for (let left = processes; (left = left.filter((process) => findLive(process) !== null)).length > 0;) {
    const now = performance.now();
    if (now >= deadline) return;
    await untilOneEnds(left, deadline - now);
    // Woken for an end that is not one yet, of a first thread for example: not again and again.
    if (performance.now() - now < 1 && left.every((process) => findLive(process) !== null)) await sleep(1);
  }
}

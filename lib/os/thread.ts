/**
 * Whose thread this is. On the command line nothing but the tool's own work waits for it, so it may be blocked, which is
 * the fastest way. A program that uses the library goes on serving meanwhile: what takes long is then done in pieces, or
 * by another thread.
 *
 * @module
 */
import { sleep } from "../timers.ts";

let owner: "tool" | "program" = "program";

/** Says that this process does nothing else, so that its thread may be blocked. For the command line. */
export function ownThread(): void {
  owner = "tool";
}

/** Whether the thread may be blocked. */
export function mayBlock(): boolean {
  return owner === "tool";
}

/** Longest piece of work without a turn for others, in milliseconds. */
const PIECE = 0.5;

/** Does work that says by `yield` where it can be interrupted; on a program's thread in pieces. */
export async function inPieces<T>(work: Generator<void, T>): Promise<T> {
  for (let begun = performance.now();;) {
    const step = work.next();
    if (step.done) return step.value;
    if (mayBlock() || performance.now() - begun < PIECE) continue;
    await sleep(0);
    begun = performance.now();
  }
}

/** Does the same work without interruption. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** Lets others have a turn, on a program's thread: a timer, since Deno takes in finished operations before timers. For the gaps between the steps of a start. */
export async function breathe(): Promise<void> {
  if (!mayBlock()) await sleep(0);
}

/** fsync(2); on a program's thread without blocking it. */
export async function sync(file: Deno.FsFile): Promise<void> {
  if (mayBlock()) file.syncSync();
  else await file.sync();
}

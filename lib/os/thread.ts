/**
 * Whether the thread may be blocked. On the command line it may, which is fastest. In a program that uses the library, other
 * work shares the thread, so long work is done in pieces or in another thread.
 *
 * @module
 */
import { sleep } from "../async.ts";

let owner: "tool" | "program" = "program";

/** Allows blocking the thread. For the command line, which has no other work. */
export function ownThread(): void {
  owner = "tool";
}

/** Whether the thread may be blocked. */
export function mayBlock(): boolean {
  return owner === "tool";
}

/** Longest piece of work without giving way, in milliseconds. */
const PIECE_MS = 0.5;

/** Does work that can be interrupted at each `yield`; in a program, in pieces. */
export async function inPieces<T>(work: Generator<void, T>): Promise<T> {
  for (let begun = performance.now();;) {
    const step = work.next();
    if (step.done) return step.value;
    if (mayBlock() || performance.now() - begun < PIECE_MS) continue;
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

/** In a program, gives way between two steps of a start: by a timer, since Deno handles operations before timers. */
export async function breathe(): Promise<void> {
  if (!mayBlock()) await sleep(0);
}

/** fsync(2); in a program, without blocking the thread. */
export async function sync(file: Deno.FsFile): Promise<void> {
  if (mayBlock()) file.syncSync();
  else await file.sync();
}

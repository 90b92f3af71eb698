/**
 * Timers and pauses.
 *
 * @module
 */

/** Resolves after `ms` milliseconds; about one more where `ms` is small. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Resolves to `"expired"` after `ms` milliseconds, and does not keep the program alive. Unlike the first
 * timer of a process, which loads some 4 ms of Deno's own code, this costs next to nothing.
 */
export function expiry(ms: number): Promise<"expired"> {
  const signal = AbortSignal.timeout(ms);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve("expired"), { once: true }));
}

/** Gives way to the event loop. Takes some 50 µs, a timer a millisecond. */
export async function turn(): Promise<void> {
  await Deno.lstat("/"); // any operation of the event loop does; this one always succeeds
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** The pause in progress. */
let pausing: Promise<void> | null = null;

/**
 * A pause of exactly a millisecond that blocks the whole process, and then handles pending events. For the few seconds in
 * which every millisecond counts: a timer of 1 ms takes 2.2, the first one 6. Concurrent callers share one pause, so that
 * they do not hold each other up.
 */
export function blockingPause(): Promise<void> {
  return pausing ??= pause().finally(() => {
    pausing = null;
  });
}

async function pause(): Promise<void> {
  Atomics.wait(cell, 0, 0, 1);
  await turn();
}

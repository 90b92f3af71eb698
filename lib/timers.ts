/**
 * Waiting.
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

/** Lets everything else of this process have its turn. Costs some 50 µs, where a timer takes a millisecond. */
export async function turn(): Promise<void> {
  await Deno.lstat("/"); // any operation of the event loop will do; this one always succeeds
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** The pause that goes on now. */
let pausing: Promise<void> | null = null;

/**
 * A pause of exactly a millisecond, in which nothing else of this process runs; pending events are then taken
 * in. For the few seconds in which every millisecond counts: a timer of 1 ms takes 2.2, the first one 6. Whoever asks
 * while one goes on shares it, so that many who wait do not hold each other up.
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

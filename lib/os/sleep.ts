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

/**
 * Spacing out checks that cost the server something.
 *
 * @module
 */
import type { Verdict } from "./types.ts";

/** How the pauses between two checks grow. */
export interface ThrottleOptions {
  /** Shortest, in milliseconds. */
  shortestMs: number;
  /** Longest, in milliseconds. */
  longestMs: number;
  /** Longest pause as a part of the time waited so far. */
  part: number;
}

/** The default. */
const DEFAULT: ThrottleOptions = { shortestMs: 5, longestMs: 250, part: 0.05 };

/** Spaces checks out, wider the longer the wait; in between, the last result holds. */
export class Throttle {
  #first: number | null = null;
  #next = 0;
  #last: Verdict | null = null;
  readonly #options: ThrottleOptions;

  /** The first check is due at once. */
  constructor(options: ThrottleOptions = DEFAULT) {
    this.#options = options;
  }

  /**
   * Checks again, unless the last check was too recent.
   *
   * @param check gets the last result, to return it if the end of the wait cuts the check short
   */
  async check(check: (last: Verdict | null) => Promise<Verdict>): Promise<Verdict> {
    this.#first ??= performance.now();
    if (this.#last !== null && performance.now() < this.#next) return this.#last;
    this.#last = await check(this.#last);
    const now = performance.now();
    const { shortestMs, longestMs, part } = this.#options;
    this.#next = now + Math.min(Math.max((now - this.#first) * part, shortestMs), longestMs);
    return this.#last;
  }
}

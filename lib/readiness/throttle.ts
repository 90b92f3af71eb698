/**
 * How often to look at what costs the server something.
 *
 * @module
 */
import type { Verdict } from "./types.ts";

/** How the pauses between two looks grow. */
export interface ThrottleOptions {
  /** Shortest, in milliseconds. */
  shortestMs: number;
  /** Longest, in milliseconds. */
  longestMs: number;
  /** Part of the time already waited that may be lost to one. */
  part: number;
}

/** What holds where nothing else is said. */
const DEFAULT: ThrottleOptions = { shortestMs: 5, longestMs: 250, part: 0.05 };

/** Spaces looks out, the longer the wait the wider; in between, what was found last holds. */
export class Throttle {
  #first: number | null = null;
  #next = 0;
  #last: Verdict | null = null;
  readonly #options: ThrottleOptions;

  /** A pace whose first look is due. */
  constructor(options: ThrottleOptions = DEFAULT) {
    this.#options = options;
  }

  /**
   * Looks, unless the last look is too short a time ago.
   *
   * @param look gets what was found last, which tells more than that a look was cut short by the end of the wait
   */
  async look(look: (last: Verdict | null) => Promise<Verdict>): Promise<Verdict> {
    this.#first ??= performance.now();
    if (this.#last !== null && performance.now() < this.#next) return this.#last;
    this.#last = await look(this.#last);
    const now = performance.now();
    const { shortestMs, longestMs, part } = this.#options;
    this.#next = now + Math.min(Math.max((now - this.#first) * part, shortestMs), longestMs);
    return this.#last;
  }
}

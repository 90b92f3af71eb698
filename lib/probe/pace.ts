/**
 * How often to look at what costs the server something.
 *
 * @module
 */
import type { Verdict } from "./probe.ts";

/** Shortest and longest pause between two looks, in milliseconds. */
const SHORTEST = 5;
const LONGEST = 250;

/** Part of the time already waited that may be lost to a pause. */
const PART = 0.05;

/** Spaces looks out, the longer the wait the wider; in between, what was found last holds. */
export class Pace {
  #first: number | null = null;
  #next = 0;
  #last: Verdict | null = null;

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
    this.#next = now + Math.min(Math.max((now - this.#first) * PART, SHORTEST), LONGEST);
    return this.#last;
  }
}

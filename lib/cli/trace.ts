/**
 * Where the time of a start went.
 *
 * @module
 */
import type { Checkpoint } from "../engine/reporter.ts";

/** What took the time up to a step. */
const LABELS: Record<Checkpoint, string> = {
  "locked": "read the command line, take the lock",
  "marked": "mark the stop",
  "asked": "look at the tree, ask it to end",
  "ended": "end the processes",
  "swept": "sweep the files",
  "tombstone-written": "judge, write the tombstone",
  "recovered": "reap and sweep what was left",
  "namespace-left": "leave the other namespace",
  "port-checked": "check or choose the port",
  "log-rotated": "rotate the log",
  "spawned": "spawn the launcher",
  "waiting": "launcher's record",
  "port-written": "wait until it is ready",
  "committed": "commit",
  "followed": "background",
  "launch-removed": "remove the launch record",
  "tombstone-removed": "remove the tombstone",
};

/** Width of the longest bar, in characters. */
const WIDTH = 40;

/** Notes when steps are passed. */
export class Trace {
  readonly #rows: [label: string, ms: number][];
  #last: number;

  /** Begins with what this process needed before it could do anything, by `performance.now()`. */
  constructor(begun: number) {
    this.#rows = [["start of this program", begun]];
    this.#last = begun;
  }

  /** A checkpoint was reached. */
  reached(checkpoint: Checkpoint): void {
    this.#add(LABELS[checkpoint]);
  }

  #add(label: string): void {
    const now = performance.now();
    this.#rows.push([label, now - this.#last]);
    this.#last = now;
  }

  /** The table, a bar per step. */
  lines(): string[] {
    this.#add("the rest");
    const longest = Math.max(...this.#rows.map(([, ms]) => ms));
    const width = Math.max(...this.#rows.map(([label]) => label.length));
    return this.#rows.map(([label, ms]) => {
      const bar = "#".repeat(Math.round(ms / longest * WIDTH));
      return `${label.padEnd(width)}  ${ms.toFixed(1).padStart(9)} ms  ${bar}`.trimEnd();
    });
  }
}

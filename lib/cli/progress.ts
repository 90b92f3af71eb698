/**
 * Progress of a wait: one changing line on a terminal, plain lines now and then elsewhere; and the table of `--trace`, which
 * shows where the time went.
 *
 * @module
 */
import type { Checkpoint, Waiting } from "../engine/reporter.ts";
import { cleanLine } from "./write.ts";
import type { Paint } from "./render.ts";

/** A wait is shown after this time, in milliseconds. */
const NOTICE_AFTER_MS = 150;

/** Time between two updates of the line on a terminal, in milliseconds. */
const FRAME_MS = 100;

/** Plain lines: time until the first, and between the others; milliseconds. */
const FIRST_PLAIN_MS = 3000;
const NEXT_PLAIN_MS = 10_000;

/** A wait that is not shown. */
export const SILENT: Waiting = { update() {}, [Symbol.dispose]() {} };

/** Goes to the beginning of the line and clears it; turns line wrapping off and on. */
const [WIPE, NO_WRAP, WRAP] = ["\r\x1b[2K", "\x1b[?7l", "\x1b[?7h"];

/** One line of a terminal. */
export class Line implements Waiting {
  readonly #title: string;
  readonly #log: () => string | undefined;
  readonly #write: (text: string) => unknown;
  readonly #paint: Paint;
  readonly #begun = performance.now();
  #states: string[] = [];
  #timer: ReturnType<typeof setInterval> | null = null;
  #isShown = false;
  /** Whether the wait goes on. */
  isOpen = true;

  /** Shows a wait; `log` returns the last line of the log. */
  constructor(title: string, log: () => string | undefined, paint: Paint, write: (text: string) => unknown) {
    this.#title = title;
    this.#log = log;
    this.#paint = paint;
    this.#write = write;
  }

  /** Sets what it is waiting for. A short wait shows nothing. */
  update(states: string[]): void {
    this.#states = states;
    if (this.#timer !== null || performance.now() - this.#begun < NOTICE_AFTER_MS) return;
    this.#timer = setInterval(() => this.#show(), FRAME_MS);
    this.#show();
  }

  #show(): void {
    const { strong, quiet } = this.#paint;
    const seconds = ((performance.now() - this.#begun) / 1000).toFixed(1);
    const last = this.#log();
    const log = last === undefined || last === "" ? "" : quiet(`  | ${cleanLine(last)}`);
    const text = `${strong(this.#title)}  ${seconds}s  ${cleanLine(this.#states.join(", "))}${log}`;
    this.#write(`${WIPE}${NO_WRAP}${text}${WRAP}`);
    this.#isShown = true;
  }

  /** Clears the line for other output; it returns with the next update. */
  wipe(): void {
    if (this.#isShown) this.#write(WIPE);
    this.#isShown = false;
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.isOpen = false;
    this.wipe();
  }
}

/** Plain lines, for pipes and the logs of CI. */
export function plainLines(title: string, write: (line: string) => void): Waiting {
  const begun = performance.now();
  let next = begun + FIRST_PLAIN_MS;
  return {
    update(states) {
      const now = performance.now();
      if (now < next || states.length === 0) return; // ready, and checked once more
      next = now + NEXT_PLAIN_MS;
      write(`${title} for ${Math.round((now - begun) / 1000)} s: ${states.join(", ")}`);
    },
    [Symbol.dispose]() {},
  };
}

/** The work that ends at each checkpoint. */
const LABELS: Record<Checkpoint, string> = {
  "locked": "read the command line, take the lock",
  "marked": "mark the stop",
  "asked": "look at the tree, ask it to end",
  "ended": "end the processes",
  "swept": "sweep the files",
  "released": "release the ports",
  "tombstone-written": "classify the node, write the tombstone",
  "lease-written": "write the lease",
  "recovered": "terminate and sweep the leftovers",
  "namespace-left": "leave the other namespace",
  "port-recorded": "choose the port",
  "port-claimed": "claim the port",
  "port-checked": "check or choose the port",
  "log-rotated": "rotate the log",
  "spawned": "spawn the launcher",
  "waiting": "launcher's record",
  "port-written": "wait until it is ready",
  "committed": "commit",
  "followed": "background",
  "recorded": "keep the settings",
  "launch-removed": "remove the launch record",
  "tombstone-removed": "remove the tombstone",
};

/** Width of the longest bar, in characters. */
const WIDTH = 40;

/** Notes the times of the checkpoints. */
export class Trace {
  readonly #rows: [label: string, ms: number][];
  #last: number;

  /** Begins with the start of this process; `begun` is by `performance.now()`. */
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

  /** The table, with a bar for each step. */
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

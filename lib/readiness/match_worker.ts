/**
 * Matching where it can be ended: in a thread of its own.
 *
 * @module
 */
import { cutShort, Latch } from "../latch.ts";
import { expiry } from "../timers.ts";

/** Longest time for one line, in milliseconds. */
const LINE_LIMIT_MS = 1000;

/** Progress of a thread that is on its way, which may take its time on a busy machine. */
const NOT_BEGUN = -1;

/** The module that the thread runs. As text it needs no file, so that it works in a bundle, a binary and by URL. */
const SOURCE = `self.onmessage = ({ data: { pattern, lines, progress } }) => {
  const wanted = new RegExp(pattern);
  const found = lines.findIndex((line, at) => {
    Atomics.store(progress, 0, at);
    return wanted.test(line);
  });
  self.postMessage(found);
};`;

/** A thread that looks for the first line that matches. It costs some 50 ms to begin, so it begins when it is needed. */
export class MatchWorker {
  readonly #pattern: string;
  readonly #signal: AbortSignal;
  #worker: Worker | null = null;
  /** How many lines took too long and were passed over. */
  skipped = 0;

  /** Ends when the signal is aborted. */
  constructor(pattern: string, signal: AbortSignal) {
    this.#pattern = pattern;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#end(), { once: true });
  }

  /** The first of the lines that matches; `null` if none does, or the wait is over. A line that takes too long is none. */
  async find(lines: string[]): Promise<string | null> {
    const progress = new Int32Array(new SharedArrayBuffer(4));
    for (let left = lines; left.length > 0 && !this.#signal.aborted;) {
      Atomics.store(progress, 0, NOT_BEGUN);
      const found = await this.#ask(left, progress);
      if (found !== "late") return left[found] ?? null;
      this.#end();
      this.skipped++;
      left = left.slice(Math.max(Atomics.load(progress, 0), 0) + 1);
    }
    return null;
  }

  /** The index of the first that matches, -1 if none does; `"late"` if the one of the progress takes too long. */
  async #ask(lines: string[], progress: Int32Array<SharedArrayBuffer>): Promise<number | "late"> {
    const answer = new Latch();
    let found: number | "late" = "late";
    const worker = this.#worker ??= begin();
    worker.onmessage = ({ data }) => {
      found = data;
      answer.open();
    };
    worker.onerror = (event) => {
      event.preventDefault(); // no failure of this program: the line counts as one that took too long
      answer.open();
    };
    using aborted = Latch.ofSignal(this.#signal);
    worker.postMessage({ pattern: this.#pattern, lines, progress });
    for (let before = NOT_BEGUN; !answer.isOpen && !aborted.latch.isOpen;) {
      await cutShort(expiry(LINE_LIMIT_MS), answer, aborted.latch);
      const at = Atomics.load(progress, 0);
      if (at === before && at !== NOT_BEGUN) break;
      before = at;
    }
    return this.#signal.aborted ? -1 : found;
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

function begin(): Worker {
  return new Worker(`data:text/javascript,${encodeURIComponent(SOURCE)}`, { type: "module" });
}

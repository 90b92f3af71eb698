/**
 * What matching a regular expression may cost, and matching that can be interrupted: JavaScript's engine tries every way
 * to match, and cannot be stopped; a worker thread can.
 *
 * @module
 */
import { cutShort, expiry, Latch } from "../async.ts";

/** An estimate of what a pattern costs, without matching it. */
export interface Weight {
  /** Text that every match contains; empty if there is none. */
  literal: string;
  /** Number of repetitions, bounded or not. */
  repeats: number;
  /** Number of alternatives and optional parts. */
  choices: number;
  /** Whether a repetition contains another one or a choice, or there is a back reference: then the cost is unbounded. */
  isNested: boolean;
}

/** An escape, a class, the beginning of a group, or any character. */
const ATOM =
  /\\(?:u\{[^}]*\}|u[\da-f]{4}|x[\da-f]{2}|c[a-z]|k<[^>]*>|p\{[^}]*\}|\d+|[^])|\[(?:\\[^]|[^\]\\])*\]|\((?:\?(?:[:=!]|<[=!]|<[^>]*>|[a-z-]*:))?|[^]/iy;
const QUANTIFIER = /([*+?]|\{\d+(?:,\d*)?\})\??/y;

/** Estimates the cost of a valid pattern. */
export function weigh(pattern: string): Weight {
  const weight: Weight = { literal: "", repeats: 0, choices: 0, isNested: false };
  /** Whether each open group holds a repetition or a choice. */
  const groups: boolean[] = [];
  let run = "";
  let hasAlternatives = false;
  const endRun = () => {
    if (run.length > weight.literal.length) weight.literal = run;
    run = "";
  };
  for (let at = 0; at < pattern.length;) {
    ATOM.lastIndex = at;
    const atom = ATOM.exec(pattern)![0];
    at = ATOM.lastIndex;
    let isVaried = false;
    if (atom === "|") {
      weight.choices++;
      if (groups.length === 0) hasAlternatives = true;
      else groups[groups.length - 1] = true;
    }
    if (atom.startsWith("(")) {
      endRun();
      groups.push(false);
      continue;
    }
    if (atom === ")") isVaried = groups.pop() ?? false;
    if (/^\\(?:[1-9]|k)/.test(atom)) weight.isNested = true;
    QUANTIFIER.lastIndex = at;
    const quantifier = QUANTIFIER.exec(pattern)?.[1];
    if (quantifier !== undefined) {
      at = QUANTIFIER.lastIndex;
      if (quantifier === "?") weight.choices++;
      else weight.repeats++;
      if (quantifier !== "?" && isVaried) weight.isNested = true;
    }
    if (groups.length > 0 && (quantifier !== undefined || isVaried)) groups[groups.length - 1] = true;
    const literal = /^\\[^A-Za-z0-9]$/.test(atom) ? atom[1]! : /^[^\\[().|^$*+?]$/.test(atom) ? atom : null;
    if (literal === null || quantifier !== undefined || groups.length > 0) endRun();
    else run += literal;
  }
  endRun();
  return hasAlternatives ? { ...weight, literal: "" } : weight;
}

/** Most steps that a match may take in the worst case; some tenths of a second. */
const MOST_STEPS = 1e8;

/** Whether every line of this length is matched quickly. */
export function isCheap({ repeats, choices, isNested }: Weight, length: number): boolean {
  return !isNested && length ** (repeats + 1) * 2 ** choices <= MOST_STEPS;
}

/** Longest time for one line, in milliseconds. */
const LINE_LIMIT_MS = 1000;

/** Progress of a thread that has not begun yet, which may take a while on a busy machine. */
const NOT_BEGUN = -1;

/** The module of the thread. As a `data:` URL it works in a bundle, in a binary and by URL. */
const SOURCE = `self.onmessage = ({ data: { pattern, lines, progress, hits, most } }) => {
  const wanted = new RegExp(pattern);
  for (let at = 0, count = 0; at < lines.length && count < most; at++) {
    Atomics.store(progress, 0, at);
    if (wanted.test(lines[at])) count += hits[at] = 1;
  }
  self.postMessage(null);
};`;

/** The input of the thread, and the memory for its results. */
interface Search {
  lines: string[];
  /** Most lines to find. */
  most: number;
  /** Index of the line that it is at. */
  progress: Int32Array<SharedArrayBuffer>;
  /** 1 for each line that matches. */
  hits: Uint8Array<SharedArrayBuffer>;
}

/** A thread that searches for lines that match. Starting it takes some 50 ms, so that is done when needed. */
export class MatchWorker {
  readonly #pattern: string;
  readonly #signal: AbortSignal;
  #worker: Worker | null = null;
  /** Number of lines that took too long and were skipped. */
  skipped = 0;

  /** The thread is terminated when the signal is aborted. */
  constructor(pattern: string, signal: AbortSignal) {
    this.#pattern = pattern;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#end(), { once: true });
  }

  /** Indexes of the first `most` lines that match; empty on abort. Lines that take too long are skipped. */
  async find(lines: string[], most: number): Promise<number[]> {
    const found: number[] = [];
    for (let from = 0; from < lines.length && found.length < most;) {
      const left = lines.slice(from);
      const progress = new Int32Array(new SharedArrayBuffer(4));
      const hits = new Uint8Array(new SharedArrayBuffer(left.length));
      Atomics.store(progress, 0, NOT_BEGUN);
      const isDone = await this.#ask({ lines: left, most: most - found.length, progress, hits });
      if (this.#signal.aborted) return [];
      hits.forEach((hit, at) => hit === 1 && found.push(from + at));
      if (isDone) break;
      this.#end();
      this.skipped++;
      from += Math.max(Atomics.load(progress, 0), 0) + 1;
    }
    return found;
  }

  /** Whether it has come to an end; not if a line takes too long. */
  async #ask(search: Search): Promise<boolean> {
    const answer = new Latch();
    let isDone = false;
    const worker = this.#worker ??= begin();
    worker.onmessage = () => {
      isDone = true;
      answer.open();
    };
    worker.onerror = (event) => {
      event.preventDefault(); // not an error of this program: the line is skipped
      answer.open();
    };
    using aborted = Latch.ofSignal(this.#signal);
    worker.postMessage({ pattern: this.#pattern, ...search });
    for (let before = NOT_BEGUN; !answer.isOpen && !aborted.latch.isOpen;) {
      await cutShort(expiry(LINE_LIMIT_MS), answer, aborted.latch);
      const at = Atomics.load(search.progress, 0);
      if (at === before && at !== NOT_BEGUN) break;
      before = at;
    }
    return isDone;
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

function begin(): Worker {
  return new Worker(`data:text/javascript,${encodeURIComponent(SOURCE)}`, { type: "module" });
}

/**
 * Conditions about the server's output: a line that says that it is ready, and lines that say that it never will be.
 *
 * @module
 */
import { Latch, sleep, turn } from "../async.ts";
import { LogReader } from "../state/log_reader.ts";
import { isCheap, MatchWorker, weigh } from "./pattern.ts";
import type { Prober } from "./types.ts";

/** After a match that took longer than this, in milliseconds, matching moves to another thread. */
const SUSPICIOUS_MS = 5;

/** Longest time spent on a log before the event loop gets its turn, in milliseconds. */
const SLICE_MS = 20;

/**
 * Which lines match a pattern. Never blocks the event loop for long: slow matches run in another thread. Until the
 * signal is aborted, that thread keeps the program alive.
 */
export class LineMatcher {
  readonly #pattern: string;
  readonly #signal: AbortSignal;
  readonly #wanted: RegExp;
  readonly #weight;
  #worker: MatchWorker | null = null;
  #isSuspicious = false;

  /** Matches this regular expression. */
  constructor(pattern: string, signal: AbortSignal) {
    this.#pattern = pattern;
    this.#signal = signal;
    this.#wanted = new RegExp(pattern);
    this.#weight = weigh(pattern);
  }

  /** Number of lines that took too long to be matched. */
  get skipped(): number {
    return this.#worker?.skipped ?? 0;
  }

  /** Indexes of the first `most` lines that match. */
  async find(lines: string[], most = Infinity): Promise<number[]> {
    const { literal } = this.#weight;
    const candidates = lines.flatMap((line, at) => line.includes(literal) ? [at] : []);
    const found: number[] = [];
    for (const [order, at] of candidates.entries()) {
      if (found.length >= most) break;
      const line = lines[at]!;
      if (this.#isSuspicious || !isCheap(this.#weight, line.length)) {
        const rest = candidates.slice(order);
        this.#worker ??= new MatchWorker(this.#pattern, this.#signal);
        const hits = await this.#worker.find(rest.map((index) => lines[index]!), most - found.length);
        return [...found, ...hits.map((hit) => rest[hit]!)];
      }
      const begun = performance.now();
      if (this.#wanted.test(line)) found.push(at);
      this.#isSuspicious = performance.now() - begun > SUSPICIOUS_MS;
    }
    return found;
  }
}

/** The first line of a growing log that matches a pattern. The log is read in pieces. */
class LogWatch {
  readonly #reader: LogReader;
  readonly #pattern: string;
  #matcher: LineMatcher | null = null;
  #found: string | null = null;

  /** Watches this log from its beginning. */
  constructor(path: string, pattern: string) {
    this.#reader = new LogReader(path);
    this.#pattern = pattern;
  }

  /** Number of lines that took too long to be matched. */
  get skipped(): number {
    return this.#matcher?.skipped ?? 0;
  }

  /** Waits for the first line that matches; `signal` ends the whole watch. */
  async find(signal: AbortSignal): Promise<string | null> {
    this.#matcher ??= new LineMatcher(this.#pattern, signal);
    const end = performance.now() + SLICE_MS;
    while (this.#found === null && !signal.aborted) {
      const { lines, isAll } = await this.#reader.read();
      const [at] = await this.#matcher.find(lines, 1);
      if (at !== undefined) this.#found = lines[at]!;
      if (isAll || performance.now() > end) break;
      await turn();
    }
    return this.#found;
  }
}

/** Whether a line of this start's log, colours stripped, contains a match. Each line is checked once. */
export function logProber(pattern: string): Prober {
  let watch: LogWatch | null = null;
  return async ({ roots }, { signal }) => {
    watch ??= new LogWatch(roots.dir.log, pattern);
    if (await watch.find(signal) !== null) return { kind: "pass" };
    const skipped = watch.skipped === 0 ? "" : `, but ${watch.skipped} took too long to match`;
    return { kind: "wait", state: `no line of its log matches /${pattern}/${skipped}` };
  };
}

/** Pause between two reads of the log, in milliseconds. */
const PAUSE_MS = 20;

/** A line that means that the start has failed. */
export interface Failure {
  /** The line. */
  line: string;
  /** The pattern that it matches. */
  pattern: string;
}

/** Watches the log of an attempt for failures until the signal is aborted, independently of its probes. */
export class FailureWatch {
  /** Opens when there is such a line, or the log cannot be read. */
  readonly latch = new Latch();
  readonly #watches: { pattern: string; watch: LogWatch }[];
  readonly #signal: AbortSignal;
  #failure: Failure | null = null;
  #checking: Promise<void> | null = null;
  #error: unknown = null;

  /** Watches a log for lines that match one of the patterns. */
  constructor(path: string, patterns: string[], signal: AbortSignal) {
    this.#watches = patterns.map((pattern) => ({ pattern, watch: new LogWatch(path, pattern) }));
    this.#signal = signal;
    if (patterns.length > 0) void this.#watch();
  }

  /** The line, if there is one now. */
  async check(): Promise<Failure | null> {
    // A read that is under way may have begun before the last line was written.
    await this.#checking;
    await (this.#checking ??= this.#checkOnce());
    if (this.#error !== null) throw this.#error;
    return this.#failure;
  }

  async #watch(): Promise<void> {
    while (!this.#signal.aborted && !this.latch.isOpen) {
      await (this.#checking ??= this.#checkOnce());
      await sleep(PAUSE_MS);
    }
  }

  async #checkOnce(): Promise<void> {
    try {
      for (const { pattern, watch } of this.#watches) {
        const line = await watch.find(this.#signal);
        if (line !== null) this.#failure ??= { line, pattern };
      }
    } catch (error) {
      this.#error = error;
    }
    if (this.#failure !== null || this.#error !== null) this.latch.open();
    this.#checking = null;
  }
}

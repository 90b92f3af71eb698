/**
 * What a server may write that tells that it will never be ready.
 *
 * @module
 */
import { Latch } from "../latch.ts";
import { sleep } from "../timers.ts";
import { LogWatch } from "./log.ts";

/** Pause between two looks at the log, in milliseconds. */
const PAUSE_MS = 20;

/** A line that tells it. */
export interface Failure {
  /** The line. */
  line: string;
  /** The pattern that it matches. */
  pattern: string;
}

/** Watches the log of an attempt beside its probes, whatever those wait for, until the signal is aborted. */
export class FailureWatch {
  /** Opens when there is such a line, or the log cannot be read. */
  readonly latch = new Latch();
  readonly #watches: { pattern: string; watch: LogWatch }[];
  readonly #signal: AbortSignal;
  #failure: Failure | null = null;
  #looking: Promise<void> | null = null;
  #error: unknown = null;

  /** Watches a log for lines that match one of the patterns. */
  constructor(path: string, patterns: string[], signal: AbortSignal) {
    this.#watches = patterns.map((pattern) => ({ pattern, watch: new LogWatch(path, pattern) }));
    this.#signal = signal;
    if (patterns.length > 0) void this.#watch();
  }

  /** The line, if there is one by now. */
  async look(): Promise<Failure | null> {
    // A look that is under way may have begun before the last line came.
    await this.#looking;
    await (this.#looking ??= this.#lookOnce());
    if (this.#error !== null) throw this.#error;
    return this.#failure;
  }

  async #watch(): Promise<void> {
    while (!this.#signal.aborted && !this.latch.isOpen) {
      await (this.#looking ??= this.#lookOnce());
      await sleep(PAUSE_MS);
    }
  }

  async #lookOnce(): Promise<void> {
    try {
      for (const { pattern, watch } of this.#watches) {
        const line = await watch.find(this.#signal);
        if (line !== null) this.#failure ??= { line, pattern };
      }
    } catch (error) {
      this.#error = error;
    }
    if (this.#failure !== null || this.#error !== null) this.latch.open();
    this.#looking = null;
  }
}

/**
 * The request of `tombstone logs`, and reading the logs of one node accordingly.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { usageError } from "../errors.ts";
import { variable } from "../os/surroundings.ts";
import { LineMatcher } from "../readiness/log.ts";
import { parseCount, parsePattern, parseSize } from "../spec/values.ts";
import { LineSplitter } from "../state/log_lines.ts";
import { printable } from "../state/log_reader.ts";
import { Tail } from "../state/log_tail.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { Unread } from "../state/log_unread.ts";

/** Lines that are shown by default. */
const DEFAULT_LINES = 200;

/** The request of a call. */
export interface LogRequest {
  /** Most lines of each node; `null`: all. */
  count: number | null;
  /** Whether the user has chosen that number. */
  isChosen: boolean;
  /** Regular expression for the lines; `null`: any line. */
  grep: string | null;
  /** Most bytes of all nodes together; `null`: all. */
  maxBytes: number | null;
  /** Only what this reader has not seen. */
  sinceLast: boolean;
  /** The log of the start before this one. */
  previous: boolean;
  /** Goes on as the server writes. */
  follow: boolean;
}

/** Reads the request from the flags. */
export function logRequestOf({ flags, output }: Call): LogRequest {
  const follow = flags.has("follow");
  const others = ["previous", "since-last", "max-bytes"].filter((name) => flags.has(name) || flags.text(name));
  const [other] = output.mode.form === "json" ? ["json"] : others;
  if (follow && other !== undefined) {
    const value = flags.text(other) === undefined ? "" : ` ${flags.text(other)}`;
    throw usageError(`Cannot use --follow with --${other}: --follow never ends`, `tombstone logs --${other}${value}`);
  }
  if (flags.has("since-last") && flags.has("previous")) {
    throw usageError(
      "Cannot use --since-last with --previous: it goes through the earlier logs by itself",
      "tombstone logs --since-last",
    );
  }
  const [lines, grep, bytes] = ["lines", "grep", "max-bytes"].map((name) => flags.text(name));
  const maxBytes = bytes === undefined ? null : parseSize("--max-bytes", bytes) || null;
  const isAll = lines === "all" || lines === undefined && maxBytes !== null;
  return {
    count: isAll ? null : lines === undefined ? DEFAULT_LINES : parseCount("--lines", lines),
    isChosen: lines !== undefined,
    grep: grep === undefined ? null : parsePattern("--grep", grep),
    maxBytes,
    sinceLast: flags.has("since-last"),
    previous: flags.has("previous"),
    follow,
  };
}

/** The logs of one node, read according to a request. */
export class NodeLog implements Disposable {
  readonly #splitter = new LineSplitter();
  readonly #over = new AbortController();
  readonly #matcher: LineMatcher | null;
  /** Number of lines that took too long to be matched, and were reported. */
  #toldSkipped = 0;

  private constructor(
    /** The node. */
    readonly dir: NodeDir,
    /** The main log file. */
    readonly path: string,
    /** The request. */
    readonly source: Tail | Unread,
    grep: string | null,
  ) {
    this.#matcher = grep === null ? null : new LineMatcher(grep, this.#over.signal);
  }

  /** Opens it; `null` if there is none. */
  static async open(dir: NodeDir, request: LogRequest): Promise<NodeLog | null> {
    const path = request.previous ? `${dir.log}.1` : dir.log;
    // If lines are chosen by more than their number, all of them must be read.
    const isPlain = request.grep === null && request.maxBytes === null;
    const source = request.sinceLast
      ? await Unread.open(dir, variable("TOMBSTONE_SESSION") || "default")
      : Tail.open(path, isPlain ? request.count : null);
    return source === null ? null : new NodeLog(dir, path, source, request.grep);
  }

  /** The requested lines since the last call. */
  async *lines(lastLine: "may go on" | "is whole"): AsyncGenerator<string[]> {
    for (const piece of this.source.pieces()) yield await this.#matching(this.#splitter.push(piece));
    if (lastLine === "is whole") yield await this.#matching(this.#splitter.end());
  }

  async #matching(lines: string[]): Promise<string[]> {
    if (this.#matcher === null) return lines;
    const found = await this.#matcher.find(lines.map((line) => printable(line.replace(/\r$/, ""))));
    return found.map((at) => lines[at]!);
  }

  /** Lines that took too long to be matched, since the last call. */
  skipped(): number {
    const all = this.#matcher?.skipped ?? 0;
    const more = all - this.#toldSkipped;
    this.#toldSkipped = all;
    return more;
  }

  /** Saves that all was read, except an incomplete last line. */
  async markRead(): Promise<void> {
    if (this.source instanceof Unread) await this.source.save(this.#splitter.restLength);
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#over.abort();
    this.source[Symbol.dispose]();
  }
}

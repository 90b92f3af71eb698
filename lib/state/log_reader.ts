/**
 * Reading the server's log as text: its lines as they come, and its last lines.
 *
 * @module
 */
import { stateError } from "../os/errno.ts";
import { isMissing } from "../os/stat.ts";
import { openLog, PIECE_BYTES } from "./log_tail.ts";

/** Longest line that is kept whole, in characters: a line without an end must not fill the memory. */
const LONGEST_LINE_CHARS = 1024 * 1024;

/** The lines of a log as they are written, each once. */
export class LogReader {
  readonly #path: string;
  readonly #buffer = new Uint8Array(PIECE_BYTES);
  #decoder = new TextDecoder();
  /** Inode of the file; if another file takes its place, that is read from its beginning. */
  #inode: number | null = null;
  #at = 0;
  #rest = "";

  /** A reader at the beginning of this log, which may not exist yet. */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The whole lines since the last call, without colours and other control characters. A server may write faster than
   * this reads, so one call reads one piece.
   *
   * @returns `isAll`: whether the log has no more for now
   */
  async read(): Promise<{ lines: string[]; isAll: boolean }> {
    try {
      const { size, isFile, ino } = Deno.lstatSync(this.#path);
      if (ino !== this.#inode || size < this.#at) this.#begin(ino); // replaced, or cut to its end meanwhile
      if (!isFile || size === this.#at) return { lines: [], isAll: true };
      // If it is a FIFO by now, opening it blocks a thread of Deno, and not this one.
      using file = await Deno.open(this.#path);
      if (!file.statSync().isFile) return { lines: [], isAll: true };
      file.seekSync(this.#at, Deno.SeekMode.Start);
      const length = file.readSync(this.#buffer) ?? 0;
      this.#at += length;
      return { lines: this.#split(this.#buffer.subarray(0, length)), isAll: length < PIECE_BYTES };
    } catch (error) {
      if (isMissing(error)) return { lines: [], isAll: true };
      throw stateError("read", this.#path, error);
    }
  }

  #begin(inode: number | null): void {
    this.#inode = inode;
    this.#at = 0;
    this.#rest = "";
    this.#decoder = new TextDecoder();
  }

  /** Searches only the new text for line ends: a line may be long, and come in small pieces. */
  #split(bytes: Uint8Array): string[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    const end = text.lastIndexOf("\n");
    if (end < 0) {
      this.#rest = (this.#rest + text).slice(-LONGEST_LINE_CHARS);
      return [];
    }
    const lines = (this.#rest + text.slice(0, end)).split("\n");
    this.#rest = text.slice(end + 1);
    return lines.map((line) => printable(line.endsWith("\r") ? line.slice(0, -1) : line));
  }
}

/** Longest stretch from the end of a log that is searched for its last lines, in bytes. */
const TAIL_BYTES = 64 * 1024;

/** The last lines of a log, at most `count`; empty if there is none. Control characters are shown as `?`. */
export function lastLines(path: string, count: number): string[] {
  try {
    using file = openLog(path);
    if (file === null) return [];
    const size = file.statSync().size;
    const start = Math.max(0, size - TAIL_BYTES);
    file.seekSync(start, Deno.SeekMode.Start);
    const bytes = new Uint8Array(size - start);
    let length = 0;
    for (let n: number | null; length < bytes.length && (n = file.readSync(bytes.subarray(length))) !== null;) {
      length += n;
    }
    const lines = new TextDecoder().decode(bytes.subarray(0, length)).split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    return lines.slice(-count).map(printable);
  } catch (error) {
    throw stateError("read", path, error);
  }
}

/**
 * The last `count` of these lines. If they begin inside a stack, that is with an indented line, the line that it belongs to
 * stands first: it says what went wrong.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { tailOf } from "./log_reader.ts";
 *
 * const stack = ["booting", "Error: no access", "  at a", "  at b", "  at c", "  at d"];
 * assertEquals(tailOf(stack, 4), ["Error: no access", "… 2 more lines", "  at c", "  at d"]);
 * assertEquals(tailOf(stack, 5), stack.slice(1));
 * ```
 */
export function tailOf(lines: string[], count: number): string[] {
  const tail = lines.slice(-count);
  const isInside = (line: string) => /^(\s|$)/.test(line);
  if (count < 3 || lines.length <= count || !isInside(tail[0]!)) return tail;
  const head = lines.slice(0, -count).findLastIndex((line) => !isInside(line));
  if (head < 0) return tail;
  const kept = lines.slice(-(count - 2));
  return [lines[head]!, `… ${lines.length - kept.length - head - 1} more lines`, ...kept];
}

// deno-lint-ignore no-control-regex
const ESCAPE_SEQUENCE = /\x1b\[[0-9;]*[A-Za-z]/g;
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** The text of a line alone, without colours: a log must not move the cursor of the terminal that shows it. */
export function printable(line: string): string {
  return line.replace(ESCAPE_SEQUENCE, "").replace(CONTROL, "?");
}

/**
 * Reading the server's log: its lines as they come, its last lines, and its bytes as it grows.
 *
 * @module
 */
import { stateError } from "../os/errno.ts";
import { isMissing } from "../os/stat.ts";

/** Longest line that is kept whole, in characters: a line without an end must not fill the memory. */
const LONGEST_LINE_CHARS = 1024 * 1024;

/** Bytes that are read at a time. */
const PIECE_BYTES = 64 * 1024;

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

/** Where the last `count` lines of an open file begin, in bytes. Reads backwards, in pieces. */
export function linesFrom(file: Deno.FsFile, count: number): number {
  const size = file.statSync().size;
  const piece = new Uint8Array(64 * 1024);
  let found = 0;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - piece.length);
    file.seekSync(start, Deno.SeekMode.Start);
    const length = file.readSync(piece.subarray(0, end - start)) ?? 0;
    for (let at = length - 1; at >= 0; at--) {
      if (piece[at] !== 10) continue;
      // The newline at the end of the file begins no line.
      const isLast = start + at === size - 1;
      if (!isLast && ++found === count) return start + at + 1;
    }
    end = start;
  }
  return count === 0 ? size : 0;
}

/** Longest stretch in which lines are counted, in bytes: some tenths of a second. */
const MOST_COUNTED_BYTES = 256 * 1024 * 1024;

/** Reads a log piece by piece; continues in the new file after another start. */
export class Tail implements Disposable {
  /** Path of the log. */
  readonly path: string;
  #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Opens a log.
   *
   * @param count last lines to begin with; `null`: all
   * @returns `null` if there is none
   */
  static open(path: string, count: number | null): Tail | null {
    const file = openLog(path);
    if (file !== null && count !== null) file.seekSync(linesFrom(file, count), Deno.SeekMode.Start);
    return file === null ? null : new Tail(path, file);
  }

  /** Number of lines before the place where it begins to read; `null` if that would take too long to find out. */
  countLinesBefore(): number | null {
    const at = this.#file.seekSync(0, Deno.SeekMode.Current);
    if (at > MOST_COUNTED_BYTES) return null;
    let lines = 0;
    let left = at;
    this.#file.seekSync(0, Deno.SeekMode.Start);
    for (const piece of piecesOf(this.#file)) {
      const part = piece.subarray(0, left);
      for (let end = part.indexOf(10); end >= 0; end = part.indexOf(10, end + 1)) lines++;
      if ((left -= part.length) <= 0) break;
    }
    this.#file.seekSync(at, Deno.SeekMode.Start);
    return lines;
  }

  /**
   * What was written since the last call. A piece holds until the next one.
   *
   * @param onNext called before the first piece of another start's log: the last line of the one before has no other end
   */
  *pieces(onNext: () => void = () => {}): Generator<Uint8Array> {
    const next = replacementOf(this.#file, this.path);
    skipWhatWasCut(this.#file);
    let isAll = false;
    try {
      yield* piecesOf(this.#file);
      isAll = true;
    } finally {
      if (!isAll) next?.close(); // the caller goes on with this file next time
    }
    if (next === null) return;
    this.#file.close();
    this.#file = next;
    onNext();
    yield* piecesOf(next);
  }

  /**
   * Copies what was written since the last call; what comes faster than it can be copied is left for the next call.
   *
   * @param options `onNext`: as of {@linkcode Tail.pieces}; `mostMs`: longest time, in milliseconds
   */
  copy(
    emit: (bytes: Uint8Array) => "written" | "closed",
    options: { onNext?: () => void; mostMs?: number } = {},
  ): "written" | "closed" {
    const deadline = performance.now() + (options.mostMs ?? Infinity);
    for (const piece of this.pieces(options.onNext)) {
      if (emit(piece) === "closed") return "closed";
      if (performance.now() > deadline) break;
    }
    return "written";
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** Opens a log for reading; `null` if there is none. */
export function openLog(path: string): Deno.FsFile | null {
  try {
    if (!Deno.lstatSync(path).isFile) return null; // opening a FIFO would block
    return Deno.openSync(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw stateError("read", path, error);
  }
}

/** The rest of a file, from its current position. A piece is valid until the next one. */
export function* piecesOf(file: Deno.FsFile): Generator<Uint8Array> {
  const buffer = new Uint8Array(PIECE_BYTES);
  for (let length: number | null; (length = file.readSync(buffer)) !== null;) yield buffer.subarray(0, length);
}

/** If the log was cut meanwhile, continues at its new end. */
function skipWhatWasCut(file: Deno.FsFile): void {
  const { size } = file.statSync();
  if (size < file.seekSync(0, Deno.SeekMode.Current)) file.seekSync(size, Deno.SeekMode.Start);
}

/** The file that a new start has put in this one's place; `null` while it is the same. */
function replacementOf(file: Deno.FsFile, path: string): Deno.FsFile | null {
  const next = openLog(path);
  if (next !== null && next.statSync().ino !== file.statSync().ino) return next;
  next?.close();
  return null;
}

/**
 * Reading the server's log as bytes: from its last lines on, as it grows, and on into the log of the next start.
 *
 * @module
 */
import { stateError } from "../os/errno.ts";
import { isMissing } from "../os/stat.ts";

/** Bytes that are read at a time. */
export const PIECE_BYTES = 64 * 1024;

/** Where the last `count` lines of an open file begin, in bytes. Reads backwards, in pieces. */
export function linesFrom(file: Deno.FsFile, count: number): number {
  const size = file.statSync().size;
  const piece = new Uint8Array(PIECE_BYTES);
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

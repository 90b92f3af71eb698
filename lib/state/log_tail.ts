/**
 * A log as it is read from some place to its end, and further as it grows.
 *
 * @module
 */
import { stateError } from "../errno.ts";
import { linesFrom } from "./log_reader.ts";

/** Reads a log piece by piece; goes on in the file that a new start puts in its place. */
export class Tail {
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
    const file = open(path);
    if (file !== null && count !== null) file.seekSync(linesFrom(file, count), Deno.SeekMode.Start);
    return file === null ? null : new Tail(path, file);
  }

  /** Gives what has come since the last call. */
  copy(emit: (bytes: Uint8Array) => "written" | "closed"): "written" | "closed" {
    const next = replacementOf(this.#file, this.path);
    skipWhatWasCut(this.#file);
    const reader = copy(this.#file, emit);
    if (next === null) return reader;
    this.#file.close();
    this.#file = next;
    return reader === "closed" ? "closed" : copy(next, emit);
  }

  /** Gives the file back. */
  close(): void {
    this.#file.close();
  }
}

function open(path: string): Deno.FsFile | null {
  try {
    if (!Deno.lstatSync(path).isFile) return null; // opening a FIFO would block
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw stateError("read", path, error);
  }
}

/** Copies what is left of a file. */
function copy(file: Deno.FsFile, emit: (bytes: Uint8Array) => "written" | "closed"): "written" | "closed" {
  const buffer = new Uint8Array(64 * 1024);
  for (let length: number | null; (length = file.readSync(buffer)) !== null;) {
    if (emit(buffer.subarray(0, length)) === "closed") return "closed";
  }
  return "written";
}

/** A log that is cut to its end while it is followed goes on with what comes after that. */
function skipWhatWasCut(file: Deno.FsFile): void {
  const { size } = file.statSync();
  if (size < file.seekSync(0, Deno.SeekMode.Current)) file.seekSync(size, Deno.SeekMode.Start);
}

/** The file that a new start has put in this one's place; `null` while it is the same. */
function replacementOf(file: Deno.FsFile, path: string): Deno.FsFile | null {
  const next = open(path);
  if (next !== null && next.statSync().ino !== file.statSync().ino) return next;
  next?.close();
  return null;
}

/**
 * The server's log: rotation at start, and its last lines.
 *
 * @module
 */
import { stateError } from "../errors.ts";
import { moveOver, removeFile } from "./durable.ts";
import type { NodeDir } from "./node_dir.ts";

/** How many logs of earlier starts are kept. */
const KEEP = 3;

/**
 * Makes a new, empty `server.log` and numbers the earlier ones. The new file is made first: when the disk
 * refuses it, nothing has changed.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function rotateLog(dir: NodeDir): void {
  const fresh = `${dir.path}/.server.log.${crypto.randomUUID()}.tmp`;
  try {
    Deno.openSync(fresh, { write: true, createNew: true, mode: 0o600 }).close();
    for (let number = KEEP; number > 0; number--) {
      const from = number === 1 ? dir.log : `${dir.log}.${number - 1}`;
      try {
        moveOver(from, `${dir.log}.${number}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    moveOver(fresh, dir.log);
  } catch (error) {
    removeFile(fresh);
    throw stateError("write", dir.log, error);
  }
}

/** Longest stretch from the end of a log that is searched for its last lines, in bytes. */
const TAIL_LIMIT = 64 * 1024;

/** The last lines of a log, at most `count`; empty if there is none. Control characters are shown as `?`. */
export function lastLines(path: string, count: number): string[] {
  try {
    if (!Deno.lstatSync(path).isFile) return []; // opening a FIFO would block
    using file = Deno.openSync(path);
    const size = file.statSync().size;
    const start = Math.max(0, size - TAIL_LIMIT);
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
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw stateError("read", path, error);
  }
}

// deno-lint-ignore no-control-regex
const ESCAPE_SEQUENCE = /\x1b\[[0-9;]*[A-Za-z]/g;
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** A log must not move the cursor of the terminal that shows an error. */
function printable(line: string): string {
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
      // The newline that ends the last line begins none.
      const isLast = start + at === size - 1;
      if (!isLast && ++found === count) return start + at + 1;
    }
    end = start;
  }
  return count === 0 ? size : 0;
}

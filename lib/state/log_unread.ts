/**
 * The lines of a node's logs that are new for a reader. A file in the node's directory stores the position of each
 * reader. The inode of the log and the bytes before the position identify it, even after a start has rotated the logs
 * or a command has cut one.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { asNumber, asString, parseObject } from "../spec/json.ts";
import { NAME } from "../spec/names.ts";
import { type FileContent, modifiedAtMs, readSmallFile, removeFile, replaceFile } from "./durable.ts";
import { logsOf } from "./log.ts";
import { openLog, piecesOf } from "./log_tail.ts";
import { entriesOf, type NodeDir } from "./node_dir.ts";

/** Version of the format. */
const SCHEMA = 1;

/** Number of bytes before the position that identify it: enough to be unique, as a rule. */
const MARK_BYTES = 512;

/** Positions of readers that have not read for this long are removed, in milliseconds. */
const FORGOTTEN_AFTER_MS = 30 * 24 * 3600 * 1000;

/** How far a reader has read. */
interface Position {
  /** Inode of the log. */
  inode: number;
  /** Place in it, in bytes. */
  at: number;
  /** The bytes before it, each as a character. */
  mark: string;
}

/** What a reader has not read yet. */
export class Unread implements Disposable {
  readonly #dir: NodeDir;
  readonly #path: string;
  /** The logs with unread lines, the oldest first. */
  readonly #files: Deno.FsFile[];
  /** Whether this reader has not read before. */
  readonly isFirst: boolean;

  private constructor(dir: NodeDir, path: string, files: Deno.FsFile[], isFirst: boolean) {
    this.#dir = dir;
    this.#path = path;
    this.#files = files;
    this.isFirst = isFirst;
  }

  /** Opens what a reader has not read; `null` if the node has no log. */
  static async open(dir: NodeDir, reader: string): Promise<Unread | null> {
    const path = `${dir.path}/${await fileNameOf(reader)}`;
    const position = readPosition(path);
    // The newest first: a log that a start rotates meanwhile is seen twice, and not missed.
    const files: Deno.FsFile[] = [];
    for (const log of logsOf(dir)) {
      const file = openLog(log);
      if (file === null) continue;
      const { ino } = file.statSync();
      if (files.some((other) => other.statSync().ino === ino)) file.close();
      else files.push(file);
    }
    if (files.length === 0) return null;
    const at = position === null ? 0 : files.findIndex((file) => file.statSync().ino === position.inode);
    const wanted = at < 0 ? files : files.slice(0, at + 1); // if its log is gone, all that there are came after it
    for (const file of files) if (!wanted.includes(file)) file.close();
    if (position !== null && at >= 0) seek(wanted[at]!, find(wanted[at]!, position) ?? 0);
    return new Unread(dir, path, wanted.reverse(), position === null);
  }

  /** What has not been read. A piece holds until the next one. */
  *pieces(): Generator<Uint8Array> {
    let last = 10;
    for (const file of this.#files) {
      if (last !== 10) yield new Uint8Array([10]); // the server before this one had not ended its last line
      for (const piece of piecesOf(file)) {
        last = piece.at(-1)!;
        yield piece;
      }
    }
  }

  /**
   * Saves the position after all lines that were read.
   *
   * @param rest bytes at the end that belong to an unfinished line
   * @throws {TombstoneError} the disk refuses
   */
  async save(rest: number): Promise<void> {
    const file = this.#files.at(-1)!;
    const at = file.seekSync(0, Deno.SeekMode.Current) - rest;
    const position = { schema: SCHEMA, inode: file.statSync().ino, at, mark: btoa(markAt(file, at)) };
    await replaceFile(this.#path, JSON.stringify(position) + "\n");
    for (const name of entriesOf(this.#dir)) {
      const path = `${this.#dir.path}/${name}`;
      const age = isReaderName(name) ? Date.now() - (modifiedAtMs(path) ?? Date.now()) : 0;
      if (age > FORGOTTEN_AFTER_MS) removeFile(path);
    }
  }

  /** Closes the logs. */
  [Symbol.dispose](): void {
    for (const file of this.#files) file.close();
  }
}

/** Whether an entry of a node's directory keeps the place of a reader. */
export function isReaderName(name: string): boolean {
  return /^reader\..+\.json$/.test(name);
}

/** Readers may have any name; only some are names of files. */
async function fileNameOf(reader: string): Promise<string> {
  if (NAME.test(reader)) return `reader.${reader}.json`;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(reader)));
  return `reader.${Array.from(digest.subarray(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("")}.json`;
}

/** Reads how far a reader has come; `null`, so that all is shown, if the file holds anything else. */
function readPosition(path: string): Position | null {
  const content = contentOf(path);
  const fields = content.kind === "text" ? parseObject(content.text) : null;
  const inode = asNumber(fields?.inode, 0, Number.MAX_SAFE_INTEGER);
  const at = asNumber(fields?.at, 0, Number.MAX_SAFE_INTEGER);
  const mark = asString(fields?.mark);
  if (fields?.schema !== SCHEMA || inode === null || at === null || mark === null) return null;
  if (!Number.isInteger(at) || !/^[A-Za-z0-9+/]*={0,2}$/.test(mark) || mark.length % 4 !== 0) return null;
  return { inode, at, mark: atob(mark) };
}

/** If the disk does not return the place, the log is still shown. */
function contentOf(path: string): FileContent {
  try {
    return readSmallFile(path, "own");
  } catch (error) {
    if (error instanceof TombstoneError) return { kind: "unreadable", reason: error.message };
    throw error;
  }
}

/** Where the place is now; `null` if the log was cut behind it. */
function find(file: Deno.FsFile, { at, mark }: Position): number | null {
  const { size } = file.statSync();
  if (at <= size && markAt(file, at) === mark) return at;
  if (mark === "") return null;
  // Searches backwards in overlapping pieces: the log may be long, and the position is near its end.
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - SEARCHED_BYTES);
    const found = textOf(file, start, Math.min(end + mark.length - 1, size)).lastIndexOf(mark);
    if (found >= 0) return start + found + mark.length;
    end = start;
  }
  return null;
}

/** What is searched at a time, in bytes. */
const SEARCHED_BYTES = 1024 * 1024;

function markAt(file: Deno.FsFile, at: number): string {
  return textOf(file, Math.max(0, at - MARK_BYTES), at);
}

/** A part of a file, each byte as a character. Does not move the position of the file. */
function textOf(file: Deno.FsFile, from: number, to: number): string {
  const before = seek(file, 0, Deno.SeekMode.Current);
  seek(file, from);
  let text = "";
  const buffer = new Uint8Array(Math.min(to - from, 32 * 1024));
  while (text.length < to - from) {
    const length = file.readSync(buffer.subarray(0, Math.min(buffer.length, to - from - text.length)));
    if (length === null) break; // cut meanwhile
    text += String.fromCharCode(...buffer.subarray(0, length));
  }
  seek(file, before);
  return text;
}

function seek(file: Deno.FsFile, at: number, mode = Deno.SeekMode.Start): number {
  return file.seekSync(at, mode);
}

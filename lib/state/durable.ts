/**
 * Writing, reading and removing state files. A crash at any moment leaves the old content or the new.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { basename, dirname } from "../paths.ts";
import { errnoOf, type FilePlace, stateError } from "../os/errno.ts";
import { isMissing, lstatOrNull, statOrNull } from "../os/stat.ts";
import { sync } from "../os/thread.ts";

/** Whether a directory entry is what an interrupted {@linkcode replaceFile} left. */
export function isTemporaryName(name: string): boolean {
  return /^\..+\.tmp$/.test(name);
}

/** Makes the entries of a directory durable (fsync of the directory). */
export async function syncDir(path: string): Promise<void> {
  try {
    using dir = Deno.openSync(path);
    await sync(dir);
  } catch (error) {
    throw stateError("sync", path, error);
  }
}

/**
 * Replaces a file whole: temporary file, fsync, rename. Follow it with {@linkcode syncDir} where the
 * entry itself must survive a power loss. A symbolic link at `path` is replaced, never written through;
 * a directory there is removed, since state files are this tool's own.
 *
 * @throws {TombstoneError} the disk refuses; the old content is unchanged
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  using prepared = await prepareFile(path, text);
  prepared.place();
}

/** A file that is written and synced, and not in place yet. Disposing of it removes it, unless it was put in place. */
export interface PreparedFile extends Disposable {
  /**
   * Puts it in place.
   *
   * @throws {TombstoneError} the disk refuses
   */
  place(): void;
}

/**
 * The first half of {@linkcode replaceFile}: writes and syncs the temporary file, so that putting it in place later is
 * quick.
 *
 * @throws {TombstoneError} the disk refuses
 */
export async function prepareFile(path: string, text: string): Promise<PreparedFile> {
  const temporary = `${dirname(path)}/.${basename(path)}.${crypto.randomUUID()}.tmp`;
  try {
    using file = Deno.openSync(temporary, { write: true, createNew: true, ...system.files.privateFile });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    await sync(file);
  } catch (error) {
    discard(temporary);
    throw stateError("write", path, error);
  }
  let isPlaced = false;
  return {
    place() {
      try {
        moveOver(temporary, path);
      } catch (error) {
        throw stateError("write", path, error);
      }
      isPlaced = true;
    },
    [Symbol.dispose]() {
      if (!isPlaced) discard(temporary);
    },
  };
}

/** Removes a temporary file. Where the disk refuses, the next sweep removes it; the caller has something else to tell. */
function discard(temporary: string): void {
  try {
    removeFile(temporary);
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
  }
}

/** Renames over any entry at the target, even a directory: the state directory holds only this tool's files. */
export function moveOver(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    const isInTheWay = error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.NotADirectory ||
      errnoOf(error) === "ENOTEMPTY";
    if (!isInTheWay) throw error;
    Deno.removeSync(to, { recursive: true });
    Deno.renameSync(from, to);
  }
}

/**
 * Removes a file; a missing one is not an error. It would also remove an empty directory, so the caller must check a
 * path of the user first.
 *
 * @returns whether it was there
 * @throws {TombstoneError} it cannot be removed
 */
export function removeFile(path: string): boolean {
  return remove(path, {});
}

/**
 * Removes an entry of the state directory, even a directory with its content: the state directory holds only this tool's
 * files.
 *
 * @returns whether it was there
 * @throws {TombstoneError} it cannot be removed
 */
export function removeEntry(path: string): boolean {
  return remove(path, { recursive: true });
}

function remove(path: string, options: Deno.RemoveOptions): boolean {
  try {
    Deno.removeSync(path, options);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw stateError("remove", path, error);
  }
}

/** What {@linkcode readSmallFile} found. */
export type FileContent =
  | { kind: "missing" }
  | { kind: "text"; text: string }
  | { kind: "unreadable"; reason: string };

/**
 * More than any state file that this tool writes. A command line has at most 6 MiB (execve(2)), and a control character
 * takes six bytes in JSON.
 */
const MAX_SIZE_BYTES = 64 * 1024 * 1024;

/** Whose file it is: one of the state, which must be this user's; or any other, such as a pid file of the server. */
export type FileOwner = "anybody" | "own";

/**
 * Reads a small text file. Whatever is at the path: it never blocks on a FIFO, follows a symbolic link or reads a huge
 * file whole.
 *
 * @param owner `"own"`: a file of another user is unreadable
 */
export function readSmallFile(path: string, owner: FileOwner): FileContent {
  try {
    // Opening a FIFO would block for ever, so its type is checked first; nobody else can change it (0700).
    const reason = reasonNotToRead(Deno.lstatSync(path), owner);
    if (reason !== null) return { kind: "unreadable", reason };
    if (owner === "anybody") return { kind: "text", text: Deno.readTextFileSync(path) };
    using file = Deno.openSync(path);
    const info = file.statSync(); // of the file that is read
    const secondReason = reasonNotToRead(info, owner);
    if (secondReason !== null) return { kind: "unreadable", reason: secondReason };
    return { kind: "text", text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(readWhole(file, info.size)) };
  } catch (error) {
    if (isMissing(error)) return { kind: "missing" };
    if (error instanceof Deno.errors.PermissionDenied) return { kind: "unreadable", reason: "permission denied" };
    throw stateError("read", path, error, owner === "own" ? "state" : "elsewhere");
  }
}

/**
 * Reads a file that a listing has just shown to be a regular one, in a directory that only this user can change. It costs
 * a fifth of {@linkcode readSmallFile}, so it is for directories with many files.
 *
 * @returns `null`: it is gone, or cannot be read now
 */
export function readListedFile(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}

function reasonNotToRead(info: Deno.FileInfo, owner: FileOwner): string | null {
  if (info.isDirectory) return "it is a directory";
  if (!info.isFile) return "it is not a regular file";
  if (info.size > MAX_SIZE_BYTES) return `it is ${info.size} bytes long`;
  const other = owner === "own" ? system.files.ownerIfOther(info) : null;
  return other === null ? null : `it belongs to ${other}`;
}

function readWhole(file: Deno.FsFile, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (let n: number | null; length < size && (n = file.readSync(bytes.subarray(length))) !== null;) length += n;
  return bytes.subarray(0, length);
}

/** When a file was last written, in milliseconds since 1970 by the clock as it was set then; `null` if there is none. */
export function modifiedAtMs(path: string, place: FilePlace = "state"): number | null {
  return statOrNull(path, { place })?.mtime?.getTime() ?? null;
}

/** Inode of a regular file; `null` if there is none. */
export function inodeOf(path: string): number | null {
  const info = lstatOrNull(path);
  return info?.isFile ? info.ino : null;
}

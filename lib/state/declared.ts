/**
 * Declared files outside the state directory: files of the server that are stale whenever the node does not run. They
 * are among the user's own files, so each is checked before it is removed.
 *
 * @module
 */
import { errnoOf, stateError } from "../os/errno.ts";
import { IMPOSSIBLE, statOrNull } from "../os/stat.ts";
import type { DeclaredFile, DeclaredKind } from "../spec/declared.ts";

/** What is at a declared path. */
export type Declared =
  /** Nothing. */
  | { kind: "missing" }
  /** No file can exist there: a part of the path is not a directory, or the name is too long. */
  | { kind: "impossible"; error: unknown }
  /** Unknown. */
  | { kind: "unseen"; error: unknown }
  /** A file of the declared kind, which may be removed. */
  | { kind: "stale"; isSocket: boolean }
  /** Something else; `reason` is part of a message. */
  | { kind: "other"; reason: string };

/** What is at a declared path. Follows a symbolic link only to see whether it leads to a directory. */
export function lookAtDeclared({ path, kind }: DeclaredFile): Declared {
  try {
    const info = Deno.lstatSync(path);
    const reason = reasonToKeep(path, kind, info);
    return reason === null ? { kind: "stale", isSocket: info.isSocket === true } : { kind: "other", reason };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === null) throw error;
    if (errno === "ENOENT") return { kind: "missing" };
    return { kind: IMPOSSIBLE.includes(errno) ? "impossible" : "unseen", error };
  }
}

/** The reason, in words, why an entry must not be removed; `null` if it has the declared form. */
function reasonToKeep(path: string, kind: DeclaredKind, info: Deno.FileInfo): string | null {
  if (info.isDirectory) return "it is a directory";
  if (info.isBlockDevice || info.isCharDevice) return "it is a device";
  if (info.isFifo) return "it is a FIFO";
  switch (kind) {
    case "socket":
      if (info.isSocket) return null;
      return info.isSymlink ? "it is a symbolic link" : "it exists and is not a socket";
    case "leftover":
      return info.isSymlink && leadsToDirectory(path) ? "it is a symbolic link to a directory" : null;
    case "number":
      if (info.isSymlink) return "it is a symbolic link";
      if (!info.isFile) return "it is not a regular file";
      if (info.size > LARGEST_BYTES) return `it exists and is ${info.size} bytes long`;
      return isNumberFile(Deno.readTextFileSync(path)) ? null : "it exists and does not hold a number";
  }
}

function leadsToDirectory(path: string): boolean {
  return statOrNull(path, { place: "elsewhere", unseen: "missing" })?.isDirectory === true;
}

/** Largest port or pid file, in bytes: a number and a nonce. */
const LARGEST_BYTES = 512;

/** Whether this can be the content of a port or pid file: nothing, or a number and perhaps a second line. */
export function isNumberFile(text: string): boolean {
  return /^\s*$|^[ \t]*\d{1,10}[ \t]*(\r?\n[^\r\n\0]{0,256})?\s*$/.test(text);
}

/**
 * Removes the entry at a declared path if it has the declared form.
 *
 * @returns whether it was there
 * @throws {TombstoneError} it cannot be removed or examined
 */
export function removeDeclared(file: DeclaredFile): boolean {
  const found = lookAtDeclared(file);
  if (found.kind === "unseen") throw stateError("remove", file.path, found.error, "elsewhere");
  if (found.kind !== "stale") return false;
  try {
    Deno.removeSync(file.path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw stateError("remove", file.path, error, "elsewhere");
  }
}

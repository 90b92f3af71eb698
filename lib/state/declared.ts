/**
 * Files outside the state directory that are stale whenever a node does not run, since the user said so or the server
 * writes them. They stand among the user's own files, so what is in such a place is looked at before it is removed.
 *
 * @module
 */
import { errnoOf, stateError } from "../errno.ts";
import type { DeclaredFile, DeclaredKind } from "../spec/declared.ts";

/** What is in a declared place. */
export type Declared =
  /** Nothing. */
  | { kind: "missing" }
  /** Nothing, and there never can be: a part of the path is no directory, or the name is too long. */
  | { kind: "impossible"; error: unknown }
  /** Nobody can tell. */
  | { kind: "unseen"; error: unknown }
  /** What was declared; it may be removed. */
  | { kind: "stale"; isSocket: boolean }
  /** Something else, in words: `it is a directory`. */
  | { kind: "other"; reason: string };

/** Errors of a path that no file can have. */
const IMPOSSIBLE = ["ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** Looks at a declared place; follows no symbolic link but to see whether it leads to a directory. */
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

/** Why what is there is not to be removed, in words; `null` if it is what was declared. */
function reasonToKeep(path: string, kind: DeclaredKind, info: Deno.FileInfo): string | null {
  if (info.isDirectory) return "it is a directory";
  if (info.isBlockDevice || info.isCharDevice) return "it is a device";
  if (info.isFifo) return "it is a FIFO";
  switch (kind) {
    case "socket":
      if (info.isSocket) return null;
      return info.isSymlink ? "it is a symbolic link" : "it exists and is no socket";
    case "leftover":
      return info.isSymlink && leadsToDirectory(path) ? "it is a symbolic link to a directory" : null;
    case "number":
      if (info.isSymlink) return "it is a symbolic link";
      if (!info.isFile) return "it is no regular file";
      if (info.size > LARGEST) return `it exists and is ${info.size} bytes long`;
      return isNumberFile(Deno.readTextFileSync(path)) ? null : "it exists and does not hold a number";
  }
}

function leadsToDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (errnoOf(error) !== null) return false; // it leads nowhere
    throw error;
  }
}

/** Largest port or pid file, in bytes: a number and a nonce. */
const LARGEST = 512;

/** Whether this is the content of a port or pid file: nothing yet, or a number, and perhaps a second line. */
export function isNumberFile(text: string): boolean {
  return /^\s*$|^[ \t]*\d{1,10}[ \t]*(\r?\n[^\r\n\0]{0,256})?\s*$/.test(text);
}

/**
 * Removes what is in a declared place if it is what was declared.
 *
 * @returns whether it was there and is gone now
 * @throws {TombstoneError} it is there and cannot be removed, or nobody can tell whether it is there
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

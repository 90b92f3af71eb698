/**
 * What is at a path, or nothing. The rules for errors of the system are in this one place:
 *
 * - *Nothing is there*: the path is missing, a part of it is not a directory, or it is not a valid path.
 * - *It cannot be seen*: it is closed to this user. That is an error, unless the caller treats it as nothing.
 * - Everything else, such as a failing disk, says nothing about what is there, and is an error.
 *
 * @module
 */
import { errnoOf, type FilePlace, stateError } from "./errno.ts";

/** Errors of a path that no file can have. */
export const IMPOSSIBLE: readonly string[] = ["ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** Whether the system says that nothing is at a path. */
export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno !== null && (errno === "ENOENT" || IMPOSSIBLE.includes(errno));
}

/** Options of a check. */
export interface StatOptions {
  /** Whose file it is, for the hint of an error; default: the state directory. */
  place?: FilePlace;
  /** Result for a path that is closed to this user; default: `"error"`. */
  unseen?: "error" | "missing";
}

/**
 * What is at a path, a symbolic link itself; `null` if nothing is.
 *
 * @throws {StateError} it cannot be examined
 */
export function lstatOrNull(path: string, options: StatOptions = {}): Deno.FileInfo | null {
  return orNull(Deno.lstatSync, path, options);
}

/**
 * What a path leads to; `null` if nothing is there.
 *
 * @throws {StateError} it cannot be examined
 */
export function statOrNull(path: string, options: StatOptions = {}): Deno.FileInfo | null {
  return orNull(Deno.statSync, path, options);
}

/**
 * The text of a file; `null` if nothing is there, or no regular file.
 *
 * @throws {StateError} it cannot be read
 */
export function readTextOrNull(path: string, options: StatOptions = {}): string | null {
  // Opening a FIFO would block.
  return statOrNull(path, options)?.isFile ? orNull(Deno.readTextFileSync, path, options) : null;
}

function orNull<T>(
  read: (path: string) => T,
  path: string,
  { place = "state", unseen = "error" }: StatOptions,
): T | null {
  try {
    return read(path);
  } catch (error) {
    if (isMissing(error) || unseen === "missing" && error instanceof Deno.errors.PermissionDenied) return null;
    throw stateError("look at", path, error, place);
  }
}

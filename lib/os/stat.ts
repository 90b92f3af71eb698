/**
 * What is at a path, or nothing. The rules for refusals of the system stand here once:
 *
 * - *Nothing is there*: the path is missing, a part of it is no directory, or no file can have it.
 * - *It is not to be seen*: this user may not look. That is an error, unless the caller counts it as nothing.
 * - Everything else, such as a failing disk, says nothing about what is there, and is an error.
 *
 * @module
 */
import { errnoOf, type Place, stateError } from "./errno.ts";

/** Errors of a path that no file can have. */
export const IMPOSSIBLE: readonly string[] = ["ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** Whether the system says that nothing is at a path. */
export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno !== null && (errno === "ENOENT" || IMPOSSIBLE.includes(errno));
}

/** How to look. */
export interface LookOptions {
  /** Whose file it is, for the hint of an error; default: one of the state. */
  place?: Place;
  /** What a path counts as that this user may not look at; default: `"error"`. */
  unseen?: "error" | "missing";
}

/**
 * What is at a path, a symbolic link itself; `null` if nothing is.
 *
 * @throws {StateError} it cannot be told
 */
export function lstatOrNull(path: string, options: LookOptions = {}): Deno.FileInfo | null {
  return orNull(Deno.lstatSync, path, options);
}

/**
 * What a path leads to; `null` if nothing is there.
 *
 * @throws {StateError} it cannot be told
 */
export function statOrNull(path: string, options: LookOptions = {}): Deno.FileInfo | null {
  return orNull(Deno.statSync, path, options);
}

function orNull(
  look: (path: string) => Deno.FileInfo,
  path: string,
  { place = "state", unseen = "error" }: LookOptions,
): Deno.FileInfo | null {
  try {
    return look(path);
  } catch (error) {
    if (isMissing(error) || unseen === "missing" && error instanceof Deno.errors.PermissionDenied) return null;
    throw stateError("look at", path, error, place);
  }
}

/**
 * The state directory, and whether it can be trusted: users who can write to it could have prepared a record, and with it
 * a stop command or the pid of another process.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { stateError } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { dirname } from "../paths.ts";
import type { NodeDir } from "./node_dir.ts";

/**
 * Follows the path to the real directory and refuses one that others could have prepared. The result is the path that was
 * checked, even if a symbolic link has been changed meanwhile.
 *
 * @returns its real path, or `null` if there is none yet
 * @throws {TombstoneError} it is no directory, belongs to another user, or is writable by others
 */
export function findStateDir(path: string): string | null {
  try {
    const real = Deno.realPathSync(path);
    requireOwn(real, Deno.lstatSync(real));
    return real;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw stateError("use the state directory", path, error);
  }
}

/** Like {@linkcode findStateDir}, but makes the directory (mode 0700) where it is missing. */
export function ensureStateDir(path: string): string {
  const found = findStateDir(path);
  if (found !== null) return found;
  try {
    Deno.mkdirSync(path, { recursive: true, ...system.files.privateDirectory });
  } catch (error) {
    throw stateError("make the state directory", path, error);
  }
  // A user who can write to the parent may have put another directory there.
  const made = findStateDir(path);
  if (made === null) throw refuseDirectory(path, "it was removed at once", "choose another place with --state-dir");
  return made;
}

/** The error for a directory that must not hold state. */
function refuseDirectory(path: string, state: string, hint: string): TombstoneError {
  return tombstoneError(`Cannot use the state directory "${path}": ${state}`, {
    kind: "state",
    hint,
    details: { path },
  });
}

/**
 * Requires a directory of this user that nobody else can write to.
 *
 * @param info of `lstat`
 * @throws {TombstoneError} it is something else
 */
function requireOwn(path: string, info: Deno.FileInfo): void {
  const elsewhere = "choose another place with --state-dir";
  if (!info.isDirectory) throw refuseDirectory(path, "it is not a directory", elsewhere);
  const other = system.files.ownerIfOther(info);
  if (other !== null) throw refuseDirectory(path, `it belongs to ${other}`, elsewhere);
  if (system.files.isWritableByOthers(info)) {
    const state = `it is writable by others (mode ${system.files.modeOf(info)})`;
    throw refuseDirectory(path, state, system.hints.makePrivate(path));
  }
}

/**
 * Requires the same of all directories of a node: the state directory, which another user may have replaced since it
 * was checked, the workspace's and the node's. (Test: "a state directory in a shared parent …".)
 *
 * @returns `"missing"` if one of them does not exist
 * @throws {TombstoneError} one of them belongs to another user, or is writable by others
 */
export function requireOwnDirs(dir: NodeDir): "own" | "missing" {
  const workspace = dirname(dir.path);
  for (const path of [dirname(workspace), workspace, dir.path]) {
    const info = lstatOrNull(path);
    if (info === null) return "missing";
    requireOwn(path, info);
  }
  return "own";
}

/**
 * Whether a directory can be trusted with state: in one that others could write to, they could have prepared a record, and
 * with it a stop command or the pid of somebody else's process.
 *
 * @module
 */
import { dirname } from "@std/path/posix/dirname";
import { stateError } from "../errno.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import type { NodeDir } from "./node_dir.ts";

/** Refuses to use a directory for state. */
export function refuseDirectory(path: string, state: string, hint: string): TombstoneError {
  return tombstoneError(`Cannot use the state directory "${path}": ${state}`, {
    kind: "state",
    hint,
    details: { path },
  });
}

/**
 * Insists on a directory of this user's own that nobody else can write to.
 *
 * @param info what a look at it returned that followed no symbolic link
 * @throws {TombstoneError} it is something else
 */
export function requireOwn(path: string, info: Deno.FileInfo): void {
  const elsewhere = "choose another place with --state-dir";
  if (!info.isDirectory) throw refuseDirectory(path, "it is not a directory", elsewhere);
  if (info.uid !== null && info.uid !== Deno.uid()) {
    throw refuseDirectory(path, `it belongs to user ${info.uid}, not to you (${Deno.uid()})`, elsewhere);
  }
  if (info.mode !== null && (info.mode & 0o022) !== 0) {
    const mode = (info.mode & 0o7777).toString(8).padStart(4, "0");
    throw refuseDirectory(path, `it is writable by others (mode ${mode})`, `chmod go-w "${path}"`);
  }
}

/**
 * Insists on that for the directories of a node: the state directory, which a stranger may have put in the place of the one
 * that was looked at, the workspace's and the node's own. (Test: "a state directory in a shared parent …".)
 *
 * @returns `"missing"` if one of them is not there
 * @throws {TombstoneError} one of them is somebody else's, or can be written to by others
 */
export function requireOwnDirs(dir: NodeDir): "own" | "missing" {
  const workspace = dirname(dir.path);
  for (const path of [dirname(workspace), workspace, dir.path]) {
    try {
      requireOwn(path, Deno.lstatSync(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "missing";
      throw stateError("look at", path, error);
    }
  }
  return "own";
}

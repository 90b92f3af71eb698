/**
 * Where state lives, and whether that place can be trusted.
 *
 * @module
 */
import { fromHere, variable } from "../os/surroundings.ts";
import { stateError } from "../errno.ts";
import { tombstoneError } from "../errors.ts";
import { refuseDirectory, requireOwn } from "./trust.ts";

/** The state directory named by flag, environment or platform, absolute; it may not exist yet. */
export function stateDirPath(flag: string | undefined): string {
  if (flag !== undefined) return fromHere(flag);
  const own = variable("TOMBSTONE_STATE_DIR");
  if (own) return fromHere(own);
  const xdg = variable("XDG_STATE_HOME");
  if (xdg) return fromHere(`${xdg}/tombstone`);
  const home = variable("HOME");
  if (!home) {
    throw tombstoneError("Cannot find the state directory: HOME is not set", {
      kind: "state",
      hint: "name one with --state-dir or TOMBSTONE_STATE_DIR",
    });
  }
  return Deno.build.os === "darwin"
    ? `${home}/Library/Application Support/tombstone`
    : `${home}/.local/state/tombstone`;
}

/**
 * Follows the path to the real directory and refuses one that others could have prepared. What is returned is what was
 * looked at, whatever the path leads to by now.
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
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw stateError("make the state directory", path, error);
  }
  // Somebody who can write to the parent may have put another one there.
  const made = findStateDir(path);
  if (made === null) throw refuseDirectory(path, "it was removed at once", "choose another place with --state-dir");
  return made;
}

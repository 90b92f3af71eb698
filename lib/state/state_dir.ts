/**
 * Where state lives, and whether that place can be trusted.
 *
 * @module
 */
import { currentDirectory, variable } from "../os/surroundings.ts";
import { resolve } from "@std/path/posix/resolve";
import { EXIT, stateError, TombstoneError } from "../errors.ts";

/** The current directory is not asked for where the path does not begin in it: it need not have a name. */
function fromHere(path: string): string {
  return path.startsWith("/") ? resolve(path) : resolve(currentDirectory(), path);
}

/** The state directory named by flag, environment or platform, absolute; it may not exist yet. */
export function stateDirPath(flag: string | undefined): string {
  if (flag !== undefined) return fromHere(flag);
  const own = variable("TOMBSTONE_STATE_DIR");
  if (own) return fromHere(own);
  const xdg = variable("XDG_STATE_HOME");
  if (xdg) return fromHere(`${xdg}/tombstone`);
  const home = variable("HOME");
  if (!home) {
    throw new TombstoneError("Cannot find the state directory: HOME is not set", {
      kind: "state",
      hint: "name one with --state-dir or TOMBSTONE_STATE_DIR",
      exitCode: EXIT.state,
    });
  }
  return Deno.build.os === "darwin"
    ? `${home}/Library/Application Support/tombstone`
    : `${home}/.local/state/tombstone`;
}

function refuse(path: string, state: string, hint: string): TombstoneError {
  return new TombstoneError(`Cannot use the state directory "${path}": ${state}`, {
    kind: "state",
    hint,
    exitCode: EXIT.state,
    details: { path },
  });
}

/**
 * Follows the path to the real directory and refuses one that others could have prepared.
 *
 * @returns its real path, or `null` if there is none yet
 * @throws {TombstoneError} it is no directory, belongs to another user, or is writable by others
 */
export function findStateDir(path: string): string | null {
  let info: Deno.FileInfo;
  let real: string;
  try {
    info = Deno.statSync(path);
    real = Deno.realPathSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw stateError("use the state directory", path, error);
  }
  if (!info.isDirectory) throw refuse(path, "it is not a directory", "choose another place with --state-dir");
  if (info.uid !== null && info.uid !== Deno.uid()) {
    throw refuse(
      path,
      `it belongs to user ${info.uid}, not to you (${Deno.uid()})`,
      "choose another place with --state-dir",
    );
  }
  if (info.mode !== null && (info.mode & 0o022) !== 0) {
    const mode = (info.mode & 0o7777).toString(8).padStart(4, "0");
    throw refuse(path, `it is writable by others (mode ${mode})`, `chmod go-w "${path}"`);
  }
  return real;
}

/** Like {@linkcode findStateDir}, but makes the directory (mode 0700) where it is missing. */
export function ensureStateDir(path: string): string {
  const found = findStateDir(path);
  if (found !== null) return found;
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    return Deno.realPathSync(path);
  } catch (error) {
    throw stateError("make the state directory", path, error);
  }
}

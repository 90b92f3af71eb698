/**
 * Where state goes. If nobody names a directory and the usual one cannot be written, as in an agent's sandbox with a
 * read-only home, it goes into the project, which the next command in the next sandbox sees, too.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { currentDirectoryIfAny, fromHere, variable } from "../os/surroundings.ts";
import { describeErrno, errnoOf } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { TombstoneError, tombstoneError } from "../errors.ts";
import { ensureStateDir, findStateDir } from "./state_dir.ts";
import { findProject } from "./workspace.ts";

/** A state directory, absolute; it may not exist yet. */
export interface StatePlace {
  /** Its path. */
  path: string;
  /** In words, why it is not the usual one; `null` for that, and for one that was named. */
  instead: string | null;
}

/** Name of a state directory in a project. */
const IN_PROJECT = ".tombstone";

/**
 * The state directory named by flag or environment; else the usual one, or its substitute.
 *
 * `ensure` makes the directory. A usual one that does not exist yet is made only if the project has no substitute, so that
 * `find` and `ensure` agree.
 *
 * @throws {TombstoneError} the environment names no home directory
 */
export function statePlace(flag: string | undefined, mode: "find" | "ensure"): StatePlace {
  const named = flag ?? (variable("TOMBSTONE_STATE_DIR") || undefined);
  if (named !== undefined) return { path: fromHere(named), instead: null };
  const usual = usualPath();
  const substitutes = substitutePaths();
  let refusal = refusalOf(usual, "find");
  if (refusal === "missing") {
    const found = substitutes.find(isThere);
    const isFound = mode === "find" || found?.endsWith(`/${IN_PROJECT}`);
    if (isFound) return { path: found ?? usual, instead: null };
    refusal = refusalOf(usual, "ensure");
  }
  if (refusal === null) return { path: usual, instead: null };
  const instead = `"${usual}" cannot be used: ${refusal}`;
  const path = mode === "find" ? substitutes.find(isThere) ?? substitutes[0] : substitutes.find(isMade);
  return path === undefined ? { path: usual, instead: null } : { path, instead };
}

function usualPath(): string {
  const home = system.files.stateHome(variable);
  if (home === null) {
    throw tombstoneError("Cannot find the state directory: the environment names no home directory", {
      kind: "state",
      hint: "name one with --state-dir or TOMBSTONE_STATE_DIR",
    });
  }
  return fromHere(`${home}/tombstone`);
}

/** What can take the place of the usual directory, the better one first. */
function substitutePaths(): string[] {
  const directory = currentDirectoryIfAny();
  const project = directory === null ? [] : [`${findProject(directory)}/${IN_PROJECT}`];
  return [...project, system.files.temporary(variable, "tombstone")]
    .filter((path) => lstatOrNull(path, { unseen: "missing" })?.isDirectory !== false);
}

const isThere = (path: string) => lstatOrNull(path, { unseen: "missing" }) !== null;

/** Makes a substitute; in a project, git is told to leave it alone. */
function isMade(path: string): boolean {
  try {
    const real = ensureStateDir(path);
    tryWrite(real);
    const ignore = `${real}/.gitignore`;
    if (path.endsWith(`/${IN_PROJECT}`) && !isThere(ignore)) {
      Deno.writeTextFileSync(ignore, "*\n", system.files.privateFile);
    }
    return true;
  } catch (error) {
    if (errnoBehind(error) === null) throw error;
    return false;
  }
}

/** Only writing tells: a sandbox may forbid it although the permissions allow it. */
function tryWrite(directory: string): void {
  Deno.openSync(`${directory}/.writable`, { write: true, create: true, ...system.files.privateFile }).close();
}

/** The errno of an error of the system, also of one that was put into words; `""` for another expected one. */
function errnoBehind(error: unknown): string | null {
  return error instanceof TombstoneError ? errnoOf(error.cause) ?? "" : errnoOf(error);
}

/** Errors that say that this process may not write there. */
const REFUSALS = ["EROFS", "EACCES", "EPERM"];

/** In words, why a directory cannot be written; `null` if it can, or if whoever uses it meets the error. */
function refusalOf(path: string, mode: "find" | "ensure"): string | "missing" | null {
  try {
    const real = mode === "ensure" ? ensureStateDir(path) : findStateDir(path);
    if (real === null) return "missing";
    tryWrite(real);
    return null;
  } catch (error) {
    const errno = errnoBehind(error);
    if (errno === null) throw error;
    if (!REFUSALS.includes(errno)) return null;
    return describeErrno(error instanceof TombstoneError ? error.cause : error);
  }
}

/**
 * Nodes whose directory has been deleted (a worktree that was removed, for one): no command that works on the workspace
 * of the current directory comes to them any more.
 *
 * @module
 */
import { dirname } from "@std/path/posix/dirname";
import { TombstoneError } from "../errors.ts";
import { isGone } from "../os/linux/gone.ts";
import { type NodeDir, projectOf, viewOf } from "../state/node_dir.ts";
import { readNodeInfo } from "../state/node_info.ts";
import { findStateDir, stateDirPath } from "../state/state_dir.ts";
import { isComputedId } from "../state/workspace.ts";
import { quoted } from "./stray.ts";

/** What is known of a node's server. */
export interface Resident {
  /** Its main process, if that lives; else `null`. */
  pid: number | null;
  /** Directory that it was started in. */
  cwd: string | null;
}

/** Nobody who is known to be there. */
export const NOBODY: Resident = { pid: null, cwd: null };

/**
 * The directory of a node, if it has been deleted; else, or where that cannot be told, `null`.
 *
 * It is the project. A workspace that somebody has named may have several; there it is the directory of the server.
 */
export function goneDirectoryOf(dir: NodeDir, { pid, cwd }: Resident): string | null {
  const project = projectOf(dir);
  const directory = project !== null && isComputedId(dir.workspace, project) ? project : cwd ?? project;
  return directory !== null && isGone(directory, { pid, view: viewOf(dir) }) ? directory : null;
}

/** The same for a node that runs, as its record names it. */
export function goneDirectoryOfRunning(dir: NodeDir): string | null {
  const info = readNodeInfo(dir);
  return goneDirectoryOf(dir, info.kind === "record" ? info.record : NOBODY);
}

/** In words, after another reason, and with what ends the node from any directory. */
export function describeGone(dir: NodeDir, directory: string, reason: string | null = null): string {
  return `${reason === null ? "" : `${reason}; `}its directory ${directory} is gone: ${stopCommand(dir)} ends it`;
}

/** What ends a node, as it is typed in any directory. */
export function stopCommand(dir: NodeDir): string {
  const state = dirname(dirname(dir.path));
  return `tombstone stop ${dir.node} --workspace ${dir.workspace}` +
    (state === defaultState() ? "" : ` --state-dir ${quoted(state)}`);
}

function defaultState(): string | null {
  try {
    return findStateDir(stateDirPath(undefined));
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

/**
 * Nodes whose directory has been deleted, such as a git worktree. The user cannot change into it, so a command must
 * name the workspace.
 *
 * @module
 */
import { recordOf } from "../state/record.ts";
import { dirname } from "../paths.ts";
import { TombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { type NodeDir, projectOf, viewOf } from "../state/node_dir.ts";
import { readNodeInfo } from "../state/node_info.ts";
import { findStateDir, stateDirPath } from "../state/state_dir.ts";
import { isComputedId } from "../state/workspace.ts";

/** What is known of a node's server. */
export interface Resident {
  /** Its main process, if that is alive; else `null`. */
  pid: number | null;
  /** Directory that it was started in. */
  cwd: string | null;
}

/** Nothing is known of one. */
export const NO_SERVER: Resident = { pid: null, cwd: null };

/**
 * The directory of a node, if it has certainly been deleted; else `null`.
 *
 * This is the project's directory. In a named workspace, which may span several projects, it is the directory of the
 * server.
 */
export function goneDirectoryOf(dir: NodeDir, { pid, cwd }: Resident): string | null {
  const project = projectOf(dir);
  const directory = project !== null && isComputedId(dir.workspace, project) ? project : cwd ?? project;
  return directory !== null && system.files.isGone(directory, { pid, view: viewOf(dir) }) ? directory : null;
}

/** The same, by the commit record of a running node. */
export function goneDirectoryOfRunning(dir: NodeDir): string | null {
  const info = readNodeInfo(dir);
  return goneDirectoryOf(dir, recordOf(info) ?? NO_SERVER);
}

/** As part of a message, after another reason, with the command that stops the node from any directory. */
export function describeGone(dir: NodeDir, directory: string, reason: string | null = null): string {
  return `${reason === null ? "" : `${reason}; `}its directory ${directory} is gone: ${stopCommand(dir)} ends it`;
}

/** The command that stops a node from any directory. */
export function stopCommand(dir: NodeDir): string {
  const state = dirname(dirname(dir.path));
  return `tombstone stop ${dir.node} --workspace ${dir.workspace}` +
    (state === defaultState() ? "" : ` --state-dir ${system.shell.quote(state)}`);
}

function defaultState(): string | null {
  try {
    return findStateDir(stateDirPath(undefined));
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

/**
 * Nodes whose directory has been deleted, such as a git worktree. The user cannot change into it, so a command must
 * name the workspace.
 *
 * @module
 */
import { recordOf } from "../state/record.ts";
import { dirname } from "../paths.ts";
import { TombstoneError } from "../errors.ts";
import { system, UNKNOWN_START } from "../os/system.ts";
import { type NodeDir, projectOf, viewOf } from "../state/node_dir.ts";
import { type LeaseEntry, type LeaseFacts, readLease } from "../state/leases.ts";
import { readNodeInfo } from "../state/node_info.ts";
import { findStateDir } from "../state/state_dir.ts";
import { statePlace } from "../state/state_place.ts";
import { isComputedId, projectFilesIn } from "../state/workspace.ts";
import type { StartRequest } from "./request.ts";

/** What is known of a node's server. */
export interface Resident {
  /** Its main process, if that is alive; else `null`. */
  pid: number | null;
  /** Directory that it was started in. */
  cwd: string | null;
  /** The attempt that started it. */
  attempt: string | null;
}

/** Nothing is known of one. */
export const NO_SERVER: Resident = { pid: null, cwd: null, attempt: null };

/** The directory of a node, if it has certainly been deleted; else `null`. */
export function goneDirectoryOf(dir: NodeDir, { pid, cwd, attempt }: Resident): string | null {
  const lease = attempt === null ? null : readLease(dirname(dirname(dir.path)), attempt);
  if (lease !== null) return isGone(lease, pid) ? lease.directory : null;
  const directory = directoryOf(dir.workspace, { project: projectOf(dir), cwd });
  const witness = { pid, view: viewOf(dir), landmarks: null, held: [] };
  return directory !== null && system.files.isGone(directory, witness) ? directory : null;
}

/** Whether the directory that a node was started for has certainly been deleted. */
export function isGone({ directory, landmarks, held, view }: LeaseEntry, pid: number | null): boolean {
  return directory !== null && system.files.isGone(directory, { pid, view, landmarks, held });
}

/**
 * The directory that a node is started for.
 *
 * This is the project's directory. In a named workspace, which may span several projects, it is the directory of the
 * server.
 */
function directoryOf(
  workspace: string,
  { project, cwd }: { project: string | null; cwd: string | null },
): string | null {
  return project !== null && isComputedId(workspace, project) ? project : cwd ?? project;
}

/** What the entry of a start in the index of leases says. */
export function leaseFactsOf({ workspace, settings, run, whileProcess }: StartRequest): LeaseFacts {
  const directory = directoryOf(workspace.id, { project: workspace.project, cwd: settings.cwd });
  return {
    directory,
    held: directory === null ? [] : projectFilesIn(directory),
    terms: run === null && whileProcess === null && settings.max_age_ms === null ? null : {
      processes: [run === null ? null : { pid: run.pid, startTime: run.start_time }, whileProcess]
        .filter((process) => process !== null),
      max_age_ms: settings.max_age_ms,
      starter_start_time: system.processes.read(Deno.pid)?.startTime ?? UNKNOWN_START,
    },
  };
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
    return findStateDir(statePlace(undefined, "find").path);
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

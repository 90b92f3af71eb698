/**
 * Whose a process is that is in the way: of which node in this state directory. Only for what is told of a failure.
 *
 * @module
 */
import { dirname } from "@std/path/posix/dirname";
import { TombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { variable } from "../os/surroundings.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { allNodes, type NodeDir, projectOf } from "../state/node_dir.ts";
import { readNodeInfo } from "../state/records.ts";
import { findMain } from "./identify.ts";

/** A node that a process belongs to. */
export interface OwnerNode {
  /** Its directory. */
  dir: NodeDir;
  /** Its project's directory; `null` if that is not recorded. */
  project: string | null;
}

/**
 * The node of this state directory, other than `dir` itself, that a process belongs to; `null`: none, or the state cannot
 * be read, which must not hide the failure that is told.
 */
export function findOwnerNode(dir: NodeDir, pid: number): OwnerNode | null {
  try {
    return searchOwnerNode(dir, pid);
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

function searchOwnerNode(dir: NodeDir, pid: number): OwnerNode | null {
  const ancestors = ancestorsOf(pid);
  const session = system.processes.read(pid)?.sid ?? null;
  const attempt = system.processes.environment(pid, ATTEMPT_VARIABLE);
  for (const other of allNodes(dirname(dirname(dir.path)))) {
    if (other.path === dir.path) continue;
    const found = readNodeInfo(other);
    if (found.kind !== "record") continue;
    const info = found.record;
    const main = findMain(other, info)?.pid ?? null;
    const isOfTree = main !== null && (ancestors.includes(main) || session === info.session_pid);
    if (isOfTree || attempt !== null && attempt === info.attempt) return { dir: other, project: projectOf(other) };
  }
  return null;
}

/** In words: `"web" of ~/src/shop`. */
export function describeOwnerNode({ dir, project }: OwnerNode): string {
  const home = variable("HOME");
  const isAtHome = project !== null && home !== undefined && home !== "" && project.startsWith(`${home}/`);
  return `"${dir.node}" of ${isAtHome ? `~${project.slice(home.length)}` : project ?? `workspace ${dir.workspace}`}`;
}

/** What stops it, typed anywhere. */
export function stopOwnerNode(owner: OwnerNode, asker: NodeDir): string {
  const { node, workspace } = owner.dir;
  return `tombstone stop ${node}${workspace === asker.workspace ? "" : ` --workspace ${workspace}`}`;
}

/** A process, its parent, and so on. */
function ancestorsOf(pid: number): number[] {
  const pids: number[] = [];
  for (let row = system.processes.read(pid); row !== null && row.pid > 1; row = system.processes.read(row.ppid)) {
    if (pids.includes(row.pid)) break;
    pids.push(row.pid);
  }
  return pids;
}

/**
 * Claims of others: declared files that are the tool's own, another node's, or the pid file of a server that was started by
 * other means; and processes of other nodes.
 *
 * @module
 */
import { recordOf } from "../state/record.ts";
import { basename, dirname, isWithin, resolve } from "../paths.ts";
import { TombstoneError, tombstoneError, usageError } from "../errors.ts";
import { atHome } from "../os/surroundings.ts";
import { system } from "../os/system.ts";
import { describeOwner } from "../process/listeners.ts";
import type { DeclaredFile } from "../spec/declared.ts";
import { lookAtDeclared } from "../state/declared.ts";
import { isTemporaryName, modifiedAtMs } from "../state/durable.ts";
import { readPid } from "../state/port_files.ts";
import { attemptOfEntry } from "../state/launch_record.ts";
import { allNodes, isLogOf, type NodeDir, projectOf } from "../state/node_dir.ts";
import { RECORDED } from "../state/recorded.ts";
import { isReaderName } from "../state/log_unread.ts";
import { declaredFiles, type Settings } from "../spec/settings.ts";
import { classify, readNodeFiles } from "./state.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { readNodeInfo } from "../state/node_info.ts";
import { findMain } from "./liveness.ts";

/** The real path of a file, without following a symbolic link in its place. */
function placeOf(path: string): string {
  try {
    return resolve(Deno.realPathSync(dirname(path)), basename(path));
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return path; // no such directory, or a closed one
    throw error;
  }
}

/**
 * Whether this is one of the tool's own files. A sweep of it would remove a lock that is held, or the log of another
 * node. A server may have its own files in its node's directory.
 */
export function isOfTool(dir: NodeDir, path: string): boolean {
  const place = placeOf(path);
  const own = placeOf(dir.path);
  const state = dirname(dirname(own));
  if (!isWithin(place, state)) return false;
  if (dirname(place) !== own) return true;
  const name = basename(place);
  return ["lock", "starting", "node.info", RECORDED].includes(name) || isLogOf(dir, `${dir.path}/${name}`) ||
    isReaderName(name) || isTemporaryName(name) || attemptOfEntry(name) !== null;
}

/** Another node that declares a file, and may be using it. */
export interface Claimant {
  /** The node. */
  dir: NodeDir;
  /** What is known of it, as part of a message. */
  state: "which runs" | "which is being started" | "whose start was interrupted";
}

/** The node that uses one of these files, if that is another one than this. */
export function claimantOf(dir: NodeDir, files: DeclaredFile[]): { claimant: Claimant; path: string } | null {
  const places = new Map(files.map(({ path }) => [placeOf(path), path]));
  if (places.size === 0) return null;
  for (const other of allNodes(dirname(dirname(dir.path)))) {
    if (other.path === dir.path) continue;
    const claim = claimOf(other);
    const path = claim?.files.map((file) => places.get(placeOf(file.path))).find((each) => each !== undefined);
    if (claim !== null && path !== undefined) return { claimant: { dir: other, state: claim.state }, path };
  }
  return null;
}

function claimOf(dir: NodeDir): { files: DeclaredFile[]; state: Claimant["state"] } | null {
  try {
    const nodeFiles = readNodeFiles(dir, { records: "listed" });
    const nodeState = classify(nodeFiles);
    if (nodeState.kind === "running" || nodeState.kind === "abandoned") {
      return { files: declaredFiles(nodeState.info), state: "which runs" };
    }
    const begun = recordOf(nodeFiles.tombstone);
    if (nodeState.kind !== "unfinished" || nodeState.phase === "failed" || begun === null) return null;
    const state = nodeState.phase === "live" ? "which is being started" : "whose start was interrupted";
    return { files: declaredFiles(begun), state };
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    return null; // its state cannot be read: it claims nothing
  }
}

/**
 * Refuses declared files that are the tool's own, since they would be swept.
 *
 * @throws {TombstoneError} one of them is
 */
export function requireNotOfTool(dir: NodeDir, settings: Settings): void {
  const file = declaredFiles(settings).find(({ path }) => isOfTool(dir, path));
  if (file === undefined) return;
  throw usageError(
    `Cannot start "${dir.node}": "${file.path}" is in tombstone's own state, and would be swept`,
    "name a file of the server's, outside the state directory",
  );
}

/**
 * Requires port and pid files that no other node or server uses. If two daemons write to one pid file, it names only
 * one of them, and the other node would terminate that daemon as its own. (Test: "two nodes with one pid file".)
 *
 * @throws {TombstoneError} another node or a running server uses one
 */
export function requireUnclaimed(dir: NodeDir, settings: Settings): void {
  const files = declaredFiles(settings).filter(({ kind }) => kind === "number");
  const found = claimantOf(dir, files);
  if (found !== null) {
    const { dir: { node, workspace }, state } = found.claimant;
    const action = state === "whose start was interrupted" ? "sweep" : "stop";
    const where = workspace === dir.workspace ? "" : ` --workspace ${workspace}`;
    throw inUse(dir, found.path, `belongs to "${node}", ${state}`, {
      hint: `tombstone ${action} ${node}${where}, or choose another file`,
      details: { owner_node: node, owner_workspace: workspace, owner_project: projectOf(found.claimant.dir) },
    });
  }
  const pid = settings.pid_file === null ? null : strangerIn(settings.pid_file);
  if (pid === null) return;
  const command = system.processes.commandLine(pid);
  throw inUse(dir, settings.pid_file!, `names ${describeOwner({ pid, command, user: null })}, which runs`, {
    hint: "stop it, or remove the file if another process wrote it",
    details: { owner_pid: pid, owner_command: command },
  });
}

/** The live process that a pid file names, if it is older than the file; else `null`, since the pid was reused. */
function strangerIn(path: string): number | null {
  if (lookAtDeclared({ path, kind: "number" }).kind !== "stale") return null;
  const pid = readPid(path, "anybody");
  if (pid === null) return null;
  const row = system.processes.read(pid);
  const written = modifiedAtMs(path, "elsewhere");
  if (row === null || !row.isAlive || written === null) return null;
  if (system.processes.commandLine(pid) === "") return null; // a kernel thread, so the file is from another pid namespace
  return system.processes.startedAtMs(row.startTime) <= written ? pid : null;
}

function inUse(
  dir: NodeDir,
  path: string,
  state: string,
  { hint, details }: { hint: string; details: Record<string, unknown> },
): TombstoneError {
  return tombstoneError(`Cannot start "${dir.node}": "${path}" ${state}`, {
    kind: "port-in-use",
    hint,
    details: { path, ...details },
  });
}

/** A node that a process belongs to. */
export interface OwnerNode {
  /** Its directory. */
  dir: NodeDir;
  /** Its project's directory; `null` if that is not recorded. */
  project: string | null;
}

/**
 * The node of this state directory, other than `dir` itself, that a process belongs to; `null` if there is none.
 * Ignores state that cannot be read: this is for an error message, and a second error must not hide the first one.
 */
export function findOwnerNode(dir: NodeDir, pid: number): OwnerNode | null {
  return nodeOfProcess(pid, () => dirname(dirname(dir.path)), dir);
}

/** The same for any node of a state directory, which may be missing or unusable. */
export function nodeOfProcess(pid: number, state: () => string | null, except?: NodeDir): OwnerNode | null {
  try {
    const path = state();
    return path === null ? null : searchOwnerNode(pid, path, except);
  } catch (error) {
    if (error instanceof TombstoneError) return null;
    throw error;
  }
}

function searchOwnerNode(pid: number, state: string, except?: NodeDir): OwnerNode | null {
  const ancestors = ancestorsOf(pid);
  const row = system.processes.read(pid);
  const attempt = system.processes.environment(pid, ATTEMPT_VARIABLE);
  for (const other of allNodes(state)) {
    if (other.path === except?.path) continue;
    const found = readNodeInfo(other);
    if (found.kind !== "record") continue;
    const info = found.record;
    const main = findMain(other, info)?.pid ?? null;
    const isOfTree = main !== null &&
      (ancestors.includes(main) ||
        row !== null && system.processes.isLedBy(row, info.leader_pid));
    if (isOfTree || attempt !== null && attempt === info.attempt) return { dir: other, project: projectOf(other) };
  }
  return null;
}

/** As part of a message: `"web" of ~/src/shop`. */
export function describeOwnerNode({ dir, project }: OwnerNode): string {
  return `"${dir.node}" of ${project === null ? `workspace ${dir.workspace}` : atHome(project)}`;
}

/** The command that stops it, from any directory. */
export function stopOwnerNode(owner: OwnerNode, asker: NodeDir): string {
  const { node, workspace } = owner.dir;
  return `tombstone stop ${node}${workspace === asker.workspace ? "" : ` --workspace ${workspace}`}`;
}

/** A process and its ancestors. */
function ancestorsOf(pid: number): number[] {
  const pids: number[] = [];
  for (let row = system.processes.read(pid); row !== null && row.pid > 1; row = system.processes.read(row.ppid)) {
    if (pids.includes(row.pid)) break;
    pids.push(row.pid);
  }
  return pids;
}

/**
 * The directory of one node: the paths of its files, making it, and listing all of them.
 *
 * @module
 */
import { dirname } from "../paths.ts";
import { stateError } from "../os/errno.ts";
import { isMissing, lstatOrNull } from "../os/stat.ts";
import { tombstoneError } from "../errors.ts";
import { isTemporaryName, readSmallFile, removeEntry, replaceFile } from "./durable.ts";
import { asPath, asString, type Fields, parseObject } from "../spec/json.ts";
import { system } from "../os/system.ts";
import { NAME } from "../spec/names.ts";
import type { Workspace } from "./workspace.ts";

/** Paths of one node's files. */
export interface NodeDir {
  /** Workspace id. */
  readonly workspace: string;
  /** Node name. */
  readonly node: string;
  /** The directory itself. */
  readonly path: string;
  /** Lock file (flock, exclusive). */
  readonly lock: string;
  /** The tombstone. */
  readonly starting: string;
  /** Process id alone. */
  readonly pid: string;
  /** Port, and the nonce on a second line. */
  readonly port: string;
  /** The commit record. */
  readonly info: string;
  /** Output of the server. */
  readonly log: string;
}

/** The paths of a node. Does not touch the disk. */
export function nodeDir(stateDir: string, workspace: string, node: string): NodeDir {
  const path = `${stateDir}/${workspace}/${node}`;
  return {
    workspace,
    node,
    path,
    lock: `${path}/lock`,
    starting: `${path}/starting`,
    pid: `${path}/pid`,
    port: `${path}/port`,
    info: `${path}/node.info`,
    log: `${path}/server.log`,
  };
}

/** Whether this is the path of the node's log, or of the log of an earlier start. */
export function isLogOf(dir: NodeDir, path: string): boolean {
  return path === dir.log || path.startsWith(`${dir.log}.`);
}

/** Makes the node's directory (0700) if it is missing. */
export function makeNodeDir(dir: NodeDir): void {
  try {
    Deno.mkdirSync(dir.path, { recursive: true, ...system.files.privateDirectory });
  } catch (error) {
    throw stateError("make the directory", dir.path, error);
  }
}

/** What `workspace.json` holds. */
interface WorkspaceRecord {
  schema: 1;
  workspace: string;
  /** Project directory; `null` if there was no current directory when a named workspace was first used. */
  project: string | null;
  /** Mount namespace of the project directory. */
  mount_namespace: string | null;
  created_at: string;
}

/** Makes the node's directory and its workspace's record if they are missing. */
export async function ensureNodeDir(dir: NodeDir, workspace: Workspace): Promise<void> {
  makeNodeDir(dir);
  const record = `${dirname(dir.path)}/workspace.json`;
  if (readSmallFile(record, "own").kind !== "missing") return;
  try {
    using parent = Deno.openSync(dirname(dir.path));
    await parent.lock(true); // one at a time, so any temporary file found here is left over
    if (readSmallFile(record, "own").kind !== "missing") return;
    for (const { name } of Deno.readDirSync(dirname(dir.path))) {
      if (isTemporaryName(name)) removeEntry(`${dirname(dir.path)}/${name}`);
    }
    const created = new Date().toISOString();
    const text: WorkspaceRecord = {
      schema: 1,
      workspace: workspace.id,
      project: workspace.project,
      mount_namespace: system.host.namespace("mnt"),
      created_at: created,
    };
    await replaceFile(record, JSON.stringify(text) + "\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return; // the directory was removed again; taking the lock makes it
    throw stateError("write", record, error);
  }
}

/** Directory of the project that a node's workspace belongs to; `null` if that is not recorded. */
export function projectOf(dir: NodeDir): string | null {
  return asPath(workspaceRecordOf(dir)?.project);
}

/** Whether the project was recorded in the mount namespace of this process; `"other"` if that is unknown. */
export function viewOf(dir: NodeDir): "own" | "other" {
  const namespace = workspaceRecordOf(dir)?.mount_namespace;
  return namespace !== undefined && asString(namespace) === system.host.namespace("mnt") ? "own" : "other";
}

function workspaceRecordOf(dir: NodeDir): Fields | null {
  const content = readSmallFile(`${dirname(dir.path)}/workspace.json`, "own");
  return content.kind === "text" ? parseObject(content.text) : null;
}

/** Whether a node has a directory: whether it was ever started. */
export function existsDir(dir: NodeDir): "present" | "missing" {
  return lstatOrNull(dir.path) === null ? "missing" : "present";
}

/**
 * Names of the entries of a node's directory; none if it does not exist.
 *
 * @throws {TombstoneError} it cannot be listed
 */
export function entriesOf(dir: NodeDir): string[] {
  return list(dir.path, (entries) => entries.some(({ name }) => name === "lock") || lstatOrNull(dir.lock) === null)
    .map((entry) => entry.name);
}

/** Names of the directories in a directory of the state. */
function directoriesIn(path: string): string[] {
  // On most file systems, each subdirectory adds a link to its parent. (On others the number is 1.)
  return list(path, (entries) => entries.length > 0 || linksOf(path) <= 2)
    .filter((entry) => entry.isDirectory && NAME.test(entry.name))
    .map((entry) => entry.name)
    .sort();
}

/** How often an incomplete listing is repeated before it is an error. */
const MOST_TRIES = 3;

/**
 * Lists a directory; empty if it does not exist. Deno hides an error in the middle of a listing, so an incomplete
 * listing counts as failed. (Test: "a listing that fails is told …".)
 *
 * @param isWhole whether the listing can be complete
 */
function list(path: string, isWhole: (entries: Deno.DirEntry[]) => boolean): Deno.DirEntry[] {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    try {
      const entries = [...Deno.readDirSync(path)];
      if (isWhole(entries)) return entries;
    } catch (error) {
      if (isMissing(error)) return [];
      throw stateError("list", path, error);
    }
  }
  throw tombstoneError(`Cannot list "${path}": the listing is not whole`, {
    kind: "state",
    hint: `${system.hints.list(path)}, or choose another place with --state-dir`,
    details: { path },
  });
}

/** Number of links to a directory: its own, and one from each directory in it. */
function linksOf(path: string): number {
  return Deno.statSync(path).nlink ?? 0;
}

/** Every node of a workspace, by name. */
export function nodesOfWorkspace(stateDir: string, workspace: string): Iterable<NodeDir> {
  return nodesOf(stateDir, [workspace]);
}

/** Every node of every workspace, by workspace and name. */
export function allNodes(stateDir: string): Iterable<NodeDir> {
  return nodesOf(stateDir, directoriesIn(stateDir));
}

/** Lists all before it yields the first, so that a failure is reported before anything is printed. */
function nodesOf(stateDir: string, workspaces: string[]): Iterable<NodeDir> {
  const listed = workspaces.map((workspace) => ({ workspace, nodes: directoriesIn(`${stateDir}/${workspace}`) }));
  return (function* () {
    for (const { workspace, nodes } of listed) for (const node of nodes) yield nodeDir(stateDir, workspace, node);
  })();
}

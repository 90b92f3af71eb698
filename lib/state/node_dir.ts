/**
 * The directory of one node: names of its files, and how to make and find it.
 *
 * @module
 */
import { dirname } from "@std/path/posix/dirname";
import { stateError } from "../errno.ts";
import { tombstoneError } from "../errors.ts";
import { isTemporaryName, readSmallFile, removeEntry, replaceFile } from "./durable.ts";
import { asString, type Fields, parseObject } from "../spec/json.ts";
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

/** The paths of a node; touches nothing. */
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

/** Whether this is the path of the node's log, current or of an earlier start. */
export function isLogOf(dir: NodeDir, path: string): boolean {
  return path === dir.log || path.startsWith(`${dir.log}.`);
}

/** Makes the node's directory (0700) where it is missing. */
export function makeNodeDir(dir: NodeDir): void {
  try {
    Deno.mkdirSync(dir.path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw stateError("make the directory", dir.path, error);
  }
}

/** What `workspace.json` holds. */
interface WorkspaceRecord {
  schema: 1;
  workspace: string;
  /** Project directory; `null` where the current one was gone when a named workspace was first used. */
  project: string | null;
  /** Mount namespace in which the project was seen. */
  mount_namespace: string | null;
  created_at: string;
}

/** Makes the node's directory and its workspace's record where they are missing. */
export async function ensureNodeDir(dir: NodeDir, workspace: Workspace): Promise<void> {
  makeNodeDir(dir);
  const record = `${dirname(dir.path)}/workspace.json`;
  if (readSmallFile(record).kind !== "missing") return;
  try {
    using parent = Deno.openSync(dirname(dir.path));
    await parent.lock(true); // one at a time, so that a temporary file that is found has no writer any more
    if (readSmallFile(record).kind !== "missing") return;
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
    if (error instanceof Deno.errors.NotFound) return; // the directory was removed at once; the lock makes it again
    throw stateError("write", record, error);
  }
}

/** Directory of the project that a node's workspace belongs to; `null` if that is not recorded. */
export function projectOf(dir: NodeDir): string | null {
  const project = asString(workspaceRecordOf(dir)?.project);
  return project?.startsWith("/") ? project : null;
}

/** Whether a project was seen in the mount namespace of this process; `"other"` where that is not recorded. */
export function viewOf(dir: NodeDir): "own" | "other" {
  const namespace = workspaceRecordOf(dir)?.mount_namespace;
  return namespace !== undefined && asString(namespace) === system.host.namespace("mnt") ? "own" : "other";
}

function workspaceRecordOf(dir: NodeDir): Fields | null {
  const content = readSmallFile(`${dirname(dir.path)}/workspace.json`);
  return content.kind === "text" ? parseObject(content.text) : null;
}

/** Whether a node has a directory, that is, was ever started. */
export function existsDir(dir: NodeDir): "present" | "missing" {
  try {
    Deno.lstatSync(dir.path);
    return "present";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "missing";
    throw stateError("read", dir.path, error);
  }
}

/**
 * Names of what is in a node's directory; none if there is none.
 *
 * @throws {TombstoneError} it cannot be listed
 */
export function entriesOf(dir: NodeDir): string[] {
  return list(dir.path, (entries) => entries.some(({ name }) => name === "lock") || !isThere(dir.lock))
    .map((entry) => entry.name);
}

/** Names of the directories in one of the state directory's. */
function directoriesIn(path: string): string[] {
  // A directory has a link from each one in it, on file systems that count them. (Others say 1.)
  return list(path, (entries) => entries.length > 0 || linksOf(path) <= 2)
    .filter((entry) => entry.isDirectory && NAME.test(entry.name))
    .map((entry) => entry.name)
    .sort();
}

/** How often a directory is listed before it counts as unreadable. */
const MOST_TRIES = 3;

/**
 * Lists a directory; empty if there is none. Deno tells no error in the middle of a listing, so what such a listing lacks
 * is looked for. (Test: "a listing that fails is told …".)
 *
 * @param isWhole whether the listing may be all that there is
 */
function list(path: string, isWhole: (entries: Deno.DirEntry[]) => boolean): Deno.DirEntry[] {
  for (let look = 0; look < MOST_TRIES; look++) {
    try {
      const entries = [...Deno.readDirSync(path)];
      if (isWhole(entries)) return entries;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
      throw stateError("list", path, error);
    }
  }
  throw tombstoneError(`Cannot list "${path}": the listing is not whole`, {
    kind: "state",
    hint: `ls -la "${path}", or choose another place with --state-dir`,
    details: { path },
  });
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** Number of names that a directory has, its own and those that the ones in it have for it. */
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

/** All are listed before the first is given: a directory that cannot be listed is an error before anything is told. */
function nodesOf(stateDir: string, workspaces: string[]): Iterable<NodeDir> {
  const listed = workspaces.map((workspace) => ({ workspace, nodes: directoriesIn(`${stateDir}/${workspace}`) }));
  return (function* () {
    for (const { workspace, nodes } of listed) for (const node of nodes) yield nodeDir(stateDir, workspace, node);
  })();
}

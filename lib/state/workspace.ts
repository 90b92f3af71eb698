/**
 * The workspace of a command: the project that it belongs to.
 *
 * @module
 */
import { basename, dirname } from "../paths.ts";
import { stateError } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { usageError } from "../errors.ts";
import { currentDirectory, currentDirectoryIfAny } from "../os/surroundings.ts";
import { PROJECT_FILE } from "../spec/names.ts";

/** A project directory and the id that its state is kept under. */
export interface Workspace {
  /** `<basename>-<first 12 hex of SHA-256 of the real path>`, or the name that the user gave. */
  id: string;
  /** Real path of the project directory; `null` if the current directory is gone and only the id was given. */
  project: string | null;
}

function exists(path: string): boolean {
  return lstatOrNull(path, { place: "elsewhere", unseen: "missing" }) !== null;
}

/** The nearest ancestor of `from` (itself included) with `tombstone.json` or `.git`; without one, `from`. */
export function findProject(from: string): string {
  for (let dir = from;; dir = dirname(dir)) {
    if (isProject(dir)) return dir;
    if (dir === dirname(dir)) return from;
  }
}

/** Whether a directory has one of these files itself. */
export function isProject(dir: string): boolean {
  return projectFilesIn(dir).length > 0;
}

/** Which of the files that make a directory a project it has itself. */
export function projectFilesIn(dir: string): string[] {
  return [PROJECT_FILE, ".git"].filter((name) => exists(`${dir}/${name}`));
}

/** Whether a project has a file that describes its nodes. */
export function hasProjectFile({ project }: Workspace): boolean {
  return project !== null && exists(`${project}/${PROJECT_FILE}`);
}

/** Largest file that is read, in bytes. */
const PROJECT_FILE_MAX_BYTES = 1_000_000;

/**
 * The text of the file that describes the nodes of a project; empty where there is none.
 *
 * @throws {TombstoneError} it is not a file, is too long, or cannot be read
 */
export function readProjectFile(project: string): string {
  const path = `${project}/${PROJECT_FILE}`;
  try {
    const { isFile, size } = Deno.statSync(path);
    if (!isFile) throw usageError(`Cannot use "${path}": it is not a file`, `mv "${path}" "${path}.old"`);
    if (size > PROJECT_FILE_MAX_BYTES) {
      throw usageError(
        `Cannot use "${path}": it is ${size} bytes long`,
        `at most ${PROJECT_FILE_MAX_BYTES} bytes are read`,
      );
    }
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw stateError("read", path, error, "elsewhere");
  }
}

/** A directory's name as part of an id: all but letters, digits, dots, dashes and underscores become dashes. */
function slug(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[._-]+/, "").slice(0, 48) || "workspace";
}

/** Name of a node when none is given. */
const NODE = "node";

/**
 * The default name of a node: the last part of the directory that it is started in, so that two packages of one
 * repository are two nodes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { nodeNameOf } from "./workspace.ts";
 *
 * assertEquals(nodeNameOf("/src/shop/apps/web"), "web");
 * assertEquals(nodeNameOf("/"), "node");
 * ```
 */
export function nodeNameOf(directory: string): string {
  const name = basename(directory).replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[._-]+/, "").slice(0, 64)
    .replace(/-+$/, "");
  return name === "" || name === "workspace.json" ? NODE : name;
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    throw stateError("use the current directory", path, error, "elsewhere");
  }
}

/**
 * The workspace of the current directory.
 *
 * @param name an id to use instead of the computed one, already validated
 */
export async function currentWorkspace(name: string | undefined): Promise<Workspace> {
  const directory = name === undefined ? currentDirectory() : currentDirectoryIfAny();
  if (directory === null) return { id: name!, project: null };
  const project = findProject(realPath(directory));
  return { id: name ?? await workspaceIdOf(project), project };
}

/** Whether an id can be the computed one of this project; otherwise the user has named it. */
export function isComputedId(id: string, project: string): boolean {
  const name = slug(basename(project));
  return id.startsWith(`${name}-`) && /^[0-9a-f]{12}$/.test(id.slice(name.length + 1));
}

/** The computed id of a project's workspace. */
export async function workspaceIdOf(project: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(project)));
  const hex = [...digest.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${slug(basename(project))}-${hex}`;
}

/**
 * Which nodes may have to be ended, found without a look at every node: `.leases/<attempt>` names the node of each start,
 * and the directory that it was started for.
 *
 * Only an index: what a node ends with is in its own records. An entry is written after the tombstone of its attempt and
 * before the spawn, and removed after the node has been stopped or swept; so a command that is killed at any moment leaves
 * an entry too many, never one too few. Nothing of it survives a reboot, so it is not synced.
 *
 * @module
 */
import { isMissing, lstatOrNull } from "../os/stat.ts";
import { stateError } from "../os/errno.ts";
import { system } from "../os/system.ts";
import { asAttempt, asPath, asString, asStrings, parseObject } from "../spec/json.ts";
import { NAME } from "../spec/names.ts";
import { dirname } from "../paths.ts";
import { isTemporaryName, modifiedAtMs, moveOver, readSmallFile, removeEntry } from "./durable.ts";
import { removeIntruder } from "./lock.ts";
import { type NodeDir, nodeDir } from "./node_dir.ts";

/** Directory of the entries; no workspace can have this name. */
const LEASES = ".leases";

/** One entry. */
export interface LeaseEntry {
  /** The node. */
  dir: NodeDir;
  /** The attempt that started it. */
  attempt: string;
  /** Directory that it was started for; `null` if none is known. */
  directory: string | null;
  /** What was recorded of that directory (see `Files.landmarksOf`). */
  landmarks: string[];
  /** Whether that was in the mount namespace of this process. */
  view: "own" | "other";
  /** Whether the records of the node name something else that it ends with. */
  hasMore: boolean;
}

/** What an entry says besides the node and the attempt. */
export type LeaseFacts = Pick<LeaseEntry, "directory" | "hasMore">;

function placeOf(stateDir: string): string {
  return `${stateDir}/${LEASES}`;
}

/**
 * Writes the entry of an attempt. The caller holds the node's lock and has written the tombstone.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function writeLease(dir: NodeDir, attempt: string, { directory, hasMore }: LeaseFacts): void {
  const place = placeOf(dirname(dirname(dir.path)));
  const landmarks = directory === null ? [] : system.files.landmarksOf(directory);
  const mount_namespace = system.host.namespace("mnt");
  const { workspace, node } = dir;
  const text = JSON.stringify({ workspace, node, directory, landmarks, mount_namespace, has_more: hasMore }) + "\n";
  const temporary = `${place}/.${attempt}.tmp`;
  try {
    if (lstatOrNull(place)?.isDirectory === false) removeIntruder(place, "directory");
    Deno.mkdirSync(place, { recursive: true, ...system.files.privateDirectory });
    Deno.writeTextFileSync(temporary, text, { createNew: true, ...system.files.privateFile });
    moveOver(temporary, `${place}/${attempt}`);
  } catch (error) {
    throw stateError("write", temporary, error);
  }
}

/** The entry of an attempt, whatever is in its place; `null` if it cannot be read. */
export function readLease(stateDir: string, attempt: string): LeaseEntry | null {
  const content = readSmallFile(`${placeOf(stateDir)}/${attempt}`, "own");
  const fields = content.kind === "text" ? parseObject(content.text) : null;
  const { workspace, node } = fields ?? {};
  if (typeof workspace !== "string" || typeof node !== "string" || !NAME.test(workspace) || !NAME.test(node)) {
    return null;
  }
  return {
    dir: nodeDir(stateDir, workspace, node),
    attempt,
    directory: asPath(fields!.directory),
    landmarks: asStrings(fields!.landmarks),
    view: asString(fields!.mount_namespace) === system.host.namespace("mnt") ? "own" : "other",
    hasMore: fields!.has_more !== false,
  };
}

/** Every entry. Those that cannot be read, as after a power loss, are removed. */
export function listLeases(stateDir: string): LeaseEntry[] {
  const entries: LeaseEntry[] = [];
  for (const name of namesIn(placeOf(stateDir))) {
    const entry = asAttempt(name) === null ? null : readLease(stateDir, name);
    if (entry !== null) entries.push(entry);
    else if (!isTemporaryName(name) || isOld(`${placeOf(stateDir)}/${name}`)) {
      removeEntry(`${placeOf(stateDir)}/${name}`);
    }
  }
  return entries;
}

/** Whether a temporary file was left by a command that was killed. */
function isOld(path: string): boolean {
  return Date.now() - (modifiedAtMs(path) ?? 0) > 3600 * 1000;
}

function namesIn(place: string): string[] {
  try {
    return [...Deno.readDirSync(place)].map(({ name }) => name);
  } catch (error) {
    if (isMissing(error) || error instanceof Deno.errors.NotADirectory) return [];
    throw stateError("list", place, error);
  }
}

/**
 * Removes the entries of these attempts. No other attempt has an entry of the same name, so this needs no lock.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function dropLeases(stateDir: string, attempts: (string | null)[]): void {
  for (const attempt of attempts) {
    if (attempt !== null) removeEntry(`${placeOf(stateDir)}/${attempt}`);
  }
}

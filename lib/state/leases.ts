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
import type { Identity } from "../os/rows.ts";
import { system, UNKNOWN_START } from "../os/system.ts";
import { asAttempt, asNumber, asPath, asString, asStrings, type Fields, isFields, parseObject } from "../spec/json.ts";
import { NAME } from "../spec/names.ts";
import { dirname } from "../paths.ts";
import { isTemporaryName, modifiedAtMs, moveOver, readListedFile, readSmallFile, removeEntry } from "./durable.ts";
import { removeIntruder } from "./lock.ts";
import { type NodeDir, nodeDir } from "./node_dir.ts";
import { here, type Origin, readOrigin } from "./origin.ts";
import { readIdentity } from "./record.ts";

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
  /** Which of the files that make it a project it had then. */
  held: string[];
  /** Whether that was in the mount namespace of this process. */
  view: "own" | "other";
  /** What else it ends with, as a hint: the records of the node decide. `null`: nothing. */
  terms: LeaseTerms | null;
}

/** What else a node ends with. */
export interface LeaseTerms extends Origin {
  /** The processes: that of `--while-pid`, that of the `run` or `up`. */
  processes: Identity[];
  /** How long after it was ready, in milliseconds. */
  max_age_ms: number | null;
  /** Start time of the process that started it, which is before it was ready. */
  starter_start_time: number;
}

/** What an entry says besides the node and the attempt. */
export interface LeaseFacts {
  /** Directory that it is started for. */
  directory: string | null;
  /** Which of the files that make it a project it has. */
  held: string[];
  /** What else it ends with; `null`: nothing. */
  terms: Omit<LeaseTerms, keyof Origin> | null;
}

function placeOf(stateDir: string): string {
  return `${stateDir}/${LEASES}`;
}

/**
 * Writes the entry of an attempt. The caller holds the node's lock and has written the tombstone.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function writeLease(dir: NodeDir, attempt: string, { directory, held, terms }: LeaseFacts): void {
  const place = placeOf(dirname(dirname(dir.path)));
  const landmarks = directory === null ? [] : system.files.landmarksOf(directory);
  const mount_namespace = mountNamespace();
  const { workspace, node } = dir;
  const processes = terms?.processes.map(({ pid, startTime }) => ({ pid, start_time: startTime }));
  const more = terms === null ? {} : { terms: { ...here(), ...terms, processes } };
  const text = JSON.stringify({ workspace, node, directory, landmarks, held, mount_namespace, ...more }) + "\n";
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
  return content.kind === "text" ? parseLease(stateDir, attempt, content.text) : null;
}

let ownMounts: string | null | undefined;

/** The mount namespace of this process, which does not change. */
function mountNamespace(): string | null {
  return ownMounts === undefined ? ownMounts = system.host.namespace("mnt") : ownMounts;
}

function parseLease(stateDir: string, attempt: string, text: string): LeaseEntry | null {
  const fields = parseObject(text);
  const { workspace, node } = fields ?? {};
  if (typeof workspace !== "string" || typeof node !== "string" || !NAME.test(workspace) || !NAME.test(node)) {
    return null;
  }
  return {
    dir: nodeDir(stateDir, workspace, node),
    attempt,
    directory: asPath(fields!.directory),
    landmarks: asStrings(fields!.landmarks),
    held: asStrings(fields!.held),
    view: asString(fields!.mount_namespace) === mountNamespace() ? "own" : "other",
    terms: fields!.terms === undefined ? null : readTerms(isFields(fields!.terms) ? fields!.terms : {}),
  };
}

function readTerms(fields: Fields): LeaseTerms {
  return {
    ...readOrigin(fields),
    processes: (Array.isArray(fields.processes) ? fields.processes : []).flatMap((value) => readIdentity(value) ?? []),
    max_age_ms: asNumber(fields.max_age_ms, 0, Number.MAX_SAFE_INTEGER),
    starter_start_time: asNumber(fields.starter_start_time, 0, Number.MAX_SAFE_INTEGER) ?? UNKNOWN_START,
  };
}

/** Every entry. Those that cannot be read, as after a power loss, are removed. */
export function listLeases(stateDir: string): LeaseEntry[] {
  const place = placeOf(stateDir);
  const entries: LeaseEntry[] = [];
  for (const { name, isFile } of listed(place)) {
    const path = `${place}/${name}`;
    if (isTemporaryName(name)) {
      if (isOld(path)) removeEntry(path);
      continue;
    }
    const text = isFile && asAttempt(name) !== null ? readListedFile(path) : "";
    const entry = text === null ? null : parseLease(stateDir, name, text);
    if (entry !== null) entries.push(entry);
    else if (text !== null) removeEntry(path);
  }
  return entries;
}

/** Whether a temporary file was left by a command that was killed. */
function isOld(path: string): boolean {
  return Date.now() - (modifiedAtMs(path) ?? 0) > 3600 * 1000;
}

function listed(place: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(place)];
  } catch (error) {
    if (isMissing(error) || error instanceof Deno.errors.NotADirectory) return [];
    throw stateError("list", place, error);
  }
}

/**
 * Removes the entries of these attempts of a node. No other attempt has an entry of the same name, so this needs no lock.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function dropLeases(dir: NodeDir, attempts: (string | null)[]): void {
  const place = placeOf(dirname(dirname(dir.path)));
  for (const attempt of attempts) {
    if (attempt !== null) removeEntry(`${place}/${attempt}`);
  }
}

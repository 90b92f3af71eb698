/**
 * The tombstone, the file `starting`: the durable record of an attempt that has begun and has not finished. It is
 * written first and removed last. A start that is killed in between leaves it; it tells the next command not to trust
 * what it finds.
 *
 * @module
 */
import { UNKNOWN_START } from "../os/system.ts";
import { identityFields, readIdentity, readRecord, readTree, type RecordResult, SCHEMA, treeFields } from "./record.ts";
import type { Identity } from "../os/rows.ts";
import { type DeclaredFile, readDeclared } from "../spec/declared.ts";
import { replaceFile, syncDir } from "./durable.ts";
import { asAttempt, asNumber, asString, asStrings } from "../spec/json.ts";
import { type Elsewhere, type Origin, readElsewhere, readOrigin } from "./origin.ts";
import { readSettings, type Settings } from "../spec/settings.ts";
import { type Lock, stateRemoved } from "./lock.ts";
import type { NodeDir } from "./node_dir.ts";

/** The file `starting`: "this attempt has begun and has not finished". */
export interface Tombstone extends Origin, Settings {
  /** Random UUID of the attempt. */
  attempt: string;
  /** Process that performs it. */
  starter_pid: number;
  /** Its kernel start time. */
  starter_start_time: number;
  /** When it began, ISO 8601. */
  begun_at: string;
  /** Why it failed; `null` while it runs or when it was interrupted. */
  failed: string | null;
  /** When it failed, ISO 8601. */
  failed_at: string | null;
  /** Pid files of older attempts that have not been recovered yet, absolute. */
  older_pid_files: string[];
  /** Files that older attempts declared, which have not been swept yet. */
  older_files: DeclaredFile[];
  /** Pid namespace of an older attempt that has not been recovered yet, if that is another one; else `null`. */
  elsewhere: Elsewhere | null;
  /** The process that it was to end with; `null`: none. */
  while_process: Identity | null;
  /** Processes that were proven to be the node's by descent alone, while they are being terminated. */
  tree: Identity[];
}

/** Reads the tombstone. */
export function readTombstone(dir: NodeDir): RecordResult<Tombstone> {
  return readRecord(dir.starting, (fields) => {
    const attempt = asAttempt(fields.attempt);
    if (attempt === null) return null;
    return {
      attempt,
      starter_pid: asNumber(fields.starter_pid, 0, 2 ** 31) ?? 0,
      starter_start_time: asNumber(fields.starter_start_time, 0, Number.MAX_SAFE_INTEGER) ?? UNKNOWN_START,
      begun_at: asString(fields.begun_at) ?? "",
      failed: asString(fields.failed),
      failed_at: asString(fields.failed_at),
      older_pid_files: asStrings(fields.older_pid_files),
      older_files: readDeclared(fields.older_files),
      elsewhere: readElsewhere(fields.elsewhere),
      while_process: readIdentity(fields.while_process),
      tree: readTree(fields.tree),
      ...readOrigin(fields),
      ...readSettings(fields),
    };
  });
}

/**
 * Puts the tombstone in place, durably. Replacing an older one takes it over: the launcher of that attempt finds another
 * id in it and exits.
 *
 * @throws {TombstoneError} the disk refuses; nothing has changed
 */
export async function writeTombstone(dir: NodeDir, tombstone: Tombstone): Promise<void> {
  // The launcher compares the first line (see process/launcher.ts). A shell reads a line byte by byte, so it is kept short;
  // the rest may be as long as a command line.
  const { attempt, tree, while_process, ...rest } = tombstone;
  const begins = JSON.stringify({ schema: SCHEMA, attempt }).slice(0, -1);
  const more = { ...identityFields("while_process", while_process), ...treeFields(tree) };
  await replaceFile(dir.starting, `${begins},\n${JSON.stringify({ ...rest, ...more }).slice(1)}\n`);
  await syncDir(dir.path);
}

/**
 * An attempt's hold on the state of its node, by lock and tombstone. Every file is opened by its path, and after the
 * state was removed, the path may lead to a successor's file. So it is checked after every wait.
 */
export class Hold {
  readonly #dir: NodeDir;
  readonly #lock: Lock;
  readonly #attempt: string;

  /** The hold of this attempt, which has written its tombstone under this lock. */
  constructor(dir: NodeDir, lock: Lock, attempt: string) {
    this.#dir = dir;
    this.#lock = lock;
    this.#attempt = attempt;
  }

  /** Whether the state still belongs to this attempt, and was not removed, or created again by a successor. */
  isKept(): boolean {
    const tombstone = this.#lock.isLinked() ? readTombstone(this.#dir) : null;
    return tombstone?.kind === "record" && tombstone.record.attempt === this.#attempt;
  }

  /**
   * Requires that. (Test: "a start whose state is deleted half-way …".)
   *
   * @throws {TombstoneError} it is not
   */
  insist(): void {
    if (!this.isKept()) throw stateRemoved(this.#dir, "start");
  }

  /** The same without reading the tombstone, for a check a thousand times a second. */
  insistOnLock(): void {
    this.#lock.insist();
  }
}

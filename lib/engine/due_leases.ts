/**
 * The first look at the leases of all nodes: of which of them something may be over. Nearly every command takes it, so it
 * costs little: one small file, and one directory to look up, for each node that runs.
 *
 * @module
 */
import { expiry } from "../async.ts";
import { TombstoneError } from "../errors.ts";
import { live } from "../os/scan.ts";
import { system } from "../os/system.ts";
import { lstatOrNull } from "../os/stat.ts";
import { dropLeases, type LeaseEntry, type LeaseTerms, listLeases } from "../state/leases.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { isDated, relate } from "../state/origin.ts";
import { isAtWork } from "./liveness.ts";
import type { Reporter } from "./reporter.ts";

/**
 * How long a file system may take to answer: ten times as long. If its server is down, it may never do so, and nothing is
 * known then. A process that got no time to run has not waited, so this is several pauses, not a long one.
 */
const PAUSE_MS = 50;

/** Resolves when an answer would be too late. */
async function tooLate(): Promise<false> {
  for (let pauses = 0; pauses < 10; pauses++) await expiry(PAUSE_MS);
  return false;
}

/** The entries of which something may be over; a second look decides (see end_leases.ts). A failure is a warning. */
export async function dueLeases(stateDir: string, reporter: Reporter): Promise<LeaseEntry[]> {
  try {
    return await findDue(stateDir);
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    reporter.warn(`nodes whose lease is over cannot be found: ${error.message}`);
    return [];
  }
}

async function findDue(stateDir: string): Promise<LeaseEntry[]> {
  const entries = listLeases(stateDir).filter((entry) => {
    if (hasRecords(entry.dir)) return true;
    dropLeases(entry.dir, [entry.attempt]);
    return false;
  });
  const directories = new Directories();
  const due = await Promise.all(entries.map(async (entry) => mayBeOver(entry.terms) || await directories.lacks(entry)));
  return entries.filter((_, at) => due[at]);
}

/** Whether a node has a commit record or a tombstone, or may have one. The first may just take the place of the second. */
function hasRecords({ info, starting }: NodeDir): boolean {
  try {
    return [info, starting, info].some((path) => lstatOrNull(path) !== null);
  } catch (error) {
    if (error instanceof TombstoneError) return true; // it cannot be seen
    throw error;
  }
}

/** Whether one of these may be over. Those of another boot or namespace take the second look. */
function mayBeOver(terms: LeaseTerms | null): boolean {
  if (terms === null) return false;
  if (relate(terms) !== "same-boot" || !isDated(terms)) return true;
  if (terms.processes.some(({ pid, startTime }) => !isAtWork(pid, startTime, live))) return true;
  return terms.max_age_ms !== null && terms.max_age_ms !== 0 &&
    Date.now() - system.processes.startedAtMs(terms.starter_start_time) > terms.max_age_ms;
}

/** Directories, without an endless wait for a file system that does not answer: in the background, each is asked once. */
class Directories {
  #late: Promise<boolean> | null = null;
  readonly #answers = new Map<string, Promise<boolean>>();

  /** Whether an entry's directory is no longer at its path. */
  async lacks({ directory, landmarks }: LeaseEntry): Promise<boolean> {
    if (directory === null) return false;
    const mount = landmarks.at(-1) ?? directory;
    let answers = this.#answers.get(mount);
    if (answers === undefined) {
      const answer = Deno.lstat(directory).then(() => true, () => true);
      this.#late ??= tooLate();
      this.#answers.set(mount, answers = Promise.race([answer, this.#late]));
    }
    return await answers && system.files.markOf(directory) !== (landmarks[0] ?? null);
  }
}

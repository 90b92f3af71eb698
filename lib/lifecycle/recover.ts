/**
 * Undoing what a dead start or a dead server left: reap, then sweep. Every caller holds the lock, and
 * where a launcher may still be on its way, its tombstone has been taken over first.
 *
 * @module
 */
import { stateError } from "../errors.ts";
import { platform } from "../os/platform.ts";
import { findUnixOccupant } from "../probe/listener.ts";
import { reap } from "../process/reap.ts";
import { lookForTree, type Roots } from "../process/tree.ts";
import { isTemporaryName, removeFile, syncDir } from "../state/durable.ts";
import { attemptOfEntry, readLaunchRecords } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { here, type Tombstone, writeTombstone } from "../state/records.ts";
import { declaredFiles, DEFAULTS, type Settings } from "../state/settings.ts";
import { endGracefully, requireEnded } from "./end.ts";
import { type Evidence, type Judgement, progressOf, rootsOf } from "./judge.ts";
import type { Teller } from "./teller.ts";

/** What a recovery found and did; told to the user and part of the JSON documents. */
export interface Recovered {
  /** Why something had to be undone. */
  reason: "interrupted-start" | "interrupted-run" | "died" | "rebooted" | "unreadable-state";
  /** Attempt that left it; `null` if unknown. */
  attempt: string | null;
  /** Pid of its starter; `null` if unknown. */
  starter: number | null;
  /** When it began, ISO 8601; `null` if unknown. */
  begun_at: string | null;
  /** How far it came. */
  progress: "before-spawn" | "spawned" | "committed";
  /** Processes ended. */
  pids: number[];
  /** Files removed: names within the node's directory, full paths of declared ones. */
  files: string[];
}

/** Settings for a tombstone, with what it must remember of attempts that are not recovered yet. */
export type Declarations = Settings & Pick<Tombstone, "older_pid_files">;

/** A tombstone in the name of this process. */
export function newTombstone(attempt: string, settings: Declarations): Tombstone {
  const self = platform.read(Deno.pid);
  return {
    attempt,
    starter_pid: Deno.pid,
    starter_start_time: self?.startTime ?? -1,
    begun_at: new Date().toISOString(),
    failed: null,
    failed_at: null,
    ...here(),
    ...settings,
  };
}

/** The settings with what older records declare added, so that nothing is forgotten if this process dies too. */
export function withOlderDeclarations(settings: Settings, evidence: Evidence): Declarations {
  const older = recordsOf(evidence);
  const before = evidence.tombstone.kind === "record" ? evidence.tombstone.record : null;
  const pidFiles = [before?.pid_file ?? null, ...before?.older_pid_files ?? []].filter((path) => path !== null);
  return {
    ...settings,
    sweep_files: [...new Set([...settings.sweep_files, ...older.flatMap(declaredFiles)])],
    spare: [...new Set([...settings.spare, ...older.flatMap((record) => record.spare)])],
    older_pid_files: [...new Set(pidFiles)],
  };
}

function recordsOf(evidence: Evidence): Settings[] {
  return [evidence.tombstone, evidence.info].flatMap((found) => found.kind === "record" ? [found.record] : []);
}

/** The settings that the newest readable record holds. */
export function recordedSettings(evidence: Evidence): Settings {
  return recordsOf(evidence)[0] ?? DEFAULTS;
}

/**
 * Takes over the tombstone of a start that somebody else began, on the way to removing what it left.
 * Its launcher, should it still be on its way, then ends by itself.
 */
export function takeOver(dir: NodeDir, evidence: Evidence): void {
  const settings = withOlderDeclarations(recordedSettings(evidence), evidence);
  writeTombstone(dir, newTombstone(crypto.randomUUID(), settings));
}

/**
 * Ends the processes and removes the files that the evidence tells of, all but the tombstone. A main process that still
 * runs is ended as it asks to be. Processes of another machine are not looked for.
 *
 * @returns what there was to undo, `null` if nothing
 * @throws {TombstoneError} a process could not be ended, or a file not be removed
 */
export async function recover(
  dir: NodeDir,
  evidence: Evidence,
  judgement: Judgement,
  teller: Teller,
): Promise<Recovered | null> {
  const progress = progressOf(dir, evidence);
  const isAlive = judgement.kind === "running" || judgement.kind === "abandoned";
  const asked = isAlive ? await endGracefully(dir, evidence, judgement.info, teller) : [];
  const roots = judgement.kind === "foreign" ? null : currentRoots(dir, evidence);
  const reaped = roots === null ? [] : await endTree(dir, roots, recordedSettings(evidence));
  const pids = [...new Set([...asked, ...reaped])];
  const files = await sweepFiles(dir, recordsOf(evidence).flatMap(declaredFiles));
  if (evidence.tombstone.kind !== "missing") files.push("starting");
  const reason = reasonOf(judgement);
  const isClean = judgement.kind === "unfinished" && judgement.phase === "failed" && pids.length === 0;
  if (reason === null || isClean) return null;
  return { reason, ...originOf(evidence), progress, pids, files };
}

/** What a recovery would do, without doing it. */
export async function foresee(dir: NodeDir, evidence: Evidence, judgement: Judgement): Promise<Recovered | null> {
  const reason = reasonOf(judgement);
  if (reason === null) return null;
  const present = (path: string) => {
    try {
      Deno.lstatSync(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
      throw stateError("read", path, error);
    }
  };
  return {
    reason,
    ...originOf(evidence),
    progress: progressOf(dir, evidence),
    pids: (await lookForTree(currentRoots(dir, evidence))).map((row) => row.pid),
    files: [
      ...runtimeEntries(dir).filter((name) => present(`${dir.path}/${name}`)),
      ...recordsOf(evidence).flatMap(declaredFiles).filter(present),
      ...(present(dir.starting) ? ["starting"] : []),
    ],
  };
}

/** Where to look for processes, with launch records that came in after the evidence was collected. */
function currentRoots(dir: NodeDir, evidence: Evidence): Roots {
  return rootsOf(dir, { ...evidence, launches: readLaunchRecords(dir) });
}

async function endTree(dir: NodeDir, roots: Roots, settings: Settings): Promise<number[]> {
  if (roots.attempts.length === 0 && roots.processes.length === 0) return [];
  const { pids, left } = await reap(roots, { main: null, signal: "SIGTERM", graceMs: settings.stop.timeout_ms });
  requireEnded(dir, left);
  return pids;
}

function reasonOf(judgement: Judgement): Recovered["reason"] | null {
  switch (judgement.kind) {
    case "unfinished":
      return "interrupted-start";
    case "abandoned":
      return "interrupted-run";
    case "died":
      return judgement.rebooted ? "rebooted" : "died";
    case "unreadable":
    case "foreign":
      return "unreadable-state";
    case "running":
    case "stopped":
      return null;
  }
}

function originOf(evidence: Evidence): Pick<Recovered, "attempt" | "starter" | "begun_at"> {
  if (evidence.tombstone.kind === "record") {
    const { attempt, starter_pid, begun_at } = evidence.tombstone.record;
    return { attempt, starter: starter_pid || null, begun_at: begun_at || null };
  }
  const info = evidence.info.kind === "record" ? evidence.info.record : null;
  const attempt = info?.attempt ?? evidence.launches[0]?.attempt ?? null;
  return { attempt, starter: null, begun_at: info?.started_at ?? null };
}

/** What interrupted commands leave in the node's directory: temporary files and launch records. */
function passingEntries(dir: NodeDir): string[] {
  try {
    return [...Deno.readDirSync(dir.path)].map((entry) => entry.name)
      .filter((name) => isTemporaryName(name) || attemptOfEntry(name) !== null);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw stateError("list", dir.path, error);
  }
}

/** Entries of the node's directory that are stale while it does not run, the tombstone not among them. */
function runtimeEntries(dir: NodeDir): string[] {
  // node.info goes last: as long as it is there, the next command knows which files were declared.
  return ["port", "pid", ...passingEntries(dir), "node.info"];
}

/**
 * Removes what an interrupted command left beside a node that runs: the marks of its own unfinished clean-up, and the
 * temporary file of a replacement that died before its tombstone was in place.
 */
export function tidy(dir: NodeDir): void {
  for (const name of passingEntries(dir)) removeFile(`${dir.path}/${name}`, "remove");
  if (removeFile(dir.starting, "remove")) syncDir(dir.path);
}

function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw stateError("look at", path, error);
  }
}

/**
 * Removes the runtime files of a node that is not running, all but the tombstone.
 *
 * @param declared files of the user, full paths
 * @returns those that were there
 * @throws {TombstoneError} naming the file that could not be removed
 */
export async function sweepFiles(dir: NodeDir, declared: string[]): Promise<string[]> {
  const swept: string[] = [];
  for (const path of new Set(declared)) {
    if (isSocket(path) && await findUnixOccupant(path) !== null) continue; // a stranger's, or a spared process's
    if (removeFile(path)) swept.push(path);
  }
  return [...swept, ...runtimeEntries(dir).filter((name) => removeFile(`${dir.path}/${name}`, "remove"))];
}

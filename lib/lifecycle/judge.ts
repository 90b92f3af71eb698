/**
 * What became of a node, read from its files and the process table. Changes nothing, takes no lock.
 *
 * @module
 */
import { findLive, isAlive, isPlausiblePid, platform, requireSight } from "../os/platform.ts";
import type { Identity, ProcessRow } from "../os/types.ts";
import { findDaemon } from "../process/pid_file.ts";
import { ATTEMPT_VARIABLE, findAttempts, type Roots } from "../process/tree.ts";
import { launchesAmong, type LaunchRecord, readLaunchRecord } from "../state/launch_record.ts";
import { isTemporaryName, readSmallFile } from "../state/durable.ts";
import { asAttempt } from "../state/fields.ts";
import { entriesOf, existsDir, isLogOf, type NodeDir } from "../state/node_dir.ts";
import {
  type Found,
  here,
  type NodeInfo,
  type Origin,
  readNodeInfo,
  readTombstone,
  type RunOwner,
  type Tombstone,
} from "../state/records.ts";

/** The files of a node, as they were found. */
export interface Evidence {
  /** Names of all that is in the node's directory. */
  entries: string[];
  /** `starting`. */
  tombstone: Found<Tombstone>;
  /** `node.info`. */
  info: Found<NodeInfo>;
  /** Launchers that have recorded themselves. */
  launches: LaunchRecord[];
  /** Attempts that run though nothing here tells of any; looked for only where the directory holds nothing at all. */
  unrecorded: string[];
}

/** What the evidence means: the rows of the recovery table. */
export type Judgement =
  /** Nothing runs, nothing is left. */
  | { kind: "stopped" }
  /** The process of `node.info` lives. If there is a tombstone of the same attempt, only its removal is missing. */
  | { kind: "running"; info: NodeInfo }
  /** The process of `node.info` lives, but was to end with a run that is gone. */
  | { kind: "abandoned"; info: NodeInfo; run: RunOwner }
  /** `node.info` names a process that is gone, or that no longer can be (`rebooted`). */
  | { kind: "died"; info: NodeInfo; rebooted: boolean }
  /** A start began and has not finished: it goes on (`live`), was interrupted, or failed and was cleaned up. */
  | { kind: "unfinished"; phase: "live" | "interrupted" | "failed" }
  /** Nothing is recorded, since somebody has removed it; but something runs. */
  | { kind: "unrecorded" }
  /** A record that cannot be read, without a tombstone to tell more. */
  | { kind: "unreadable"; reason: string }
  /** Written on another machine or in another pid namespace: its processes cannot be judged from here. */
  | { kind: "foreign"; reason: string };

/**
 * Reads the files of a node.
 *
 * @param records whether the records are opened even if they are not listed: an error in the middle of a listing is told
 * by nobody, so whoever acts on what it finds opens them. Looking at thousands of nodes, most of which mostly are not
 * there, is quicker by the listing
 */
export function collectEvidence(dir: NodeDir, records: "opened" | "listed" = "opened"): Evidence {
  requireSight();
  // What is listed but gone when it is read, or the other way round, tells of a command that goes on meanwhile; what that
  // has made, the next look shows.
  for (let look = 1;; look++) {
    const entries = entriesOf(dir);
    const has = (path: string) => entries.includes(path.slice(dir.path.length + 1));
    const opens = (path: string) => records === "opened" || has(path);
    const tombstone: Evidence["tombstone"] = opens(dir.starting) ? readTombstone(dir) : { kind: "missing" };
    const info: Evidence["info"] = opens(dir.info) ? readNodeInfo(dir) : { kind: "missing" };
    const launches = launchesAmong(entries).map((attempt) => readLaunchRecord(dir, attempt));
    const isGone = has(dir.starting) !== (tombstone.kind !== "missing") || has(dir.info) !== (info.kind !== "missing");
    const isBare = tombstone.kind === "missing" && info.kind === "missing";
    // A sweep removes node.info last, so a pid without it tells of a record that somebody else has removed; or of a
    // start that has begun since the first look, which the second look then sees.
    const isDoubtful = isGone || isBare && has(dir.pid);
    if (isDoubtful && look < MOST_LOOKS) continue;
    // Whatever a start has launched had a log, so a directory without one is new, or new again.
    const unrecorded = entries.every((name) => name === "lock" || isTemporaryName(name)) ? findAttempts(dir) : [];
    const evidence: Evidence = { entries, tombstone, info, launches, unrecorded };
    if (!isBare || !has(dir.pid)) return evidence;
    return { ...evidence, info: { kind: "unreadable", reason: "it is missing, though pid is there" } };
  }
}

/** Whether there is anything of a node: a directory, or processes whose directory somebody has removed. */
export function isKnown(dir: NodeDir): boolean {
  return existsDir(dir) === "present" || collectEvidence(dir).unrecorded.length > 0;
}

/** Looks at files that change while they are looked at. */
const MOST_LOOKS = 5;

/** Where a record stands to this process: same boot, an earlier one, or elsewhere. */
type Relation = { kind: "same-boot" } | { kind: "earlier-boot" } | { kind: "elsewhere"; reason: string };

function relate(origin: Origin): Relation {
  const now = here();
  if (origin.host_id !== null && origin.host_id !== now.host_id) {
    return { kind: "elsewhere", reason: "it was started on another host" };
  }
  if (origin.boot_id !== null && now.boot_id !== null && origin.boot_id !== now.boot_id) {
    return { kind: "earlier-boot" };
  }
  if (origin.pid_namespace !== null && origin.pid_namespace !== now.pid_namespace) {
    return { kind: "elsewhere", reason: "it was started in another pid namespace (container)" };
  }
  return { kind: "same-boot" };
}

/** Whether start times of this record can be compared: where boots have ids, the record must carry one. */
function isDated(origin: Origin): boolean {
  return origin.boot_id !== null || platform.bootId() === null;
}

/**
 * The live main process of `node.info`, or `null`. By its start time; where none was recorded, by
 * its environment.
 */
export function findMain(info: NodeInfo): ProcessRow | null {
  if (relate(info).kind !== "same-boot") return null;
  if (info.start_time !== null && isDated(info)) return findLive({ pid: info.pid, startTime: info.start_time });
  const row = platform.read(info.pid);
  if (row === null || !isAlive(row) || info.attempt === null) return null;
  return platform.environment(info.pid, ATTEMPT_VARIABLE) === info.attempt ? row : null;
}

/** Whether a starter or run of this boot and pid namespace goes on. It is pid 1 where it is a container's entry point. */
function isAtWork(pid: number, startTime: number): boolean {
  const row = Number.isInteger(pid) && pid > 0 ? platform.read(pid) : null;
  return row !== null && isAlive(row) && platform.sameStart(row.startTime, startTime);
}

function isLive(run: RunOwner): boolean {
  return isAtWork(run.pid, run.start_time);
}

/** What the evidence means. */
export function judge(evidence: Evidence): Judgement {
  const { tombstone, info, launches } = evidence;
  for (const found of [tombstone, info]) {
    const relation: Relation = found.kind === "record" ? relate(found.record) : { kind: "same-boot" };
    if (relation.kind === "elsewhere") return { kind: "foreign", reason: relation.reason };
  }
  const commit = info.kind === "record" ? info.record : null;
  const isCommitted = tombstone.kind === "missing" ||
    (tombstone.kind === "record" && commit !== null && commit.attempt === tombstone.record.attempt);
  if (!isCommitted) return { kind: "unfinished", phase: phaseOf(tombstone) };
  if (commit !== null) {
    if (findMain(commit) !== null) {
      return commit.run === null || isLive(commit.run)
        ? { kind: "running", info: commit }
        : { kind: "abandoned", info: commit, run: commit.run };
    }
    return { kind: "died", info: commit, rebooted: relate(commit).kind === "earlier-boot" };
  }
  if (info.kind === "unreadable") return { kind: "unreadable", reason: info.reason };
  if (evidence.unrecorded.length > 0) return { kind: "unrecorded" };
  return launches.length > 0 ? { kind: "unfinished", phase: "interrupted" } : { kind: "stopped" };
}

function phaseOf(tombstone: Found<Tombstone>): "live" | "interrupted" | "failed" {
  if (tombstone.kind !== "record") return "interrupted";
  const { starter_pid: pid, starter_start_time: startTime, failed } = tombstone.record;
  if (failed !== null) return "failed";
  const isLive = relate(tombstone.record).kind === "same-boot" && isDated(tombstone.record) &&
    isAtWork(pid, startTime);
  return isLive ? "live" : "interrupted";
}

/**
 * Where to look for the processes that the evidence tells of. Records of an earlier boot or of elsewhere tell
 * of none.
 */
export function rootsOf(dir: NodeDir, evidence: Evidence): Roots {
  const attempts = new Set<string>(evidence.unrecorded);
  const processes: Identity[] = [];
  const spare = new Set<string>();
  const tombstone = evidence.tombstone.kind === "record" ? evidence.tombstone.record : null;
  const info = evidence.info.kind === "record" ? evidence.info.record : null;
  for (const record of [tombstone, info]) {
    if (record === null || relate(record).kind !== "same-boot") continue;
    for (const name of record.spare) spare.add(name);
    if (record.attempt !== null) attempts.add(record.attempt);
  }
  if (info !== null && relate(info).kind === "same-boot") {
    processes.push(findMain(info) ?? { pid: info.pid, startTime: UNKNOWN_START });
    // What an abandoned test command left runs under the id of its run.
    if (info.run !== null && !isLive(info.run)) attempts.add(info.run.id);
    if (info.session_pid !== info.pid) processes.push({ pid: info.session_pid, startTime: UNKNOWN_START });
  }
  for (const launch of evidence.launches) {
    attempts.add(launch.attempt);
    if (launch.process === null) continue;
    processes.push(launch.process);
    for (const path of tombstone === null ? [] : [tombstone.pid_file, ...tombstone.older_pid_files]) {
      const daemon = path === null ? null : findDaemon(path, launch);
      if (daemon !== null) processes.push(daemon);
    }
  }
  if (evidence.tombstone.kind === "unreadable" || evidence.info.kind === "unreadable") {
    const orphan = findUnrecorded(dir);
    const attempt = orphan === null ? null : asAttempt(platform.environment(orphan.pid, ATTEMPT_VARIABLE));
    if (orphan !== null) processes.push(orphan);
    if (attempt !== null) attempts.add(attempt);
  }
  return { dir, attempts: [...attempts], processes, spare: [...spare] };
}

/** Matches no live process: the number then stands only for the session and group that it led. */
const UNKNOWN_START = -1;

/**
 * The server of an unreadable record. The number in `pid` alone proves nothing; that this process leads a session
 * and writes to this node's log does, for only the launcher brings that about.
 */
function findUnrecorded(dir: NodeDir): Identity | null {
  const content = readSmallFile(dir.pid, "own");
  const pid = content.kind === "text" && /^\d{1,7}\n?$/.test(content.text) ? Number(content.text) : 0;
  if (!isPlausiblePid(pid)) return null;
  const row = platform.read(pid);
  if (row === null || !isAlive(row) || row.sid !== pid) return null;
  return platform.writesTo(pid, (path) => isLogOf(dir, path)) ? { pid, startTime: row.startTime } : null;
}

/** How far an unfinished start came. */
export function progressOf(dir: NodeDir, evidence: Evidence): "before-spawn" | "spawned" | "committed" {
  if (evidence.tombstone.kind === "record") {
    const attempt = evidence.tombstone.record.attempt;
    if (evidence.info.kind === "record" && evidence.info.record.attempt === attempt) return "committed";
    return readLaunchRecord(dir, attempt).process === null ? "before-spawn" : "spawned";
  }
  const hasRun = evidence.launches.some((launch) => launch.process !== null) || evidence.unrecorded.length > 0;
  if (hasRun) return "spawned";
  return evidence.info.kind === "missing" ? "before-spawn" : "committed";
}

/**
 * The main process of a node, which determines its state: the process that the launcher became, the one that a pid file
 * names, or one that the first process left in the background.
 *
 * Between its fork and the writing of its pid file, a daemon that has given up session, environment and descriptors
 * cannot be found. A command that terminates an attempt in that time waits for the file.
 *
 * @module
 */
import { findLive, system } from "../os/system.ts";
import type { Identity, ProcessRow } from "../os/rows.ts";
import { sleep } from "../async.ts";
import type { Launched } from "../process/launcher.ts";
import { findDaemon, findTree, Proven, type Roots } from "../process/tree.ts";
import { readLaunchRecord } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { recordedByOthers } from "./roots.ts";
import { readSmallFile } from "../state/durable.ts";
import { relate } from "../state/origin.ts";
import type { NodeFiles } from "./state.ts";

/** What {@linkcode MainProcess} follows. */
export interface Followed {
  /** The node. */
  dir: NodeDir;
  /** Its attempt. */
  attempt: string;
  /** The process just launched. */
  launched: Launched;
  /** Pid file of a daemon; `null`: there is none. */
  pidFile: string | null;
  /** Names of processes that are never terminated. */
  exclude: string[];
}

/** Time between two scans of all processes, in milliseconds. */
const SCAN_EVERY_MS = 20;

/**
 * A daemon without a pid file counts as dead after no process of the attempt was seen for this long, in milliseconds.
 * If it has cleared its environment, only that file can prove it.
 */
const DESERTED_FOR_MS = 500;

/** Longest wait for the first process to exit when it already has a child in the background, in milliseconds. */
const HAND_OVER_MS = 500;

/** Follows the main process of an attempt. */
export class MainProcess {
  /** All processes that any scan has proven to belong to the attempt. */
  readonly #proven = new Proven();
  readonly #followed: Followed;
  /** The process that the launcher becomes. */
  readonly leader: Identity;
  #current: Identity | null = null;
  #lookedAt = -Infinity;
  #desertedSince: number | null = null;

  /** Follows a process that was just launched. */
  constructor(followed: Followed) {
    this.#followed = followed;
    this.leader = followed.launched.leader;
  }

  /** The main process, once it is known. */
  get current(): Identity | null {
    return this.#current;
  }

  /** Looks for the main process, which exists once the launcher has recorded itself. */
  find(): Identity | null {
    return this.#current ??= this.#named();
  }

  #named(): Identity | null {
    const { dir, attempt, pidFile } = this.#followed;
    return pidFile === null ? this.leader : findDaemon(pidFile, readLaunchRecord(dir, attempt));
  }

  /** Whether a late daemon has appeared, now that no other process is left. */
  async isLate(): Promise<boolean> {
    const { dir, pidFile, launched } = this.#followed;
    if (pidFile === null || this.#current !== null || launched.exitStatus?.code !== 0) return false;
    return await untilNamed(dir, pidFile, () => this.#named());
  }

  /** Where the processes of the attempt are. */
  roots(): Roots {
    const { dir, attempt, exclude } = this.#followed;
    const main = this.#current ?? this.#named();
    const processes = main === null || main === this.leader ? [this.leader] : [this.leader, main];
    return { dir, attempts: [attempt], processes, exclude, proven: this.#proven, others: () => recordedByOthers(dir) };
  }

  /**
   * Whether the node has ended. If its first process exits with 0 and another process of the attempt is alive, that one
   * becomes the main process.
   */
  isGone(): boolean {
    const { exitStatus } = this.#followed.launched;
    if (exitStatus !== null && exitStatus.code !== 0) return true;
    if (this.#followed.pidFile !== null) {
      if (this.#current !== null) return findLive(this.#current) === null;
      return exitStatus !== null && this.#named() === null && this.#isDesertedFor(DESERTED_FOR_MS);
    }
    if (exitStatus === null) return false;
    const isAdopted = this.#current !== null && this.#current !== this.leader;
    return !(isAdopted && findLive(this.#current!) !== null) && !this.#adopt(this.#oldest());
  }

  #adopt(row: ProcessRow | null): boolean {
    if (row !== null) this.#current = { pid: row.pid, startTime: row.startTime };
    return row !== null;
  }

  /** Scans twice before it finds nothing: a process that exits may just have forked. */
  #oldest(): ProcessRow | null {
    return byAge(findTree(this.roots()))[0] ?? byAge(findTree(this.roots()))[0] ?? null;
  }

  #isDesertedFor(ms: number): boolean {
    const now = performance.now();
    if (now - this.#lookedAt < SCAN_EVERY_MS) return false;
    this.#lookedAt = now;
    if (findTree(this.roots()).length > 0) this.#desertedSince = null;
    else this.#desertedSince ??= now;
    return this.#desertedSince !== null && now - this.#desertedSince >= ms;
  }

  /**
   * Determines the main process of a node that is ready: if the first process has left several, the one that listens.
   *
   * @param port where the node listens; 0: nowhere
   * @returns `null` if the node has ended meanwhile
   */
  async settle(port: number): Promise<Identity | null> {
    if (this.isGone()) return null;
    const isAdopted = this.#followed.pidFile === null && this.#current !== this.leader;
    if (!isAdopted || port === 0 || system.sockets === null) return this.#current;
    const { list, socketsOf } = system.sockets;
    const inodes = (await list() ?? []).filter((row) => row.port === port).map(({ inode }) => inode);
    const tree = byAge(findTree(this.roots()));
    this.#adopt(tree.find(({ pid }) => inodes.some((inode) => socketsOf(pid)?.has(inode))) ?? tree[0] ?? null);
    return this.#current;
  }

  /**
   * Checks whether a node that is ready is just putting itself into the background: it may listen already while its
   * first process is still alive. If so, waits until that one exits; otherwise the check costs next to nothing.
   *
   * @returns the main process, which may be another one now
   */
  async handOver(port: number): Promise<Identity | null> {
    const { launched, pidFile } = this.#followed;
    if (pidFile !== null || this.#current !== this.leader) return this.#current;
    const deadline = performance.now() + HAND_OVER_MS;
    while (launched.exitStatus === null && performance.now() < deadline) {
      if (findLive(this.leader) !== null && !this.#hasHeir()) return this.#current;
      await sleep(1);
    }
    if (launched.exitStatus?.code !== 0) return this.#current;
    return await this.settle(port) ?? this.#current;
  }

  #isLed(row: ProcessRow | null): boolean {
    return row !== null && system.processes.isLedBy(row, this.leader.pid);
  }

  /** Whether a child of the leader has left the leader's session and holds one of its sockets. */
  #hasHeir(): boolean {
    const socketsOf = system.sockets?.socketsOf;
    const away = system.processes.childrenOf(this.leader.pid)
      .filter((pid) => !this.#isLed(system.processes.read(pid)));
    if (away.length === 0) return false;
    const own = socketsOf?.(this.leader.pid) ?? new Set();
    return away.some((pid) => [...socketsOf?.(pid) ?? []].some((inode) => own.has(inode)));
  }
}

/** The oldest first. */
function byAge(rows: ProcessRow[]): ProcessRow[] {
  const { startedBefore } = system.processes;
  return rows.toSorted((a, b) => startedBefore(a, b) ? -1 : startedBefore(b, a) ? 1 : a.pid - b.pid);
}

/** Longest wait for the pid file in milliseconds, while some process has the log open (`seen`) or none has. */
const DAEMON_WAIT_MS = { seen: 3000, unseen: 500 };

/** How long after the launch the pid file may still appear, in milliseconds. */
const DAEMON_TIME_MS = 5000;

/** Waits for a pid file that has not been written yet; resolves to whether it names a daemon. */
async function untilNamed(dir: NodeDir, pidFile: string, find: () => Identity | null): Promise<boolean> {
  const begun = performance.now();
  while (isUnwritten(pidFile)) {
    const isSeen = system.files.hasWriter(dir.log) === true;
    if (performance.now() - begun >= DAEMON_WAIT_MS[isSeen ? "seen" : "unseen"]) return false;
    await sleep(10);
  }
  return find() !== null;
}

function isUnwritten(pidFile: string): boolean {
  const content = readSmallFile(pidFile, "anybody");
  return content.kind === "missing" || content.kind === "text" && content.text.trim() === "";
}

/**
 * The same for the daemon of a start that was interrupted just now. (Test: "a daemon on its way when its start is ended …".)
 */
export async function untilLateDaemon(dir: NodeDir, { tombstone }: NodeFiles): Promise<boolean> {
  if (tombstone.kind !== "record" || tombstone.record.failed !== null) return false;
  const { attempt, pid_file } = tombstone.record;
  if (pid_file === null || relate(tombstone.record) !== "same-boot") return false;
  const launch = readLaunchRecord(dir, attempt);
  const isNew = launch.recordedAtMs !== null && Date.now() - launch.recordedAtMs < DAEMON_TIME_MS;
  return launch.process !== null && isNew && await untilNamed(dir, pid_file, () => findDaemon(pid_file, launch));
}

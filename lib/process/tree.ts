/**
 * The processes of a node: the launched process and the session and group that it leads, its descendants, every process
 * whose environment names one of the attempts or that still has the launcher's log open, and the daemon that its pid
 * file names.
 *
 * A descendant in its own session has no proof left when its parent is gone. So the tree keeps its identity: a process
 * that was proven once belongs to the node until it is gone.
 *
 * @module
 */
import { live } from "../os/scan.ts";
import { system } from "../os/system.ts";
import type { Identity, ProcessRow, ProcessWithVariable } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import { asAttempt } from "../spec/json.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import { modifiedAtMs } from "../state/durable.ts";
import { readPid } from "../state/port_files.ts";
import type { LaunchRecord } from "../state/launch_record.ts";

/** What is known of the node's processes. */
export interface Roots {
  /** The node; an open log shows that a process belongs to a launched one that is gone. */
  dir: NodeDir;
  /** Its attempts. */
  attempts: string[];
  /** Recorded processes, dead or alive: launchers, main processes, daemons. */
  processes: Identity[];
  /** Names of processes to leave alone, in addition to `epmd`. */
  exclude: string[];
  /** The processes of the node (default), or of another command that has the same log open. */
  of?: "node" | "command";
  /** Variable that names the attempt; default {@linkcode ATTEMPT_VARIABLE}. */
  variable?: string;
  /** Processes that earlier scans have proven; each scan adds to them. */
  proven?: Proven;
  /** The scan to use; default {@linkcode live}. */
  scan?: Scan;
  /** Processes that other nodes have recorded; called only if a member has no proof of its own. */
  others?: () => Identity[];
}

/** epmd(1) is shared by every BEAM node of the user, though the first node starts it. */
export const ALWAYS_EXCLUDED: readonly string[] = ["epmd"];

/** Variable of every process of an attempt, with its id. */
export const ATTEMPT_VARIABLE = "TOMBSTONE_ATTEMPT";

/** Variable of every process of a node, with the path of its directory. */
export const NODE_DIR_VARIABLE = "TOMBSTONE_NODE_DIR";

/**
 * Finds the attempts of a node by their processes alone, after its records were removed. The launcher sets directory
 * and attempt in the environment; a node that was started from inside this one has another directory.
 */
export function findAttempts(dir: NodeDir, scan: Scan): string[] {
  const attempts = scan.list(NODE_DIR_VARIABLE)
    .filter((row) =>
      row.value === dir.path && row.pid !== Deno.pid && row.isAlive && system.processes.isNeighbour(row.pid)
    )
    .map((row) => asAttempt(scan.environment(row.pid, ATTEMPT_VARIABLE)));
  return [...new Set(attempts.filter((attempt) => attempt !== null))];
}

/** The live processes of a node, as by {@linkcode findTree}; concurrent callers share one scan. */
export async function scanForTree(roots: Roots): Promise<ProcessRow[]> {
  return treeAmong(await scanOf(roots).listAsync(roots.variable ?? ATTEMPT_VARIABLE), roots);
}

/**
 * The live processes of a node, from one scan of the process table. This process is never among them, nor is a node that
 * was started from inside this one.
 */
export function findTree(roots: Roots): ProcessRow[] {
  return treeAmong(scanOf(roots).list(roots.variable ?? ATTEMPT_VARIABLE), roots);
}

/**
 * The same by the proofs alone that come with the rows. Reading all descriptors would take longer than the life of a
 * process that keeps replacing itself.
 */
export function findTreeQuickly(roots: Roots): ProcessRow[] {
  return treeAmong(scanOf(roots).list(roots.variable ?? ATTEMPT_VARIABLE), roots, "quick");
}

/** The scan for this node. */
export function scanOf(roots: Roots): Scan {
  return roots.scan ?? live;
}

function treeAmong(rows: ProcessWithVariable[], roots: Roots, proofs: "all" | "quick" = "all"): ProcessRow[] {
  const { dir, attempts, processes, exclude, proven, others = null } = roots;
  const members = system.processes.members(rows, {
    values: attempts,
    processes,
    exclude: [...ALWAYS_EXCLUDED, ...exclude],
    log: {
      path: dir.log,
      isLog: (path) => isLogOf(dir, path),
      // An open log proves nothing for a test or stop command, because the server also has it open.
      proves: roots.of !== "command" && proofs === "all",
    },
    isProven: (row) => proven?.has(row) === true,
    others,
    scan: scanOf(roots),
  });
  for (const { row, proof } of members) proven?.add(row, proof);
  return members.map(({ row }) => row);
}

/** Processes that were proven, by this command or by an interrupted one that has recorded them. */
export class Proven {
  readonly #starts = new Map<number, number>();
  readonly #lean = new Map<number, Identity>();

  /** Begins with recorded ones. */
  constructor(recorded: Identity[] = []) {
    for (const { pid, startTime } of recorded) this.add({ pid, startTime }, "by others");
  }

  /** Whether this process was proven earlier. */
  has({ pid, startTime }: Identity): boolean {
    const start = this.#starts.get(pid);
    return start !== undefined && system.processes.sameStart(start, startTime);
  }

  /** Adds a proven process: proven by its own environment or a record, or only as a descendant of others. */
  add({ pid, startTime }: Identity, how: "by itself" | "by others"): void {
    if (!this.has({ pid, startTime })) this.#starts.set(pid, startTime);
    if (how === "by others") this.#lean.set(pid, { pid, startTime });
    else this.#lean.delete(pid);
  }

  /** The row with the start time that was read first: on some systems it wavers, though it is one process. */
  asFirstSeen<T extends Identity>(row: T): T {
    return { ...row, startTime: this.has(row) ? this.#starts.get(row.pid)! : row.startTime };
  }

  /** The processes without a proof of their own, which could not be found once the others and this command are gone. */
  byOthers(): Identity[] {
    return [...this.#lean.values()];
  }
}

/**
 * The daemon of an attempt. Its pid alone proves nothing, but its environment does, or the order of three moments: it was
 * started after the launcher and before the pid file was last written. A process that reuses the pid later is younger than
 * the file.
 *
 * Start times are in ticks of the kernel, file times by the wall clock. If the wall clock is set meanwhile, their offset
 * changes, so it is taken twice: now, and when the launch record was written.
 * (Test: "the clock set a year back or forth".)
 *
 * @param path the pid file, removed by the tool before the launcher was spawned
 * @param launch the launcher of the attempt
 */
export function findDaemon(path: string, launch: LaunchRecord): Identity | null {
  const launcher = launch.process;
  const pid = readPid(path, "anybody");
  if (launcher === null || pid === null || pid === launcher.pid) return null;
  const row = system.processes.read(pid);
  if (row === null || !row.isAlive || system.processes.startedBefore(row, launcher)) return null;
  const daemon: Identity = { pid, startTime: row.startTime };
  const named = system.processes.environment(pid, ATTEMPT_VARIABLE);
  if (named !== null) return named === launch.attempt ? daemon : null;
  const written = modifiedAtMs(path, "elsewhere");
  if (written === null) return null;
  const started = system.processes.startedAtMs(row.startTime);
  const age = started - system.processes.startedAtMs(launcher.startTime); // from the start of the launcher to its own
  const recorded = launch.recordedAtMs;
  const isOlder = started <= written + system.processes.startPrecisionMs ||
    (recorded !== null && recorded + age <= written + system.processes.startPrecisionMs);
  return isOlder ? daemon : null;
}

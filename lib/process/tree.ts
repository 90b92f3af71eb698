/**
 * The processes of a node: what was launched for it and what that leads, its descendants, every process whose environment
 * names one of its attempts or that has kept the log which the launcher opened for it, and the daemon that its pid file names.
 *
 * A descendant in a session of its own has no proof left when its parent is gone, so it is kept by its identity: a process
 * that was proven once belongs to the node until it is gone.
 *
 * @module
 */
import { live } from "../os/scan.ts";
import { isPlausiblePid, system } from "../os/system.ts";
import type { Identity, ProcessRow, ProcessWithVariable } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import { asAttempt } from "../spec/json.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import { modifiedAtMs, readSmallFile } from "../state/durable.ts";
import type { LaunchRecord } from "../state/launch_record.ts";

/** What is known of the node's processes. */
export interface Roots {
  /** The node, whose log tells who belongs to a launched process that is gone. */
  dir: NodeDir;
  /** Attempts whose processes are meant. */
  attempts: string[];
  /** Recorded processes: launchers, main processes, daemons. Dead ones count too. */
  processes: Identity[];
  /** Names of processes to leave alone, besides `epmd`. */
  exclude: string[];
  /** Whose processes are meant: the node's, the default, or those of a command beside its server, which keeps the log. */
  of?: "node" | "command";
  /** Variable that names the attempt; default {@linkcode ATTEMPT_VARIABLE}. */
  variable?: string;
  /** Who was proven by earlier looks; each look adds to it. */
  proven?: Proven;
  /** Where to ask who is there; default {@linkcode live}. */
  scan?: Scan;
  /** Processes that other nodes have recorded; asked for only where a member has no proof of its own. */
  others?: () => Identity[];
}

/** epmd(1) is shared by every BEAM node of the user, though the first node starts it. */
export const ALWAYS_EXCLUDED: readonly string[] = ["epmd"];

/** Variable by which a process shows to which attempt it belongs. */
export const ATTEMPT_VARIABLE = "TOMBSTONE_ATTEMPT";

/** Variable by which a process shows which node it belongs to, by the node's directory. */
export const NODE_DIR_VARIABLE = "TOMBSTONE_NODE_DIR";

/**
 * Attempts of a node by their processes alone, for a node whose directory holds no record, since somebody has removed
 * it. The environment that the launcher gave them names directory and attempt; a node that was started from inside has
 * another directory.
 */
export function findAttempts(dir: NodeDir, scan: Scan): string[] {
  const attempts = scan.list(NODE_DIR_VARIABLE)
    .filter((row) =>
      row.value === dir.path && row.pid !== Deno.pid && row.isAlive && system.processes.isNeighbour(row.pid)
    )
    .map((row) => asAttempt(scan.environment(row.pid, ATTEMPT_VARIABLE)));
  return [...new Set(attempts.filter((attempt) => attempt !== null))];
}

/** The live processes of a node, as {@linkcode findTree} finds them; many who ask at the same time share the look. */
export async function lookForTree(roots: Roots): Promise<ProcessRow[]> {
  return treeAmong(await scanOf(roots).look(roots.variable ?? ATTEMPT_VARIABLE), roots);
}

/**
 * The live processes of a node, from one look at the process table. The caller's own process is never
 * among them, nor a node that was started from inside this one.
 */
export function findTree(roots: Roots): ProcessRow[] {
  return treeAmong(scanOf(roots).list(roots.variable ?? ATTEMPT_VARIABLE), roots);
}

/**
 * The same by the proofs alone that come with the rows. To look at everybody's descriptors takes longer than a process
 * lives that becomes another one all the time.
 */
export function findTreeQuickly(roots: Roots): ProcessRow[] {
  return treeAmong(scanOf(roots).list(roots.variable ?? ATTEMPT_VARIABLE), roots, "quick");
}

/** Where to ask about this node. */
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
      // The log tells who is the node's: its server is not what a test command or a stop command has left.
      proves: roots.of !== "command" && proofs === "all",
    },
    isProven: (row) => proven?.has(row) === true,
    others,
    scan: scanOf(roots),
  });
  for (const { row, proof } of members) proven?.add(row, proof);
  return members.map(({ row }) => row);
}

/** Processes that were proven, of this command or of an interrupted one that has recorded them. */
export class Proven {
  readonly #starts = new Map<number, number>();
  readonly #lean = new Map<number, Identity>();

  /** Begins with those that records name. */
  constructor(recorded: Identity[] = []) {
    for (const { pid, startTime } of recorded) this.add({ pid, startTime }, "by others");
  }

  /** Whether this process was proven earlier. */
  has({ pid, startTime }: Identity): boolean {
    const start = this.#starts.get(pid);
    return start !== undefined && system.processes.sameStart(start, startTime);
  }

  /** A process that is proven now: by itself, its environment or a record, or only by others, as their descendant. */
  add({ pid, startTime }: Identity, how: "by itself" | "by others"): void {
    if (!this.has({ pid, startTime })) this.#starts.set(pid, startTime);
    if (how === "by others") this.#lean.set(pid, { pid, startTime });
    else this.#lean.delete(pid);
  }

  /** The row with the start time that was first told of it: where that wavers, it still is one process. */
  asFirstSeen<T extends Identity>(row: T): T {
    return { ...row, startTime: this.has(row) ? this.#starts.get(row.pid)! : row.startTime };
  }

  /** Those that nothing would prove any more if the others were gone, and this command with them. */
  byOthers(): Identity[] {
    return [...this.#lean.values()];
  }
}

/**
 * The daemon of an attempt. Its pid alone proves nothing, but its environment does, or the order of three
 * moments: it was started after the launcher and before the file was last written. Whoever has the pid now and was
 * alive then is the process that the file means; a later owner of a recycled pid is younger than the file.
 *
 * Processes are dated by the kernel's ticks and files by the wall clock. Two clocks that are set apart meanwhile would
 * hide the daemon, so the offset between them is taken twice: now, and at the writing of the launch record.
 * (Test: "the clock set a year back or forth".)
 *
 * @param path the pid file, removed by the tool before the launcher was spawned
 * @param launch the launcher of the attempt
 */
export function findDaemon(path: string, launch: LaunchRecord): Identity | null {
  const launcher = launch.process;
  const content = readSmallFile(path);
  const pid = content.kind === "text" && /^\s*\d{1,7}\s*$/.test(content.text) ? Number(content.text) : 0;
  if (launcher === null || !isPlausiblePid(pid) || pid === launcher.pid) return null;
  const row = system.processes.read(pid);
  if (row === null || !row.isAlive || row.startTime < launcher.startTime) return null;
  const daemon: Identity = { pid, startTime: row.startTime };
  const named = system.processes.environment(pid, ATTEMPT_VARIABLE);
  if (named !== null) return named === launch.attempt ? daemon : null;
  const written = modifiedAtMs(path);
  if (written === null) return null;
  const started = system.processes.startedAtMs(row.startTime);
  const age = started - system.processes.startedAtMs(launcher.startTime); // at its start, since the launcher's
  const recorded = launch.recordedAtMs;
  const isOlder = started <= written + system.processes.startPrecisionMs ||
    (recorded !== null && recorded + age <= written + system.processes.startPrecisionMs);
  return isOlder ? daemon : null;
}

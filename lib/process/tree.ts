/**
 * Which processes belong to a node: its session and group, its descendants, and every process whose
 * environment names one of its attempts, or that has kept the log which the launcher opened for it.
 *
 * @module
 */
import { live } from "../os/scan.ts";
import { isAlive, system } from "../os/system.ts";
import type { Identity, ProcessRow, ProcessWithVariable, Scan } from "../os/types.ts";
import { asAttempt } from "../spec/json.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import type { Proven } from "./proven.ts";

/** What is known of the node's processes. */
export interface Roots {
  /** The node, whose log tells members of a leaderless session. */
  dir: NodeDir;
  /** Attempts whose processes are meant. */
  attempts: string[];
  /** Recorded processes: launchers (leaders of their session), main processes, daemons. Dead ones count too. */
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

/**
 * Descriptor at which the launcher leaves the log open beside the output. A server that puts itself into the background
 * gives up its session and its output, and many overwrite their environment; few close what they have not opened.
 */
export const LOG_DESCRIPTOR = 9;

/** More processes than can be looked at, one by one, in the time of a question to the kernel. */
const MANY = 100;

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
      row.value === dir.path && row.pid !== Deno.pid && isAlive(row) && system.processes.isNeighbour(row.pid)
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

function treeAmong(all: ProcessWithVariable[], roots: Roots, proofs: "all" | "quick" = "all"): ProcessRow[] {
  const rows = all.filter((row) => isAlive(row) && row.pid !== Deno.pid && row.pid > 1);
  const holdsOurs = ({ value }: ProcessWithVariable) => value !== null && roots.attempts.includes(value);
  const isExcluded = (row: ProcessWithVariable) =>
    ALWAYS_EXCLUDED.includes(row.name) || roots.exclude.includes(row.name) || (row.value !== null && !holdsOurs(row));

  const isLog = (path: string) => isLogOf(roots.dir, path);
  // The log tells who is the node's: its server is not what a test command or a stop command has left.
  const isOfNode = roots.of !== "command" && proofs === "all";
  // Of many, nobody has to be looked at where the kernel says that nobody has the log open.
  const isKept = isOfNode && (rows.length < MANY || system.files.hasWriter(roots.dir.log) !== false);
  const keepsLog = ({ pid, value }: ProcessWithVariable) =>
    isKept && value === null && system.processes.writesAt(pid, LOG_DESCRIPTOR, isLog);
  const members = new Map<number, ProcessRow>();
  const own = new Set<number>(); // those with a proof of their own
  const add = (row: ProcessWithVariable) => {
    if (!members.has(row.pid) && !isExcluded(row)) members.set(row.pid, row);
  };
  for (const row of rows) {
    const isProven = holdsOurs(row) || keepsLog(row);
    if (!isProven && roots.proven?.has(row) !== true) continue;
    add(row);
    if (isProven) own.add(row.pid);
  }
  for (const identity of roots.processes) {
    const found = scanOf(roots).find(identity);
    // A recorded process is the node itself, whatever its name.
    if (found !== null && found.pid !== Deno.pid) members.set(found.pid, found);
    else for (const row of leaderless(rows, identity, roots, holdsOurs)) add(row);
    if (found !== null) own.add(found.pid);
  }

  // Descendants of members, and whoever is in a session or group that a member leads.
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const row of rows) {
      if (members.has(row.ppid) || (row.sid !== null && members.has(row.sid)) || members.has(row.pgid)) add(row);
    }
  }
  leaveOutOthers(members, own, roots);
  for (const row of members.values()) roots.proven?.add(row, own.has(row.pid) ? "by itself" : "by others");
  return [...members.values()];
}

/**
 * Takes out what belongs to other nodes. A node that was started from inside this one shows another attempt; but where
 * its server has cleared its environment, and the node's main process adopts orphans (a subreaper, `tini -s`), it looks
 * like a descendant of this node. The records of all nodes are read only if somebody is in doubt: without a proof
 * of its own, not proven earlier, and not in a session of the node's. (Test: "a node inside a subreaper".)
 */
function leaveOutOthers(members: Map<number, ProcessRow>, own: Set<number>, roots: Roots): void {
  const sessions = new Set(roots.processes.map(({ pid }) => pid));
  const isDoubtful = (row: ProcessRow) =>
    !own.has(row.pid) && !(row.sid !== null && sessions.has(row.sid)) && roots.proven?.has(row) !== true;
  const doubtful = [...members.values()].filter(isDoubtful);
  if (doubtful.length === 0 || roots.others === undefined) return;
  const others = new Set(
    roots.others().filter((identity) => scanOf(roots).find(identity) !== null).map(({ pid }) => pid),
  );
  // Whose it is, the nearest ancestor tells that is anybody's.
  const isOthers = (row: ProcessRow | undefined, depth: number): boolean => {
    if (row === undefined || own.has(row.pid) || depth > members.size) return false;
    return others.has(row.pid) || (row.sid !== null && others.has(row.sid)) ||
      isOthers(members.get(row.ppid), depth + 1);
  };
  if (others.size === 0) return;
  for (const row of doubtful.filter((each) => isOthers(each, 0))) members.delete(row.pid);
}

/**
 * Members of the session and group that a dead process led. As long as a member lives, the kernel does not give
 * the number to a new process; but it may have done so before they were born. So the session counts as ours only
 * if a member proves it: by its environment, or by writing to this node's log, which the launcher
 * opened for it.
 */
function leaderless(
  rows: ProcessWithVariable[],
  leader: Identity,
  roots: Roots,
  holdsOurs: (row: ProcessWithVariable) => boolean,
): ProcessWithVariable[] {
  const inSession = rows.filter((row) => (row.sid === leader.pid || row.pgid === leader.pid) && row.pid !== leader.pid);
  // Somebody else is the leader now: the number was recycled.
  if (rows.some((row) => row.pid === leader.pid)) return [];
  const isLog = (path: string) => isLogOf(roots.dir, path);
  // While its zombie is there, the number is certainly still the leader's.
  const zombie = scanOf(roots).read(leader.pid);
  const isZombie = zombie !== null && system.processes.sameStart(zombie.startTime, leader.startTime);
  const isProven = isZombie || inSession.some((row) => holdsOurs(row) || system.processes.writesTo(row.pid, isLog));
  return isProven ? inSession : [];
}

/**
 * Which processes belong together on POSIX systems: by session and process group, by descent, by a variable of the
 * environment, and by the log that the launcher has opened for them.
 *
 * @module
 */
import type { Identity, ProcessRow, ProcessWithVariable } from "../rows.ts";
import type { Killing, Kin, Member, Processes } from "../types.ts";

/**
 * Descriptor at which the launcher leaves the log open beside the output. A server that puts itself into the background
 * gives up its session and its output, and many overwrite their environment; few close what they have not opened.
 */
export const LOG_DESCRIPTOR = 9;

/** A row of the POSIX back ends, which alone know of sessions and groups. */
export interface PosixRow extends ProcessRow {
  /** Process group id. */
  pgid: number;
  /** Session id; `null` where the system does not tell. */
  sid: number | null;
}

/** Every row was read by one of these back ends. */
function posix(row: ProcessRow): PosixRow {
  return row as PosixRow;
}

/** See {@linkcode Processes.isLedBy}: the launcher is made the leader of a session, and with it of a group. */
export function isLedBy(row: ProcessRow, leader: number): boolean {
  const { sid, pgid } = posix(row);
  return (sid ?? pgid) === leader;
}

/** See {@linkcode Processes.areTogether}: a shell that waits is mostly asked with its whole group. */
export function areTogether(a: ProcessRow, b: ProcessRow): boolean {
  return posix(a).pgid === posix(b).pgid;
}

/** What the back end that has read the rows can tell beyond them. */
export type Proofs =
  & Pick<Processes, "sameStart" | "writesTo" | "writesAt">
  & { hasWriter(path: string): boolean | null };

/** More processes than can be looked at, one by one, in the time of a question to the kernel. */
const MANY = 100;

/** See {@linkcode Processes.members}. */
export function membersAmong(all: ProcessWithVariable[], kin: Kin, proofs: Proofs): Member[] {
  const rows = all.filter((row) => row.isAlive && row.pid !== Deno.pid && row.pid > 1);
  const holdsOurs = ({ value }: ProcessWithVariable) => value !== null && kin.values.includes(value);
  const isExcluded = (row: ProcessWithVariable) =>
    kin.exclude.includes(row.name) || (row.value !== null && !holdsOurs(row));

  const { log } = kin;
  // Of many, nobody has to be looked at where the kernel says that nobody has the log open.
  const isKept = log.proves && (rows.length < MANY || proofs.hasWriter(log.path) !== false);
  const keepsLog = ({ pid, value }: ProcessWithVariable) =>
    isKept && value === null && proofs.writesAt(pid, LOG_DESCRIPTOR, log.isLog);
  const members = new Map<number, ProcessRow>();
  const own = new Set<number>(); // those with a proof of their own
  const add = (row: ProcessWithVariable) => {
    if (!members.has(row.pid) && !isExcluded(row)) members.set(row.pid, row);
  };
  for (const row of rows) {
    const isProven = holdsOurs(row) || keepsLog(row);
    if (!isProven && !kin.isProven(row)) continue;
    add(row);
    if (isProven) own.add(row.pid);
  }
  for (const identity of kin.processes) {
    const found = kin.scan.find(identity);
    // A recorded process is the node itself, whatever its name.
    if (found !== null && found.pid !== Deno.pid) members.set(found.pid, found);
    else for (const row of leaderless(rows, identity, { kin, proofs, holdsOurs })) add(row);
    if (found !== null) own.add(found.pid);
  }

  // Descendants of members, and whoever is in a session or group that a member leads.
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const row of rows) {
      const { sid, pgid } = posix(row);
      if (members.has(row.ppid) || (sid !== null && members.has(sid)) || members.has(pgid)) add(row);
    }
  }
  leaveOutOthers(members, own, kin);
  return Array.from(members.values(), (row) => ({ row, proof: own.has(row.pid) ? "by itself" : "by others" }));
}

/**
 * Takes out what belongs to other nodes. A node that was started from inside this one shows another attempt; but where
 * its server has cleared its environment, and the node's main process adopts orphans (a subreaper, `tini -s`), it looks
 * like a descendant of this node. The records of all nodes are read only if somebody is in doubt: without a proof
 * of its own, not proven earlier, and not in a session of the node's. (Test: "a node inside a subreaper".)
 */
function leaveOutOthers(members: Map<number, ProcessRow>, own: Set<number>, kin: Kin): void {
  const sessions = new Set(kin.processes.map(({ pid }) => pid));
  const isIn = (row: ProcessRow, leaders: Set<number>) => {
    const { sid } = posix(row);
    return sid !== null && leaders.has(sid);
  };
  const isDoubtful = (row: ProcessRow) => !own.has(row.pid) && !isIn(row, sessions) && !kin.isProven(row);
  const doubtful = [...members.values()].filter(isDoubtful);
  if (doubtful.length === 0 || kin.others === null) return;
  const others = new Set(kin.others().filter((identity) => kin.scan.find(identity) !== null).map(({ pid }) => pid));
  // Whose it is, the nearest ancestor tells that is anybody's.
  const isOthers = (row: ProcessRow | undefined, depth: number): boolean => {
    if (row === undefined || own.has(row.pid) || depth > members.size) return false;
    return others.has(row.pid) || isIn(row, others) || isOthers(members.get(row.ppid), depth + 1);
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
  { kin, proofs, holdsOurs }: { kin: Kin; proofs: Proofs; holdsOurs: (row: ProcessWithVariable) => boolean },
): ProcessWithVariable[] {
  const isIn = (row: ProcessRow) => posix(row).sid === leader.pid || posix(row).pgid === leader.pid;
  const inSession = rows.filter((row) => isIn(row) && row.pid !== leader.pid);
  // Somebody else is the leader now: the number was recycled.
  if (rows.some((row) => row.pid === leader.pid)) return [];
  // While its zombie is there, the number is certainly still the leader's.
  const zombie = kin.scan.read(leader.pid);
  const isZombie = zombie !== null && proofs.sameStart(zombie.startTime, leader.startTime);
  const isProven = isZombie || inSession.some((row) => holdsOurs(row) || proofs.writesTo(row.pid, kin.log.isLog));
  return isProven ? inSession : [];
}

/** Most scans for processes of a session that is killed: they may fork meanwhile. */
const SESSION_SCANS = 5;

/**
 * Kills the whole session that a process of this identity leads, its other process groups included. The number of a
 * session stands for it as long as its leader lives, so the group of the leader goes last.
 */
export function killSession(leader: Identity, { find, list, signal }: Killing): void {
  const isThere = () => {
    const row = find(leader);
    return row !== null && posix(row).pgid === leader.pid;
  };
  try {
    for (let look = 0; look < SESSION_SCANS && isThere(); look++) {
      const others = list().filter((row) => isLedBy(row, leader.pid) && posix(row).pgid !== leader.pid);
      const living = others.filter((row) => row.isAlive);
      if (living.length === 0 || !isThere()) break;
      for (const row of living) signal(row, "SIGKILL");
    }
  } finally {
    if (isThere()) killGroup(leader.pid);
  }
}

function killGroup(leader: number): void {
  try {
    Deno.kill(-leader, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // it has ended meanwhile
  }
}

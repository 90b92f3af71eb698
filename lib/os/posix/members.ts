/**
 * Which processes belong together on POSIX systems: by session and process group, by descent, by a variable of the
 * environment, and by the log that the launcher has opened for them.
 *
 * @module
 */
import type { Identity, ProcessRow, ProcessWithVariable } from "../rows.ts";
import type { Killing, MemberQuery, Processes, ProvenRow } from "../types.ts";

/**
 * A second descriptor at which the launcher leaves the log open. A server that puts itself into the background leaves its
 * session and closes its output, and many overwrite their environment; few close descriptors that they did not open.
 */
export const LOG_DESCRIPTOR = 9;

/** A row of the POSIX back ends. Sessions and groups are not known above them. */
export interface PosixRow extends ProcessRow {
  /** Process group id. */
  pgid: number;
  /** Session id; `null` if unknown. */
  sid: number | null;
}

/** The cast is safe: every row was read by one of these back ends. */
function posix(row: ProcessRow): PosixRow {
  return row as PosixRow;
}

/** See {@linkcode Processes.isLedBy}: the launcher is made the leader of a session, and with it of a group. */
export function isLedBy(row: ProcessRow, leader: number): boolean {
  const { sid, pgid } = posix(row);
  return (sid ?? pgid) === leader;
}

/** See {@linkcode Processes.areTogether}: a waiting shell mostly gets a signal with its whole group. */
export function areTogether(a: ProcessRow, b: ProcessRow): boolean {
  return posix(a).pgid === posix(b).pgid;
}

/** What the back end knows in addition to the rows. */
export type Proofs =
  & Pick<Processes, "sameStart" | "writesTo" | "writesAt">
  & { hasWriter(path: string): boolean | null };

/** From this number on, asking the kernel whether any process has the log open is quicker than checking each. */
const MANY_ROWS = 100;

/** See {@linkcode Processes.members}. */
export function membersAmong(all: ProcessWithVariable[], query: MemberQuery, proofs: Proofs): ProvenRow[] {
  const rows = all.filter((row) => row.isAlive && row.pid !== Deno.pid && row.pid > 1);
  const holdsOurs = ({ value }: ProcessWithVariable) => value !== null && query.values.includes(value);
  const isExcluded = (row: ProcessWithVariable) =>
    query.exclude.includes(row.name) || (row.value !== null && !holdsOurs(row));

  const { log } = query;
  // Their descriptors need not be read if the kernel says that no process has the log open.
  const isKept = log.proves && (rows.length < MANY_ROWS || proofs.hasWriter(log.path) !== false);
  const keepsLog = ({ pid, value }: ProcessWithVariable) =>
    isKept && value === null && proofs.writesAt(pid, LOG_DESCRIPTOR, log.isLog);
  const members = new Map<number, ProcessRow>();
  const own = new Set<number>(); // those with a proof of their own
  const add = (row: ProcessWithVariable) => {
    if (!members.has(row.pid) && !isExcluded(row)) members.set(row.pid, row);
  };
  for (const row of rows) {
    const isProven = holdsOurs(row) || keepsLog(row);
    if (!isProven && !query.isProven(row)) continue;
    add(row);
    if (isProven) own.add(row.pid);
  }
  for (const identity of query.processes) {
    const found = query.scan.find(identity);
    // A recorded process belongs to the node, even if its name is excluded.
    if (found !== null && found.pid !== Deno.pid) members.set(found.pid, found);
    else for (const row of leaderless(rows, identity, { query, proofs, holdsOurs })) add(row);
    if (found !== null) own.add(found.pid);
  }

  // Descendants of members, and processes in a session or group that a member leads.
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const row of rows) {
      const { sid, pgid } = posix(row);
      if (members.has(row.ppid) || (sid !== null && members.has(sid)) || members.has(pgid)) add(row);
    }
  }
  leaveOutOthers(members, own, query);
  return Array.from(members.values(), (row) => ({ row, proof: own.has(row.pid) ? "by itself" : "by others" }));
}

/**
 * Removes processes of other nodes. A node that was started from inside this one has another attempt. But if its server has
 * cleared its environment, and this node's main process adopts orphans (a subreaper, `tini -s`), it looks like a descendant
 * of this node. The records of all nodes are read only if a process is in doubt: without a proof of its own, not proven
 * earlier, and not in a session of this node. (Test: "a node inside a subreaper".)
 */
function leaveOutOthers(members: Map<number, ProcessRow>, own: Set<number>, query: MemberQuery): void {
  const sessions = new Set(query.processes.map(({ pid }) => pid));
  const isIn = (row: ProcessRow, leaders: Set<number>) => {
    const { sid } = posix(row);
    return sid !== null && leaders.has(sid);
  };
  const isDoubtful = (row: ProcessRow) => !own.has(row.pid) && !isIn(row, sessions) && !query.isProven(row);
  const doubtful = [...members.values()].filter(isDoubtful);
  if (doubtful.length === 0 || query.others === null) return;
  const others = new Set(query.others().filter((identity) => query.scan.find(identity) !== null).map(({ pid }) => pid));
  // A process belongs to the same node as its nearest ancestor that belongs to any.
  const isOthers = (row: ProcessRow | undefined, depth: number): boolean => {
    if (row === undefined || own.has(row.pid) || depth > members.size) return false;
    return others.has(row.pid) || isIn(row, others) || isOthers(members.get(row.ppid), depth + 1);
  };
  if (others.size === 0) return;
  for (const row of doubtful.filter((each) => isOthers(each, 0))) members.delete(row.pid);
}

/**
 * Members of the session and group that a dead process led. While a member is alive, the kernel does not reuse the number;
 * but it may have done so before they were born. So the session is the node's only if a member proves it: by its
 * environment, or by writing to the node's log, which the launcher opened.
 */
function leaderless(
  rows: ProcessWithVariable[],
  leader: Identity,
  { query, proofs, holdsOurs }: {
    query: MemberQuery;
    proofs: Proofs;
    holdsOurs: (row: ProcessWithVariable) => boolean;
  },
): ProcessWithVariable[] {
  const isIn = (row: ProcessRow) => posix(row).sid === leader.pid || posix(row).pgid === leader.pid;
  const inSession = rows.filter((row) => isIn(row) && row.pid !== leader.pid);
  // Another process is the leader now: the pid was reused.
  if (rows.some((row) => row.pid === leader.pid)) return [];
  // While its zombie exists, the pid is certainly still the leader's.
  const zombie = query.scan.read(leader.pid);
  const isZombie = zombie !== null && proofs.sameStart(zombie.startTime, leader.startTime);
  const isProven = isZombie || inSession.some((row) => holdsOurs(row) || proofs.writesTo(row.pid, query.log.isLog));
  return isProven ? inSession : [];
}

/** Most scans for processes of a session that is killed: they may fork meanwhile. */
const SESSION_SCANS = 5;

/**
 * Kills the whole session of this leader, all its process groups included. The session id is only valid while the leader is
 * alive, so the leader's own group goes last.
 */
export function killSession(leader: Identity, { find, list, signal }: Killing): void {
  const isThere = () => {
    const row = find(leader);
    return row !== null && posix(row).pgid === leader.pid;
  };
  try {
    for (let tries = 0; tries < SESSION_SCANS && isThere(); tries++) {
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
    if (!(error instanceof Deno.errors.NotFound)) throw error; // not found: it has exited meanwhile
  }
}

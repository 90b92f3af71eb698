/**
 * Scans of the system, passed as values: one that reads the system at each question, or a snapshot for several questions.
 *
 * @module
 */
import { findLive, isPlausiblePid, requireSight, system } from "./system.ts";
import type { Identity, ListenerRow, ProcessRow, ProcessWithVariable } from "./rows.ts";
import type { Scan, System } from "./types.ts";

/** A system as it is now: each question is answered by a new scan. */
export function scanLive(by: System): Scan {
  const { read, environment, list, listAsync } = by.processes;
  return {
    takenAtMs: null,
    read,
    find: (identity) => findLive(identity, by),
    environment,
    list,
    listAsync,
    get sockets() {
      return by.sockets;
    },
  };
}

/** This system as it is now. */
export const live: Scan = scanLive(system);

/** So many single processes are read before all of them are listed. */
const FEW = 20;

/**
 * A snapshot of processes and listeners, for commands that report on many nodes: otherwise the system would be read once for
 * each node. It is taken piece by piece, as it is asked for. A command that acts on the result, or reports that something is
 * gone, must scan again.
 *
 * @param variable the variable that will be requested
 */
export function scanOnce(variable: string): Scan {
  requireSight();
  const { sameStart } = system.processes;
  let all: Map<number, ProcessWithVariable> | null = null;
  const list = () => all ??= new Map(live.list(variable).map((row) => [row.pid, row]));
  const few = new Map<number, ProcessRow | null>();
  const read = (pid: number) => {
    if (all !== null || few.size >= FEW) return list().get(pid) ?? null;
    if (!few.has(pid)) few.set(pid, live.read(pid));
    return few.get(pid)!;
  };
  let table: Promise<ListenerRow[] | null> | null = null;
  const inodes = new Map<number, Set<number> | null>();
  const { sockets } = live;
  return {
    takenAtMs: Date.now(),
    read,
    find({ pid, startTime }: Identity) {
      const row = isPlausiblePid(pid) ? read(pid) : null;
      return row !== null && row.isAlive && sameStart(row.startTime, startTime) ? row : null;
    },
    environment: (pid, name) =>
      name === variable && all !== null ? all.get(pid)?.value ?? null : live.environment(pid, name),
    list: (name) => name === variable ? [...list().values()] : live.list(name),
    listAsync: (name) => name === variable ? Promise.resolve([...list().values()]) : live.listAsync(name),
    sockets: sockets === null ? null : {
      ...sockets,
      list: () => table ??= sockets.list(),
      socketsOf(pid) {
        if (!inodes.has(pid)) inodes.set(pid, sockets.socketsOf(pid));
        return inodes.get(pid)!;
      },
    },
  };
}

/**
 * Reads the system at each question, but concurrent callers share one scan of all processes. It begins after the last
 * of them has asked.
 */
export function scanTogether(): Scan {
  const next = new Map<string, Promise<ProcessWithVariable[]>>();
  return {
    ...live,
    listAsync(variable) {
      const scan = next.get(variable) ?? Deno.lstat("/").then(() => { // gives way to the other callers first
        next.delete(variable);
        return live.listAsync(variable);
      });
      next.set(variable, scan);
      return scan;
    },
  };
}

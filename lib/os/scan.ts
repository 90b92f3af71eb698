/**
 * Where questions about who is there are answered from: the system as it is at each question, or a look that several
 * questions share. A value that is passed to whoever asks.
 *
 * @module
 */
import { findLive, isPlausiblePid, requireSight, system } from "./system.ts";
import type { Identity, ListenerRow, ProcessWithVariable } from "./rows.ts";
import type { Scan } from "./types.ts";

/** The system as it is: each question is a look of its own. */
export const live: Scan = {
  takenAtMs: null,
  read: system.processes.read,
  find: findLive,
  environment: system.processes.environment,
  list: system.processes.list,
  look: system.processes.look,
  get sockets() {
    return system.sockets;
  },
};

/**
 * One look at the processes and listeners, for commands that only tell and have many nodes to tell of: asked node by
 * node, the system would be read as often as there are nodes. Whoever acts on what it sees has to look itself, and so has
 * whoever says that something is gone: it may have come since.
 *
 * @param variable the variable of processes that will be asked for
 */
export function scanOnce(variable: string): Scan {
  requireSight();
  const { sameStart } = system.processes;
  const takenAtMs = Date.now();
  const rows = live.list(variable);
  const byPid = new Map<number, ProcessWithVariable>(rows.map((row) => [row.pid, row]));
  let table: Promise<ListenerRow[] | null> | null = null;
  const inodes = new Map<number, Set<number> | null>();
  const { sockets } = live;
  return {
    takenAtMs,
    read: (pid) => byPid.get(pid) ?? null,
    find({ pid, startTime }: Identity) {
      const row = isPlausiblePid(pid) ? byPid.get(pid) : undefined;
      return row !== undefined && row.isAlive && sameStart(row.startTime, startTime) ? row : null;
    },
    environment: (pid, name) => name === variable ? byPid.get(pid)?.value ?? null : live.environment(pid, name),
    list: (name) => name === variable ? rows : live.list(name),
    look: (name) => name === variable ? Promise.resolve(rows) : live.look(name),
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
 * The system as it is, but those who look at all processes at about the same time share one look. It begins after
 * everybody has asked who gets it.
 */
export function scanTogether(): Scan {
  const next = new Map<string, Promise<ProcessWithVariable[]>>();
  return {
    ...live,
    look(variable) {
      const look = next.get(variable) ?? Deno.lstat("/").then(() => { // a turn of the event loop, in which the others ask
        next.delete(variable);
        return live.look(variable);
      });
      next.set(variable, look);
      return look;
    },
  };
}

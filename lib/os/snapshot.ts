/**
 * One look at the processes and listeners, for commands that only tell and have many nodes to tell of: asked node by
 * node, the system would be read as often as there are nodes.
 *
 * @module
 */
import type { ListenerRow, ProcessWithVariable, System } from "./types.ts";

/** A system that answers from one look at another. What is done by it, it does not see. */
export function snapshotOf(system: System, variable: string): System {
  const { processes, sockets } = system;
  const rows = processes.list(variable);
  const byPid = new Map<number, ProcessWithVariable>(rows.map((row) => [row.pid, row]));
  let table: Promise<ListenerRow[]> | null = null;
  const inodes = new Map<number, Set<number> | null>();
  return {
    ...system,
    processes: {
      ...processes,
      read: (pid) => byPid.get(pid) ?? null,
      look: (name) => name === variable ? Promise.resolve(rows) : processes.look(name),
      list: (name) => name === variable ? rows : processes.list(name),
      environment: (pid, name) => name === variable ? byPid.get(pid)?.value ?? null : processes.environment(pid, name),
    },
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

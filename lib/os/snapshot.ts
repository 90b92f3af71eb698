/**
 * One look at the processes and listeners, for commands that only tell and have many nodes to tell of: asked node by
 * node, the system would be read as often as there are nodes.
 *
 * @module
 */
import type { ListenerRow, Platform, ProcessWithVariable } from "./types.ts";

/** A platform that answers from one look at another. What is done by it, it does not see. */
export function snapshotOf(platform: Platform, variable: string): Platform {
  const rows = platform.list(variable);
  const byPid = new Map<number, ProcessWithVariable>(rows.map((row) => [row.pid, row]));
  const listeners = platform.listeners;
  let sockets: Promise<ListenerRow[]> | null = null;
  const inodes = new Map<number, Set<number> | null>();
  return {
    ...platform,
    read: (pid) => byPid.get(pid) ?? null,
    look: (name) => name === variable ? Promise.resolve(rows) : platform.look(name),
    list: (name) => name === variable ? rows : platform.list(name),
    environment: (pid, name) => name === variable ? byPid.get(pid)?.value ?? null : platform.environment(pid, name),
    listeners: listeners === null ? null : {
      ...listeners,
      list: () => sockets ??= listeners.list(),
      socketsOf(pid) {
        if (!inodes.has(pid)) inodes.set(pid, listeners.socketsOf(pid));
        return inodes.get(pid)!;
      },
    },
  };
}

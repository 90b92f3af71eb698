/**
 * The operating system as the rest of the tool sees it: identity, liveness and signals. Every branch on the platform
 * is decided here; the modules beside this one hold the knowledge.
 *
 * @module
 */
import { tombstoneError } from "../errors.ts";
import { linux } from "./linux/system.ts";
import { posix } from "./posix/system.ts";
import type { Identity, ProcessRow } from "./rows.ts";
import type { System } from "./types.ts";

/** Largest pid that a Linux kernel hands out (`PID_MAX_LIMIT`, 2^22). */
const PID_MAX = 4_194_304;

/** Whether this may be the pid of a server: never 0, 1, negative, fractional or too large. */
export function isPlausiblePid(pid: unknown): pid is number {
  return typeof pid === "number" && Number.isInteger(pid) && pid > 1 && pid <= PID_MAX;
}

/**
 * The live process that this identity names, or `null`: gone, a zombie, a thread, or a later process
 * to which the pid was given.
 */
export function findLive(identity: Identity): ProcessRow | null {
  const { read, sameStart } = system.processes;
  const row = isPlausiblePid(identity.pid) ? read(identity.pid) : null;
  return row !== null && row.isAlive && sameStart(row.startTime, identity.startTime) ? row : null;
}

/**
 * Start time of a process that could not be looked at. It matches no live process: the number then stands only for the
 * session and group that it led.
 */
export const UNKNOWN_START: number = -1;

/** How often a child is looked at before it counts as one that cannot be. */
const LOOKS = 3;

/**
 * The identity of a child that was just spawned and has not been waited for, so that the number is certainly its own. It
 * is there, so a look that fails is repeated. (`deno task crash` lets looks fail.)
 */
export function identityOfChild(pid: number): Identity {
  for (let look = 0; look < LOOKS; look++) {
    const row = system.processes.read(pid);
    if (row !== null) return { pid, startTime: row.startTime };
  }
  return { pid, startTime: UNKNOWN_START };
}

/**
 * Sends a signal to a process if, at this moment, it is still the one that the identity names.
 *
 * @returns whether it was sent; `false` when the process is gone or belongs to somebody else
 */
export function signal(identity: Identity, name: Deno.Signal): boolean {
  return findLive(identity) !== null &&
    system.processes.signal(identity.pid, name, () => findLive(identity) !== null);
}

/** Resolves when one of these processes has ended, or after `ms` milliseconds at most; perhaps earlier. */
export function untilOneEnds(processes: Identity[], ms: number): Promise<void> {
  return system.processes.untilOneEnds(processes.map(({ pid }) => pid), ms);
}

/**
 * Kills a process that was spawned detached, with all that it leads.
 *
 * @param variable any variable, for the look at all processes
 */
export function killDetached(leader: Identity, variable: string): void {
  system.processes.killDetached(leader, { find: findLive, list: () => system.processes.list(variable), signal });
}

/** The operating system; `TOMBSTONE_PLATFORM=posix` forces the portable back end for tests. */
export const system: System = Deno.build.os !== "linux" || Deno.env.get("TOMBSTONE_PLATFORM") === "posix"
  ? posix
  : linux;

let hasSight = false;

/**
 * Insists that pids mean here what the system says of them: every other look would tell of the wrong processes.
 *
 * @throws {TombstoneError} they do not
 */
export function requireSight(): void {
  const blindness = hasSight ? null : system.host.blindness();
  hasSight = blindness === null;
  if (blindness === null) return;
  throw tombstoneError(`Cannot tell processes apart: ${blindness}, and this process is pid ${Deno.pid}`, {
    kind: "state",
    hint: "mount -t proc proc /proc, in the same namespaces (unshare has --mount-proc for it)",
  });
}

/**
 * Requires an operating system with a back end.
 *
 * @throws {TombstoneError} there is none yet
 */
export function requireSystem(action: string): void {
  if (Deno.build.os !== "windows") return;
  throw tombstoneError(`Cannot ${action}: tombstone does not run on Windows yet`, {
    kind: "unsupported",
    hint: "use it inside WSL",
  });
}

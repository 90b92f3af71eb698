/**
 * The operating system as the rest of the tool sees it. Chooses the back end, and adds what all of them share:
 * identity, liveness and signals.
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
 * The live process of this identity; `null` if it is gone or a zombie, or if its pid is a thread's or was reused.
 */
export function findLive(identity: Identity, by: System = system): ProcessRow | null {
  const { read, sameStart } = by.processes;
  const row = isPlausiblePid(identity.pid) ? read(identity.pid) : null;
  return row !== null && row.isAlive && sameStart(row.startTime, identity.startTime) ? row : null;
}

/**
 * Start time of a process that could not be read. It matches no live process; the pid then stands only for the session
 * and group that it led.
 */
export const UNKNOWN_START: number = -1;

/** How often a failed read of a child is repeated. */
const MOST_TRIES = 3;

/**
 * The identity of a child that was just spawned and not waited for, so its pid cannot have been reused. It exists, so a
 * failed read is repeated. (`deno task crash` makes reads fail.)
 */
export function identityOfChild(pid: number): Identity {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const row = system.processes.read(pid);
    if (row !== null) return { pid, startTime: row.startTime };
  }
  return { pid, startTime: UNKNOWN_START };
}

/**
 * Sends a signal to a process if its pid still stands for this identity.
 *
 * @returns whether it was sent; `false` if the process is gone or belongs to another user
 */
export function signal(identity: Identity, name: Deno.Signal, by: System = system): boolean {
  const isStill = () => findLive(identity, by) !== null;
  return isStill() && by.processes.signal(identity.pid, name, isStill);
}

/** The signal that asks a process to exit, unless its node names another. */
export const EXIT_SIGNAL: Deno.Signal = "SIGTERM";

/** Kills a process: it runs no more code. See {@linkcode signal}. */
export function kill(identity: Identity): boolean {
  return signal(identity, "SIGKILL");
}

/** Stops a process, so that it does nothing more until it is resumed or killed. See {@linkcode signal}. */
export function freeze(identity: Identity): boolean {
  return signal(identity, "SIGSTOP");
}

/** Resumes a process that was stopped. See {@linkcode signal}. */
export function resume(identity: Identity): boolean {
  return signal(identity, "SIGCONT");
}

/** Exit status of a process that was killed. */
export function killedStatus(): { code: number; signal: Deno.Signal } {
  return { code: system.self.exitCodeOf("SIGKILL"), signal: "SIGKILL" };
}

/** Resolves when one of these processes has exited, or after at most `ms` milliseconds; perhaps earlier. */
export function untilOneEnds(processes: Identity[], ms: number): Promise<void> {
  return system.processes.untilOneEnds(processes.map(({ pid }) => pid), ms);
}

/**
 * Kills a process that was spawned detached, with all that it leads.
 *
 * @param variable any variable, for the scan of all processes
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
 * Requires that pids here mean what the system reports about them; otherwise every result would be about other processes.
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

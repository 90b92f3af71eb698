/**
 * Signals by kill(2).
 *
 * @module
 */
import type { Self } from "../types.ts";

/** Sends a signal by pid, right after a check. */
export function signalByNumber(pid: number, name: Deno.Signal, isStill: () => boolean): boolean {
  if (!isStill()) return false;
  try {
    Deno.kill(pid, name);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

/** Time between two checks of processes that should exit, in milliseconds. */
export const SCAN_PAUSE_MS = 5;

/** Whether this user may send signals to a process; also `true` if it is gone. */
export function maySignal(pid: number): boolean {
  return ask(pid) !== "refused";
}

/** Whether this pid is in use: by a process or a zombie, on Linux also by a thread. */
export function isAnybodys(pid: number): boolean {
  return ask(pid) !== "nobody's";
}

function ask(pid: number): "allowed" | "refused" | "nobody's" {
  try {
    Deno.kill(pid, 0 as unknown as Deno.Signal); // kill(2): only asks
    return "allowed";
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return "refused";
    if (error instanceof Deno.errors.NotFound) return "nobody's";
    throw error;
  }
}

/** Numbers of signal(7) that are the same on every POSIX system. */
const NUMBERS: Partial<Record<Deno.Signal, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 };

/** What {@linkcode Self} has in common. */
export const selfByNumber: Pick<Self, "isUser" | "isStdoutFile" | "kill" | "exitCodeOf"> = {
  isUser: (user) => user === String(Deno.uid()),
  isStdoutFile() {
    try {
      return Deno.statSync("/dev/stdout").isFile;
    } catch (error) {
      if (error instanceof Error && !(error instanceof TypeError)) return false; // closed, or no such device here
      throw error;
    }
  },
  kill: () => Deno.kill(Deno.pid, "SIGKILL"),
  exitCodeOf: (name) => 128 + (NUMBERS[name] ?? 0),
};

/**
 * Signals by kill(2).
 *
 * @module
 */

/** Sends a signal by number, right after a look. */
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

/** Time between two looks at processes whose end is waited for, in milliseconds. */
export const SCAN_PAUSE_MS = 5;

/** Whether this user may send signals to a process; one that has ended refuses nobody. */
export function maySignal(pid: number): boolean {
  try {
    Deno.kill(pid, 0 as unknown as Deno.Signal); // kill(2): only asks
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

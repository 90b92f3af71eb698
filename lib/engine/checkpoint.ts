/**
 * Named steps of the protocol. `--verbose` shows them, and the tests of crash safety die at them.
 *
 * @module
 */
import type { Teller } from "./reporter.ts";

/** A point that a command passes; each marks that what its name says has just been done. */
export type Step =
  | "locked"
  | "marked"
  | "asked"
  | "ended"
  | "swept"
  | "tombstone-written"
  | "recovered"
  | "namespace-left"
  | "port-checked"
  | "log-rotated"
  | "spawned"
  | "waiting"
  | "port-written"
  | "committed"
  | "followed"
  | "launch-removed"
  | "tombstone-removed";

/**
 * Passes a step. With `TOMBSTONE_KILL_AT` set to its name, this process gets SIGKILL here, as a
 * crash would have it (tests/crash_test.ts).
 */
export function pass(step: Step, teller: Teller, detail = ""): void {
  teller.pass(step, detail);
  if (Deno.env.get("TOMBSTONE_KILL_AT") === step) Deno.kill(Deno.pid, "SIGKILL");
}

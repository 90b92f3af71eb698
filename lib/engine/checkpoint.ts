/**
 * Checkpoints of the protocol: `--verbose` shows them, and each is a failpoint, where the tests of crash safety kill this
 * process.
 *
 * @module
 */
import type { Reporter } from "./reporter.ts";

/** What its name says has just been done. */
export type Checkpoint =
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
 * Reports a checkpoint. It is a failpoint: with `TOMBSTONE_FAILPOINT` set to its name, this process gets SIGKILL here, as
 * in a crash (tests/crash_test.ts).
 */
export function reached(checkpoint: Checkpoint, reporter: Reporter, detail = ""): void {
  reporter.reached(checkpoint, detail);
  if (Deno.env.get("TOMBSTONE_FAILPOINT") === checkpoint) Deno.kill(Deno.pid, "SIGKILL");
}

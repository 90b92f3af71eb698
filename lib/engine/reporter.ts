/**
 * How the engine reports while it works: the command line prints, a program may do otherwise. Its checkpoints are the
 * failpoints of the crash tests, too.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { TombstoneError } from "../errors.ts";
import type { NodeDir } from "../state/node_dir.ts";

/** A point of the protocol; its name says which step has just been completed. */
export type Checkpoint =
  | "locked"
  | "marked"
  | "asked"
  | "ended"
  | "swept"
  | "released"
  | "tombstone-written"
  | "lease-written"
  | "recovered"
  | "namespace-left"
  | "port-recorded"
  | "port-claimed"
  | "port-checked"
  | "log-rotated"
  | "spawned"
  | "waiting"
  | "port-written"
  | "committed"
  | "followed"
  | "recorded"
  | "launch-removed"
  | "tombstone-removed";

/** What a recovery found and did, for messages and JSON documents. */
export interface Recovered {
  /** Why something had to be undone. */
  reason:
    | "interrupted-start"
    | "interrupted-run"
    | "lease-over"
    | "died"
    | "rebooted"
    | "removed-state"
    | "unreadable-state"
    | "elsewhere";
  /** Attempt that left it; `null` if unknown. */
  attempt: string | null;
  /** Pid of its starter; `null` if unknown. */
  starter: number | null;
  /** When it began, ISO 8601; `null` if unknown. */
  begun_at: string | null;
  /** How far it came. */
  progress: "before-spawn" | "spawned" | "committed";
  /** Processes terminated. */
  pids: number[];
  /** Those of them that did not exit when asked, and were killed. */
  killed: number[];
  /** Files removed: names within the node's directory, full paths of declared ones. */
  files: string[];
}

/** A wait that is shown until it is disposed. */
export interface Waiting extends Disposable {
  /** Shows what it is waiting for now. */
  update(states: string[]): void;
}

/** Receives messages while a command works. */
export interface Reporter {
  /** A problem that does not fail the command. */
  warn(text: string): void;
  /** An error that does not end the command. */
  error(error: TombstoneError): void;
  /** A message about progress. */
  info(text: string): void;
  /** A detail, for `--verbose`. */
  debug(text: string): void;
  /** A checkpoint of the protocol has been reached. */
  reached(checkpoint: Checkpoint, detail: string): void;
  /** Begins to wait for a node. */
  wait(dir: NodeDir): Waiting;
  /** What was found and undone. */
  recovered(node: string, what: Recovered): void;
}

/**
 * Reports a checkpoint. It is a failpoint: with `TOMBSTONE_FAILPOINT` set to its name, this process gets SIGKILL here, as
 * in a crash (tests/crash_test.ts).
 */
export function reached(checkpoint: Checkpoint, reporter: Reporter, detail = ""): void {
  reporter.reached(checkpoint, detail);
  if (Deno.env.get("TOMBSTONE_FAILPOINT") === checkpoint) system.self.kill();
}

/**
 * How the engine reports while it works. The command line prints; a program may do otherwise.
 *
 * @module
 */
import type { TombstoneError } from "../errors.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Recovered } from "./recover.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Something that takes its time, told as long as it is not disposed. */
export interface Waiting extends Disposable {
  /** What is waited for now, in words. */
  update(states: string[]): void;
}

/** Receives what is worth telling while a command works. */
export interface Reporter {
  /** Something that people should know. */
  warn(text: string): void;
  /** A failure that does not end the command. */
  error(error: TombstoneError): void;
  /** What it does now. */
  info(text: string): void;
  /** Something for those who want to know more, for `--verbose`. */
  debug(text: string): void;
  /** A checkpoint of the protocol has been reached. */
  reached(checkpoint: Checkpoint, detail: string): void;
  /** A node is waited for. */
  wait(dir: NodeDir): Waiting;
  /** What was found and undone. */
  recovered(node: string, what: Recovered): void;
}

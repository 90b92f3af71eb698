/**
 * How the lifecycle reports while it works. The command line prints; a program may do otherwise.
 *
 * @module
 */
import type { TombstoneError } from "../errors.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Recovered } from "./recover.ts";
import type { Step } from "./checkpoint.ts";

/** Something that takes its time, told as long as it is not disposed. */
export interface Waiting extends Disposable {
  /** What is waited for now, in words. */
  update(states: string[]): void;
}

/** Receives what is worth telling while a command works. */
export interface Teller {
  /** Something that people should know. */
  warn(text: string): void;
  /** A failure that does not end the command. */
  alarm(error: TombstoneError): void;
  /** What it does now. */
  tell(text: string): void;
  /** Something for those who want to know more, for `--verbose`. */
  note(text: string): void;
  /** A step of the protocol has been done. */
  pass(step: Step, detail: string): void;
  /** A node is waited for. */
  wait(dir: NodeDir): Waiting;
  /** What was found and undone. */
  recovered(node: string, what: Recovered): void;
}

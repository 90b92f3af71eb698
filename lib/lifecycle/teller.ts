/**
 * How the lifecycle reports while it works. The command line prints; a program may do otherwise.
 *
 * @module
 */
import type { TombstoneError } from "../errors.ts";
import type { Recovered } from "./recover.ts";

/** Receives what is worth telling while a command works. */
export interface Teller {
  /** Something that people should know. */
  warn(text: string): void;
  /** A failure that does not end the command. */
  alarm(error: TombstoneError): void;
  /** What it does now, or waits for. */
  tell(text: string): void;
  /** A step of the protocol, for `--verbose`. */
  step(text: string): void;
  /** What was found and undone. */
  recovered(node: string, what: Recovered): void;
}

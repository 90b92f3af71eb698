/**
 * What can go wrong, as classes. Each has the exit code that the command line would end with.
 *
 * @module
 */
import { type ErrorKind, TombstoneError } from "../errors.ts";

export { type ErrorKind, EXIT, TombstoneError, type TombstoneErrorOptions } from "../errors.ts";

/** The class of an error is decided by its kind, wherever it was made. */
function isOfKind(error: unknown, ...kinds: ErrorKind[]): boolean {
  return error instanceof TombstoneError && kinds.includes(error.kind);
}

/** An option or field is wrong; exit code 2. */
export class UsageError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "usage");
  }
}

/** The command is not there, or cannot be executed; exit code 127 or 126. */
export class CommandError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "command-not-found", "command-not-executable");
  }
}

/** The server exited before it was ready; `logTail` has its last words; exit code 1. */
export class ServerExitedError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "server-exited");
  }
}

/** A line of the server's log matched one of `probes.failLog`; `details.line` has it; exit code 1. */
export class FailedLogError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "failed-log");
  }
}

/** The server was not ready in time; nothing of it runs; exit code 124. */
export class NotReadyError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "not-ready");
  }
}

/** The node runs already with another command, directory, port or host; `details.differs` says which; exit code 1. */
export class DifferentRunningError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "different-running");
  }
}

/** Somebody else listens on the port, `details.owner_pid` says who; exit code 5. */
export class PortInUseError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "port-in-use");
  }
}

/** Another program works on the node, and did not end in time; exit code 6. */
export class LockTimeoutError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "lock-timeout");
  }
}

/** State cannot be read, written or judged; exit code 4. */
export class StateError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "state", "foreign-state");
  }
}

/** Something of the node could not be stopped; exit code 1. */
export class StopFailedError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "stop-failed");
  }
}

/** The start was aborted by its signal, and undone. */
export class AbortedError extends TombstoneError {
  /** Whether an error is one. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isOfKind(error, "signalled");
  }
}

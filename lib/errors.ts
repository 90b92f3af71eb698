/**
 * Errors that are expected: something a user, a disk or a foreign process caused. Everything else that is thrown is a bug
 * and keeps its stack.
 *
 * {@linkcode KINDS} has every kind with its exit code and its class; {@linkcode tombstoneError} makes all of them.
 *
 * @module
 */

/** Process exit codes; scripts rely on them. `128 + n` stands for signal `n`. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  nothing: 3,
  state: 4,
  portInUse: 5,
  lockTimeout: 6,
  notReady: 124,
  notExecutable: 126,
  notFound: 127,
} as const;

/** The signals that make a command clean up and exit, with their numbers of signal(7). */
export const END_SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** The one for a terminal that has closed. */
export const HANG_UP: keyof typeof END_SIGNALS = "SIGHUP";

/** What went wrong, as the `kind` of the JSON error document. */
export type ErrorKind =
  | "usage"
  | "command-not-found"
  | "command-not-executable"
  | "server-exited"
  | "failed-log"
  | "not-ready"
  | "different-running"
  | "port-in-use"
  | "lock-timeout"
  | "state"
  | "foreign-state"
  | "nothing-there"
  | "stop-failed"
  | "signalled"
  | "unsupported";

/** The parts of a {@linkcode TombstoneError} other than its message. */
export interface TombstoneErrorOptions {
  /** What went wrong, for programs. The exit code follows from it. */
  kind: ErrorKind;
  /** The command or flag that helps, for people; without the `hint:` prefix. */
  hint: string;
  /** More facts for the JSON document, snake_case names. */
  details?: Record<string, unknown>;
  /** The last lines of the server's log, when they explain the error. */
  logTail?: string[];
  /** Where the whole log is. */
  logPath?: string | null;
  /** The error that this one explains. */
  cause?: unknown;
}

/** An expected failure: one line that names action, object and state, and one hint. */
export abstract class TombstoneError extends Error {
  /** What went wrong, for programs. */
  readonly kind: ErrorKind;
  /** The command or flag that helps. */
  readonly hint: string;
  /** Exit code of the process. */
  readonly exitCode: number;
  /** More facts for the JSON document. */
  readonly details: Record<string, unknown>;
  /** The last lines of the server's log. */
  readonly logTail: string[];
  /** Path of that log; `null` if it explains nothing. */
  readonly logPath: string | null;

  /** Makes an expected failure from its message line and the other parts. */
  constructor(message: string, options: TombstoneErrorOptions) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.kind = options.kind;
    this.hint = options.hint;
    this.details = options.details ?? {};
    this.logTail = options.logTail ?? [];
    this.logPath = options.logPath ?? null;
    this.exitCode = exitCodeOf(this.kind, this.details);
  }
}

/** An option or field is wrong. */
export class UsageError extends TombstoneError {}

/** The command was not found, or cannot be executed. */
export class CommandError extends TombstoneError {}

/** The server ended before it was ready; `logTail` has its last words. */
export class ServerExitedError extends TombstoneError {}

/** A line of the server's log matched one of `probes.failLog`; `details.line` has it. */
export class FailedLogError extends TombstoneError {}

/** The server was not ready in time; nothing of it runs. */
export class NotReadyError extends TombstoneError {}

/** The node already runs with another command, directory, port or host; `details.differs` says which. */
export class DifferentRunningError extends TombstoneError {}

/** Another process listens on the port or socket; `details.owner_pid` says which. */
export class PortInUseError extends TombstoneError {}

/** Another program works on the node, and did not finish in time. */
export class LockTimeoutError extends TombstoneError {}

/** State cannot be read, written or interpreted. */
export class StateError extends TombstoneError {}

/** There is nothing to act on. */
export class NothingThereError extends TombstoneError {}

/** Some process of the node could not be stopped. */
export class StopFailedError extends TombstoneError {}

/** A signal or an `AbortSignal` ended it, and everything it had begun was undone. */
export class AbortedError extends TombstoneError {}

/** This platform, or a permission that is not given, does not allow it. */
export class UnsupportedError extends TombstoneError {}

/** What belongs to a kind of failure. */
export interface Kind {
  /** Exit code of the process. */
  exitCode: number | "128 + n";
  /** When it comes, in words. */
  meaning: string;
  /** Its class. */
  class: new (message: string, options: TombstoneErrorOptions) => TombstoneError;
}

/** Every kind of failure, by exit code. */
export const KINDS: Readonly<Record<ErrorKind, Kind>> = {
  "server-exited": {
    exitCode: EXIT.failed,
    class: ServerExitedError,
    meaning: "the server ended before it was ready, or during `wait`",
  },
  "failed-log": { exitCode: EXIT.failed, class: FailedLogError, meaning: "a line of its log matches `--fail-log`" },
  "different-running": {
    exitCode: EXIT.failed,
    class: DifferentRunningError,
    meaning: "the node already runs with another command, directory, port or host",
  },
  "stop-failed": { exitCode: EXIT.failed, class: StopFailedError, meaning: "a process could not be stopped" },
  "unsupported": {
    exitCode: EXIT.failed,
    class: UnsupportedError,
    meaning: "this platform or a missing permission does not allow it",
  },
  "usage": {
    exitCode: EXIT.usage,
    class: UsageError,
    meaning: "a wrong command line or option, or a mistake in `tombstone.json`",
  },
  "nothing-there": { exitCode: EXIT.nothing, class: NothingThereError, meaning: "there is nothing to act on" },
  "state": { exitCode: EXIT.state, class: StateError, meaning: "state cannot be read, written or judged" },
  "foreign-state": {
    exitCode: EXIT.state,
    class: StateError,
    meaning: "the state was written on another host or in another pid namespace",
  },
  "port-in-use": { exitCode: EXIT.portInUse, class: PortInUseError, meaning: "another process listens there" },
  "lock-timeout": {
    exitCode: EXIT.lockTimeout,
    class: LockTimeoutError,
    meaning: "another tombstone command works on the node",
  },
  "not-ready": { exitCode: EXIT.notReady, class: NotReadyError, meaning: "the node was not ready in time" },
  "command-not-executable": {
    exitCode: EXIT.notExecutable,
    class: CommandError,
    meaning: "the command cannot be executed",
  },
  "command-not-found": { exitCode: EXIT.notFound, class: CommandError, meaning: "the command was not found" },
  "signalled": { exitCode: "128 + n", class: AbortedError, meaning: "ended by signal n, or by an `AbortSignal` (130)" },
};

/** Exit code of a kind. An abort by a program has that of Ctrl-C. */
function exitCodeOf(kind: ErrorKind, details: Record<string, unknown>): number {
  const { exitCode } = KINDS[kind];
  if (exitCode !== "128 + n") return exitCode;
  return 128 + END_SIGNALS[(details.signal ?? "SIGINT") as keyof typeof END_SIGNALS];
}

/**
 * An expected failure, of the class that goes with its kind.
 *
 * @example
 * ```ts
 * import { NothingThereError, tombstoneError } from "./errors.ts";
 *
 * const error = tombstoneError('Cannot stop "web": no such node', { kind: "nothing-there", hint: "tombstone list" });
 * if (!(error instanceof NothingThereError) || error.exitCode !== 3) throw error;
 * ```
 */
export function tombstoneError(message: string, options: TombstoneErrorOptions): TombstoneError {
  return new KINDS[options.kind].class(message, options);
}

/** The same failure with another message; parts that are not given stay as they are. */
export function retold(
  error: TombstoneError,
  changes: Partial<Omit<TombstoneErrorOptions, "kind">> & { message?: string },
): TombstoneError {
  const { kind, hint, details, logTail, logPath, cause } = error;
  return tombstoneError(changes.message ?? error.message, { kind, hint, details, logTail, logPath, cause, ...changes });
}

/** A wrong call of the command line: exit code 2. */
export function usageError(message: string, hint: string): TombstoneError {
  return tombstoneError(message, { kind: "usage", hint });
}

/**
 * The one class of error that the tool expects: something a user, a disk or a
 * foreign process caused. Everything else that is thrown is a bug and keeps its stack.
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

/** What went wrong, as the `kind` of the JSON error document. */
export type ErrorKind =
  | "usage"
  | "command-not-found"
  | "command-not-executable"
  | "server-exited"
  | "not-ready"
  | "port-in-use"
  | "lock-timeout"
  | "state"
  | "foreign-state"
  | "nothing-there"
  | "stop-failed"
  | "signalled"
  | "unsupported";

/** Parts of a {@linkcode TombstoneError} besides its message. */
export interface TombstoneErrorOptions {
  /** What went wrong, for programs. */
  kind: ErrorKind;
  /** The command or flag that helps, for people; without the `hint:` prefix. */
  hint: string;
  /** Exit code of the process. */
  exitCode: number;
  /** More facts for the JSON document, snake_case names. */
  details?: Record<string, unknown>;
  /** The last lines of the server's log, when they explain the error. */
  logTail?: string[];
  /** Where the whole log is. */
  logPath?: string;
  /** The error that this one explains. */
  cause?: unknown;
}

/**
 * An expected failure: one line that names action, object and state, and one hint.
 *
 * @example
 * ```ts
 * import { EXIT, TombstoneError } from "./errors.ts";
 *
 * const error = new TombstoneError('Cannot stop "web": no such node', {
 *   kind: "nothing-there",
 *   hint: "tombstone list",
 *   exitCode: EXIT.nothing,
 * });
 * if (error.exitCode !== 3) throw error;
 * ```
 */
export class TombstoneError extends Error {
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
    this.name = "TombstoneError";
    this.kind = options.kind;
    this.hint = options.hint;
    this.exitCode = options.exitCode;
    this.details = options.details ?? {};
    this.logTail = options.logTail ?? [];
    this.logPath = options.logPath ?? null;
  }
}

/** A wrong call of the command line: exit code 2. */
export function usageError(message: string, hint: string): TombstoneError {
  return new TombstoneError(message, { kind: "usage", hint, exitCode: EXIT.usage });
}

/** The errno name (`ENOSPC`, `EACCES`, …) of an operating-system error, or `null`. */
export function errnoOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return error instanceof Error && typeof code === "string" ? code : null;
}

/** In words, what an errno says about a file. */
const STATES: Record<string, string> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is exhausted",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  ENOTEMPTY: "it is a directory that is not empty",
  ENOENT: "no such file or directory",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  EMFILE: "too many open files",
  EIO: "input/output error",
  EILSEQ: "its real path is not valid UTF-8",
};

/**
 * Turns an operating-system error at a state file into an expected one that names the file.
 * Anything without an errno is a bug and comes back as it is.
 */
export function stateError(action: string, path: string, error: unknown): unknown {
  // Deno has no other way to say that it cannot give a name as text.
  const isNoText = error instanceof Deno.errors.InvalidData;
  const errno = isNoText ? "EILSEQ" : errnoOf(error);
  if (errno === null) return error;
  const state = STATES[errno] ?? errno;
  return new TombstoneError(`Cannot ${action} "${path}": ${state}`, {
    kind: "state",
    hint: errno === "ENOSPC" || errno === "EDQUOT"
      ? "make room on that disk, or choose another place with --state-dir"
      : "make the path usable for this user, or choose another place with --state-dir",
    exitCode: EXIT.state,
    details: { path, errno },
    cause: error,
  });
}

/**
 * The limits of a back end.
 *
 * @module
 */

/**
 * Abilities that a back end may lack. It must list these in its limits: the contract tests (tests/contract_test.ts)
 * skip only what is listed.
 */
export type Ability =
  /** Distinguishes a process from a later one with the same pid, however soon that comes. */
  | "exact-start"
  /** Catches a process that becomes another one every few milliseconds. */
  | "restless"
  /** Knows the sessions of processes. */
  | "sessions"
  /** Sees a variable of a process's environment. */
  | "environment"
  /** Finds the owner of a listening socket. */
  | "owners"
  /** Finds the owner of a listening socket among processes of other users, too. */
  | "owners-of-others"
  /** Finds the unix socket behind any path. */
  | "unix-paths"
  /** Knows that no process has a file open for writing. */
  | "no-writer"
  /** Knows the signal handling of processes. */
  | "signal-state"
  /** Keeps a chosen port from other starters. */
  | "claims"
  /** Knows that nobody reads its output any more, without writing some. */
  | "reader"
  /** Has sockets for `--notify`. */
  | "ready-channel";

/** What a back end cannot do, each in words that complete "this platform ". */
export type Limits = Readonly<Partial<Record<Ability, string>>>;

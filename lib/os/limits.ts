/**
 * What a back end says it cannot do.
 *
 * @module
 */

/**
 * What a back end may be unable to do. It says so in its limits, and the tests of the contract (tests/contract_test.ts)
 * leave out what it says it cannot do, and nothing else.
 */
export type Ability =
  /** Tells a process from a later one of the same number, however soon that comes. */
  | "exact-start"
  /** Tells which processes are of one session. */
  | "sessions"
  /** Sees a variable of a process's environment. */
  | "environment"
  /** Tells who holds a listening socket. */
  | "owners"
  /** Tells who holds a listening socket, of other users' processes, too. */
  | "owners-of-others"
  /** Finds the unix socket behind any path. */
  | "unix-paths"
  /** Tells that nobody has a file open for writing. */
  | "no-writer"
  /** Tells what a process does about signals. */
  | "signal-state"
  /** Keeps a chosen port from other starters. */
  | "claims"
  /** Hears what a server says of itself. */
  | "ready-channel";

/** What a back end cannot do, each in words that complete "this platform ". */
export type Limits = Readonly<Partial<Record<Ability, string>>>;

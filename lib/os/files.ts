/**
 * Files: whose they are, who uses them; and what helps, as it is typed.
 *
 * @module
 */

/** What is known of files beyond what Deno tells. */
export interface Files {
  /**
   * Whether anybody has a file of this user's open for writing, processes of other pid namespaces included; `null` where
   * that cannot be told.
   */
  hasWriter(path: string): boolean | null;
  /** Who holds the lock on a file, for messages; `null` if nobody does or it cannot be told. */
  lockHolder(path: string): number | null;
  /** Whether a directory has been deleted. What cannot be told counts as not deleted; so does one that was made anew. */
  isGone(path: string, witness: Witness): boolean;
  /** Options with which a file is made that is this user's alone. */
  readonly privateFile: { mode?: number };
  /** The same for a directory. */
  readonly privateDirectory: { mode?: number };
  /** In words, whose a file is; `null`: this user's, or nobody can tell. */
  ownerIfOther(info: Deno.FileInfo): string | null;
  /** Whether other users may write to it. */
  isWritableByOthers(info: Deno.FileInfo): boolean;
  /** Who may do what with it, for messages. */
  modeOf(info: Deno.FileInfo): string;
  /** Gives a file of this user's the rights back without which he cannot use it himself. */
  makeUsable(path: string, info: Deno.FileInfo): void;
  /** Where programs keep their state, below the user's own directory. */
  stateHome(): string;
}

/** What else is known of a directory that may be gone. */
export interface Witness {
  /** A living process that was started there; `null` if none is known. */
  pid: number | null;
  /** Whether the directory was seen in the mount namespace of this process. */
  view: "own" | "other";
}

/** What helps on this system, as it is typed, for the hints of errors. */
export interface Hints {
  /** Where too many files are open. */
  readonly openFiles: string;
  /** Where files may not be as large. */
  readonly fileSizes: string;
  /** Tells of a file or directory, and who may do what with it. */
  describe(path: string): string;
  /** Tells what is in a directory. */
  list(path: string): string;
  /** Tells how much room there is. */
  room(path: string): string;
  /** Takes the right to write from others. */
  makePrivate(path: string): string;
  /** Makes a program of a file. */
  makeExecutable(path: string): string;
  /** Tells of a process. */
  describeProcess(pid: number): string;
  /** Tells what processes wait for that do not end. */
  describeStuck(pids: number[]): string;
  /** Ends processes of other users. */
  killAsRoot(pids: number[]): string;
  /** Tells who listens on a port. */
  listenersOf(port: number): string;
  /** Where there is no shell. */
  readonly installShell: string;
  /** Where this process does not see itself. */
  readonly showProcesses: string;
  /** Where it does not see the processes of others. */
  readonly showOthers: string;
}

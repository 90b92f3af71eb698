/**
 * Files: their owners and users; and the commands of this system for hints.
 *
 * @module
 */

/** Facts about files that Deno does not offer. */
export interface Files {
  /**
   * Whether any process has a file of this user open for writing, processes of other pid namespaces included; `null` if
   * unknown.
   */
  hasWriter(path: string): boolean | null;
  /** The process that holds the lock on a file, for messages; `null` if none does or it is unknown. */
  lockHolder(path: string): number | null;
  /**
   * Whether a directory has certainly been deleted, and not created again. A server that writes into its deleted directory
   * may create one of the same name, which lacks what the user had in it.
   */
  isGone(path: string, witness: Witness): boolean;
  /** Marks of a directory that exists, for a {@linkcode Witness} later; empty if it cannot be looked at. */
  landmarksOf(path: string): string[];
  /** The first of these marks, which no other directory has at the same time; `null` if there is no directory. */
  markOf(path: string): string | null;
  /** Options to create a file that only this user can read. */
  readonly privateFile: { mode?: number };
  /** The same for a directory. */
  readonly privateDirectory: { mode?: number };
  /** In words, the owner of a file; `null` if that is this user, or unknown. */
  ownerIfOther(info: Deno.FileInfo): string | null;
  /** Whether other users may write to it. */
  isWritableByOthers(info: Deno.FileInfo): boolean;
  /** Its permissions, for messages. */
  modeOf(info: Deno.FileInfo): string;
  /** Restores the permissions that this user needs on a file of their own. */
  makeUsable(path: string, info: Deno.FileInfo): void;
  /** The home directory of this user; `null` if the environment does not name one. */
  home(variable: (name: string) => string | undefined): string | null;
  /** A directory of this user for temporary files, by this name. */
  temporary(variable: (name: string) => string | undefined, name: string): string;
  /** The directory for the state of programs; `null` if there is no home directory. */
  stateHome(variable: (name: string) => string | undefined): string | null;
}

/** What else is known about a directory that may be gone. */
export interface Witness {
  /** A live process that was started there; `null` if none is known. */
  pid: number | null;
  /** Whether the directory was seen in the mount namespace of this process. */
  view: "own" | "other";
  /** What {@linkcode Files.landmarksOf} said of it when it existed; `null`: nothing was recorded. */
  landmarks: string[] | null;
  /** Names of files that it had then, and by which a user would recognise it. */
  held: string[];
}

/** Commands of this system for the hints of errors. */
export interface Hints {
  /** Lists a directory. */
  list(path: string): string;
  /** Shows the free space. */
  room(path: string): string;
  /** Removes write permission for other users. */
  makePrivate(path: string): string;
  /** Makes a file executable. */
  makeExecutable(path: string): string;
  /** Shows a process. */
  describeProcess(pid: number): string;
  /** Shows what processes that do not exit are waiting for. */
  describeStuck(pids: number[]): string;
  /** Kills processes of other users. */
  killAsRoot(pids: number[]): string;
  /** Shows the listeners on a port. */
  listenersOf(port: number): string;
  /** If there is no shell. */
  readonly installShell: string;
  /** If this process cannot see itself. */
  readonly showProcesses: string;
  /** If it cannot see processes of other users. */
  readonly showOthers: string;
}

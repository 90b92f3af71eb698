/**
 * The node's lock: flock(2), so the kernel releases it however its holder dies. The file stays empty; only whether it is
 * locked counts.
 *
 * @module
 */
import { dirname } from "../paths.ts";
import { system } from "../os/system.ts";
import { sleep } from "../async.ts";
import { stateError } from "../os/errno.ts";
import { isMissing, lstatOrNull } from "../os/stat.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { removeEntry } from "./durable.ts";
import { requireOwnDirs } from "./state_dir.ts";
import type { NodeDir } from "./node_dir.ts";

/** How to wait for a lock. */
export interface LockOptions {
  /** How long to wait, in milliseconds. */
  timeoutMs: number;
  /** Called once if another process holds the lock, with its name for messages. */
  onWait?: (holder: string) => void;
  /** Ends the wait early. */
  abort?: AbortSignal;
  /** The action that needs it, for messages. */
  action: "start" | "stop" | "sweep" | "forget";
  /** Makes the node's directory, which may be removed during the wait. */
  make: () => void | Promise<void>;
}

/** A lock that is held. */
export interface Lock extends Disposable {
  /** Whether the file is still at its path, so that the lock works. */
  isLinked(): boolean;
  /**
   * Requires that. Call it after every wait, before any change to a file of the node: after the directory was removed,
   * a new one at its path belongs to a successor.
   *
   * @throws {TombstoneError} the lock has been removed
   */
  insist(): void;
}

/** The node's directory or tombstone was removed while a command was working on it: exit code 4. */
export function stateRemoved(dir: NodeDir, action: string, cause?: unknown): TombstoneError {
  return tombstoneError(`Cannot ${action} "${dir.node}": its state in "${dir.path}" was removed meanwhile`, {
    kind: "state",
    hint: `find out what removes it, then try again with tombstone ${action} ${dir.node}`,
    details: { path: dir.path },
    cause,
  });
}

/** Longest pause between two tries, in milliseconds. */
const MAX_PAUSE_MS = 20;

/** How often the node's directory is made again before this gives up. */
const MAX_REMOVALS = 20;

/** `status` holds the lock for an instant to test it, so a wait is reported only after this many milliseconds. */
const NOTICE_AFTER_MS = 100;

/**
 * Takes the lock of a node until it is disposed.
 *
 * @throws {TombstoneError} another process held it for the whole time (exit code 6), or the file cannot be opened
 */
export async function acquireLock(dir: NodeDir, options: LockOptions): Promise<Lock> {
  const begun = performance.now();
  let hasNotified = false;
  let missing = 0;
  const make = async (error: unknown) => {
    // Where it can never be made, as in a file system of the kernel's, the error is the same as when it was just removed.
    if (++missing > MAX_REMOVALS) throw stateError("open", dir.lock, error);
    await options.make();
  };
  for (let pause = 1;; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    const file = await tryLock(dir, make);
    if (file !== null) return heldLock(file, dir, options.action);
    options.abort?.throwIfAborted();
    const waited = performance.now() - begun;
    if (!hasNotified && waited > NOTICE_AFTER_MS) {
      options.onWait?.(describeHolder(dir));
      hasNotified = true;
    }
    if (waited >= options.timeoutMs) {
      throw tombstoneError(
        `Cannot lock "${dir.node}": ${describeHolder(dir)} still holds it after ${options.timeoutMs} ms`,
        {
          kind: "lock-timeout",
          hint: `tombstone wait ${dir.node}, or wait longer with --lock-timeout`,
          details: { workspace: dir.workspace, node: dir.node },
        },
      );
    }
    await sleep(pause);
  }
}

function heldLock(file: Deno.FsFile, dir: NodeDir, action: string): Lock {
  const isLinked = () => isStillLinked(file, dir.lock);
  return {
    isLinked,
    insist() {
      if (!isLinked()) throw stateRemoved(dir, action);
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/**
 * Takes the lock if it is free now; `null` if it is held, or if its directory or something in its place was removed, so that
 * the caller tries again.
 */
async function tryLock(dir: NodeDir, make: (missing: unknown) => Promise<void>): Promise<Deno.FsFile | null> {
  let file: Deno.FsFile;
  try {
    if (clearPlace(dir.lock) === "removed") return null;
    file = Deno.openSync(dir.lock, { read: true, write: true, create: true, ...system.files.privateFile });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      await make(error);
      return null;
    }
    throw stateError("open", dir.lock, error);
  }
  let isHeld = false;
  try {
    isHeld = isStillLinked(file, dir.lock) && lockNow(file, dir.lock, "exclusive") && isStillLinked(file, dir.lock) &&
      requireOwnDirs(dir) === "own";
    return isHeld ? file : null;
  } finally {
    if (!isHeld) file.close();
  }
}

/** How often a signal may interrupt the system call before this gives up. */
const MAX_INTERRUPTIONS = 10;

/** Takes a lock (flock) if it is free now. */
export function lockNow(file: Deno.FsFile, path: string, how: "exclusive" | "shared"): boolean {
  for (let interrupted = 0;; interrupted++) {
    try {
      return file.tryLockSync(how === "exclusive");
    } catch (error) {
      if (error instanceof Deno.errors.Interrupted && interrupted < MAX_INTERRUPTIONS) continue;
      throw stateError("lock", path, error);
    }
  }
}

/**
 * Makes sure that the path of the lock is a file that this user can open: anything else there is removed, so that no link
 * is followed and no FIFO blocks; a file without rights gets them back. Nobody else can write there (0700).
 */
function clearPlace(path: string): "kept" | "removed" {
  const info = lstatOrNull(path);
  if (info === null) return "kept"; // it will be created
  if (!info.isFile) return removeIntruder(path, "file");
  system.files.makeUsable(path, info);
  return "kept";
}

/**
 * Removes an entry of the wrong type from a place. Only one process at a time may do so, after another check. Otherwise
 * the second would remove the lock that the first has just created and taken. (Test: "eight starters that find
 * something else in the lock's place".)
 */
export function removeIntruder(path: string, wanted: "file" | "directory"): "kept" | "removed" {
  using dir = Deno.openSync(dirname(path));
  dir.lockSync(true);
  const found = Deno.lstatSync(path);
  const isRight = wanted === "file" ? found.isFile : found.isDirectory;
  return !isRight && removeEntry(path) ? "removed" : "kept";
}

/**
 * Whether the open file is still at its path. If the state directory was deleted meanwhile, this lock protects nothing.
 */
export function isStillLinked(file: Deno.FsFile, path: string): boolean {
  return lstatOrNull(path)?.ino === file.statSync().ino;
}

function describeHolder(dir: NodeDir): string {
  const pid = system.files.lockHolder(dir.lock);
  return pid === null ? "another tombstone process" : `pid ${pid} (${system.processes.commandLine(pid)})`;
}

/** Whether another process holds the lock now. Creates nothing. */
export function isLocked(dir: NodeDir): boolean {
  try {
    if (!lstatOrNull(dir.lock, { unseen: "missing" })?.isFile) return false; // opening a FIFO would block
    using file = Deno.openSync(dir.lock, { read: true });
    return !lockNow(file, dir.lock, "shared");
  } catch (error) {
    if (isMissing(error)) return false;
    if (error instanceof Deno.errors.PermissionDenied) return false; // without rights, no process can have taken it
    throw stateError("open", dir.lock, error);
  }
}

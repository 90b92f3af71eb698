/**
 * The node's lock: flock(2), so the kernel releases it on any death of the holder. That it is held is the
 * whole truth: the file stays empty.
 *
 * @module
 */
import { dirname } from "@std/path/posix/dirname";
import { system } from "../os/system.ts";
import { sleep } from "../timers.ts";
import { stateError } from "../errno.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { removeEntry } from "./durable.ts";
import { requireOwnDirs } from "./state_dir.ts";
import type { NodeDir } from "./node_dir.ts";

/** How to wait for a lock. */
export interface LockOptions {
  /** How long to wait, in milliseconds. */
  timeoutMs: number;
  /** Called once if somebody else holds the lock, with words that name the holder. */
  onWait?: (holder: string) => void;
  /** Ends the wait early. */
  abort?: AbortSignal;
  /** What it is taken for, in the words of messages. */
  action: "start" | "stop" | "sweep";
  /** Makes the node's directory, which somebody may remove while others wait. */
  make: () => void | Promise<void>;
}

/** A lock that is held. */
export interface Lock extends Disposable {
  /** Whether whoever looks for the lock now still finds this one, so that it keeps others out. */
  isLinked(): boolean;
  /**
   * Insists on that. To be asked after every wait, before anything is done to a file of the node: once the directory
   * has been removed, what is found under its name belongs to a successor.
   *
   * @throws {TombstoneError} the lock has been removed
   */
  insist(): void;
}

/** Somebody has removed the node's directory or tombstone under the hands of a command: exit code 4. */
export function stateRemoved(dir: NodeDir, action: string, cause?: unknown): TombstoneError {
  return tombstoneError(`Cannot ${action} "${dir.node}": its state in "${dir.path}" was removed meanwhile`, {
    kind: "state",
    hint: `find out who removes it, then try again with tombstone ${action} ${dir.node}`,
    details: { path: dir.path },
    cause,
  });
}

/** Longest pause between two tries, in milliseconds. */
const MAX_PAUSE_MS = 20;

/** How often the node's directory is made again before it counts as one that cannot be. */
const MAX_REMOVALS = 20;

/** A look at the lock by `status` holds it for an instant; waiting is worth a word only after this many milliseconds. */
const NOTICE_AFTER_MS = 100;

/**
 * Takes the lock of a node, and gives it back when disposed.
 *
 * @throws {TombstoneError} held by somebody else for the whole time (exit code 6), or the file cannot be opened
 */
export async function acquireLock(dir: NodeDir, options: LockOptions): Promise<Lock> {
  const begun = performance.now();
  let told = false;
  let missing = 0;
  const make = async (error: unknown) => {
    // Where it can never be made, in /proc for example, the system says the same as where it was just removed.
    if (++missing > MAX_REMOVALS) throw stateError("open", dir.lock, error);
    await options.make();
  };
  for (let pause = 1;; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    const file = await tryLock(dir, make);
    if (file !== null) return heldLock(file, dir, options.action);
    options.abort?.throwIfAborted();
    const waited = performance.now() - begun;
    if (!told && waited > NOTICE_AFTER_MS) {
      options.onWait?.(describeHolder(dir));
      told = true;
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
 * Takes the lock if it is free now; `null` when it is held, or when something that was in its place or its directory has
 * been removed.
 */
async function tryLock(dir: NodeDir, make: (missing: unknown) => Promise<void>): Promise<Deno.FsFile | null> {
  let file: Deno.FsFile;
  try {
    if (clearPlace(dir.lock) === "removed") return null;
    file = Deno.openSync(dir.lock, { read: true, write: true, create: true, mode: 0o600 });
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

/** How often a signal may interrupt a lock before that counts as a failure. */
const MAX_INTERRUPTIONS = 10;

/** Takes a lock (flock) if it is free now. */
function lockNow(file: Deno.FsFile, path: string, how: "exclusive" | "shared"): boolean {
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
 * Makes sure that opening the lock opens a file of ours: what else is in its place is removed, so that no link is
 * followed and no FIFO waited for, and a file without rights gets them back. The directory is ours alone (0700).
 */
function clearPlace(path: string): "kept" | "removed" {
  try {
    const { isFile, mode } = Deno.lstatSync(path);
    if (!isFile) return removeIntruder(path);
    if (mode !== null && (mode & 0o600) !== 0o600) Deno.chmodSync(path, 0o600);
    return "kept";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "kept"; // it is about to be made
    throw stateError("look at", path, error);
  }
}

/**
 * Removes what is in the lock's place and is no file. Of several that find it, one at a time may, and only after
 * another look: else the second would remove the lock that the first has just made and taken.
 * (Test: "eight starters that find something else in the lock's place".)
 */
function removeIntruder(path: string): "kept" | "removed" {
  using dir = Deno.openSync(dirname(path));
  dir.lockSync(true);
  return !Deno.lstatSync(path).isFile && removeEntry(path) ? "removed" : "kept";
}

/**
 * Whether the open file is the one that others find under its name. The state directory may have been deleted
 * meanwhile: then this lock guards nothing.
 */
function isStillLinked(file: Deno.FsFile, path: string): boolean {
  try {
    return file.statSync().ino === Deno.lstatSync(path).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw stateError("open", path, error);
  }
}

function describeHolder(dir: NodeDir): string {
  const pid = system.files.lockHolder(dir.lock);
  return pid === null ? "another tombstone process" : `pid ${pid} (${system.processes.commandLine(pid)})`;
}

/** Whether somebody starts, stops or sweeps this node at this moment. Creates nothing. */
export function isLocked(dir: NodeDir): boolean {
  try {
    if (!Deno.lstatSync(dir.lock).isFile) return false; // opening a FIFO would block
    using file = Deno.openSync(dir.lock, { read: true });
    return !lockNow(file, dir.lock, "shared");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    if (error instanceof Deno.errors.PermissionDenied) return false; // without rights nobody can have taken it
    throw stateError("open", dir.lock, error);
  }
}

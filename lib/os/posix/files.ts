/**
 * Files on POSIX systems: owners and permissions, the commands for hints, and whether a directory has been deleted.
 *
 * @module
 */
import { dirname } from "../../paths.ts";
import { errnoOf } from "../errno.ts";
import type { Files, Hints, Witness } from "../files.ts";

/** The parts of `Files` that all POSIX systems share, completed by the parts of one system. */
export function filesWith(rest: Pick<Files, "hasWriter" | "lockHolder" | "isGone" | "landmarksOf">): Files {
  return {
    ...rest,
    markOf,
    privateFile: { mode: 0o600 },
    privateDirectory: { mode: 0o700 },
    ownerIfOther: ({ uid }) => uid === null || uid === Deno.uid() ? null : `user ${uid}, not to you (${Deno.uid()})`,
    isWritableByOthers: ({ mode }) => mode !== null && (mode & 0o022) !== 0,
    modeOf: ({ mode }) => ((mode ?? 0) & 0o7777).toString(8).padStart(4, "0"),
    makeUsable(path, { mode }) {
      if (mode !== null && (mode & 0o600) !== 0o600) Deno.chmodSync(path, 0o600);
    },
    home: (variable) => variable("HOME") || null,
    temporary: (variable, name) => `${variable("TMPDIR") || "/tmp"}/${name}-${Deno.uid()}`,
    stateHome(variable) {
      const below = Deno.build.os === "darwin" ? "Library/Application Support" : ".local/state";
      return variable("XDG_STATE_HOME") || (variable("HOME") ? `${variable("HOME")}/${below}` : null);
    },
  };
}

/** The commands for hints. */
export const hints: Hints = {
  list: (path) => `ls -la "${path}"`,
  room: (path) => `df "${path}"`,
  makePrivate: (path) => `chmod go-w "${path}"`,
  makeExecutable: (path) => `chmod +x "${path}", or name its interpreter: tombstone start -- sh "${path}"`,
  describeProcess: (pid) => `ps -fp ${pid}`,
  describeStuck: (pids) => `ps -o pid,stat,wchan,args -p ${pids.join(",")}`,
  killAsRoot: (pids) => `sudo kill ${pids.join(" ")}`,
  listenersOf: (port) => `lsof -nP -iTCP:${port} -sTCP:LISTEN`,
  installShell: "install a POSIX shell",
  showProcesses: "ps -A",
  showOthers: "ps -A",
};

/**
 * Whether a directory has been deleted, by the files alone. A missing path is not enough: it may exist in another mount
 * namespace (sandbox, container), or its file system may not be mounted.
 */
export function isGoneByParents(path: string, { view, landmarks }: Pick<Witness, "view" | "landmarks">): boolean {
  return presenceOf(path) === "missing" && view === "own" && arePlain(path, landmarks);
}

/**
 * Whether the directories above a missing one say that it was deleted. The nearest that exists must be the one that was
 * there before, in the same file system. Where that is not recorded, the parent must exist and not be empty, since an
 * empty or missing one may be the mount point of a file system that is not mounted. (Test: "what is not mounted, or
 * cannot be looked at, is not called gone".)
 */
export function arePlain(path: string, landmarks: string[] | null): boolean {
  if (landmarks === null) return holdsSomething(dirname(path)) === true;
  let at = dirname(path);
  for (const landmark of landmarks.slice(1)) {
    const found = presenceOf(at);
    if (found !== "missing") return found === "there" && markOf(at) === landmark && holdsSomething(at) !== null;
    at = dirname(at);
  }
  return false; // its whole file system is gone
}

/**
 * Marks of a directory and of those above it, up to the root of its file system.
 *
 * @param isRoot whether something is mounted on a directory
 */
export function landmarksOf(path: string, isRoot: (path: string) => boolean = isOtherThanParent): string[] {
  const marks: string[] = [];
  for (let at = path;; at = dirname(at)) {
    const mark = markOf(at);
    if (mark === null) return marks;
    marks.push(mark);
    if (at === dirname(at) || isRoot(at)) return marks;
  }
}

/** Whether a directory is in another file system than its parent. */
function isOtherThanParent(path: string): boolean {
  return markOf(path)?.split(":")[0] !== markOf(dirname(path))?.split(":")[0];
}

/** Device and inode of a directory; `null` if it is none, or cannot be looked at. */
export function markOf(path: string): string | null {
  try {
    const { dev, ino, isDirectory } = Deno.lstatSync(path);
    return isDirectory ? `${dev}:${ino}` : null;
  } catch (error) {
    if (errnoOf(error) === null && !(error instanceof Deno.errors.NotADirectory)) throw error;
    return null;
  }
}

/** Whether anything is at a path. */
export function presenceOf(path: string): "there" | "missing" | "unknown" {
  try {
    Deno.lstatSync(path);
    return "there";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "missing";
    if (errnoOf(error) === null && !(error instanceof Deno.errors.NotADirectory)) throw error;
    return "unknown";
  }
}

/** Whether a directory has any entry; `null` if it cannot be listed. */
export function holdsSomething(path: string): boolean | null {
  try {
    for (const _ of Deno.readDirSync(path)) return true;
    return false;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}

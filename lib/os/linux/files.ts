/**
 * Facts about files that Linux shows and other systems do not: whether any process has one open for writing, and whether a
 * directory has been deleted.
 *
 * @module
 */
import { dirname } from "../../paths.ts";
import { arePlain, isGoneByParents, landmarksOf, markOf, presenceOf } from "../posix/files.ts";
import type { Witness } from "../files.ts";
import { errnoOf } from "../errno.ts";
import { CLOSE, openLibC, SOCK_CLOEXEC } from "./libc.ts";
import { readProc } from "./proc.ts";

// <fcntl.h>, the same on x86-64 and AArch64; `O_CLOEXEC` has the value of `SOCK_CLOEXEC`. Without `O_NONBLOCK`, a FIFO
// would block.
const O_RDONLY_NONBLOCK = 0o4000;
const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_RDLCK = 0;
/** `SIGURG`, ignored by default: a process that opens the file during the lease causes this instead of `SIGIO`. */
const SIGURG = 23;
/** `EAGAIN` of errno(3). */
const EAGAIN = 11;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  close: CLOSE,
  __errno_location: { parameters: [], result: "pointer" },
} as const;

/** Loaded at the first use, and kept; while it cannot be loaded, each use tries again. */
let library: Deno.DynamicLibrary<typeof SYMBOLS> | null | undefined;

/**
 * Whether any process has this file open for writing, in any namespace: fcntl(2), "Leases". The kernel grants a read lease
 * only on a file that no process has open for writing, and that includes processes that cannot be seen from here.
 *
 * @returns `null`: unknown, as with another C library, a file system without leases, or no such file
 */
export function hasWriter(path: string): boolean | null {
  library ??= openLibC(SYMBOLS);
  if (library === null) return null;
  const { open, fcntl, close, __errno_location } = library.symbols;
  const fd = open(new TextEncoder().encode(`${path}\0`), O_RDONLY_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return null;
  try {
    fcntl(fd, F_SETSIG, SIGURG);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) === 0) return false;
    const errno = __errno_location();
    return errno !== null && new Deno.UnsafePointerView(errno).getInt32() === EAGAIN ? true : null;
  } finally {
    close(fd); // releases the lease
  }
}

/**
 * Whether a directory has certainly been deleted, and not created again.
 *
 * The kernel marks the working directory of a process in it as deleted; else {@linkcode isGoneByParents} decides. A
 * directory that a process works in and that was only moved is not gone.
 */
export function isGone(path: string, witness: Witness): boolean {
  const { pid, view, landmarks } = witness;
  const presence = presenceOf(path);
  if (presence === "unknown") return false;
  const directory = pid === null ? null : linkOf(`/proc/${pid}/cwd`);
  const isDeleted = directory === `${path} (deleted)`;
  if (presence === "there") return isDeleted && view === "own" && isRemnant(path, witness);
  if (isDeleted) return true;
  if (pid !== null) {
    if (directory !== null && landmarks !== null && isWithin(`/proc/${pid}/root${directory}`, landmarks[0])) {
      return false;
    }
    const seenByIt = linkOf(`/proc/${pid}/root`) === null ? "unknown" : presenceOf(`/proc/${pid}/root${path}`);
    if (seenByIt === "there") return false;
    if (seenByIt === "missing") return arePlain(path, landmarks);
  }
  return isGoneByParents(path, { view, landmarks });
}

/** Whether what is at the path of a deleted directory is another directory, without what it held. */
function isRemnant(path: string, { landmarks, held }: Witness): boolean {
  const [mark, before] = [markOf(path), landmarks?.[0]];
  if (mark === null || before === undefined || mark === before) return false;
  return held.length > 0 && held.every((name) => presenceOf(`${path}/${name}`) === "missing");
}

/** Whether a directory, or one above it, has this mark. */
function isWithin(path: string, mark: string | undefined): boolean {
  for (let at = path; at !== dirname(at); at = dirname(at)) if (mark !== undefined && markOf(at) === mark) return true;
  return false;
}

/**
 * {@linkcode landmarksOf} by the table of mounts, which shows bind mounts, too: they are of one device with what is around
 * them. Of its fields (proc_pid_mountinfo(5)), the fifth is the directory.
 */
export function landmarksByMounts(path: string): string[] {
  const table = readProc("/proc/self/mountinfo");
  if (table === null) return landmarksOf(path);
  const unescaped = (text: string) =>
    text.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8)));
  const roots = new Set(table.split("\n").map((line) => unescaped(line.split(" ")[4] ?? "")));
  return landmarksOf(path, (at) => roots.has(at));
}

function linkOf(path: string): string | null {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}

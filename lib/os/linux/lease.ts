/**
 * Whether any process has a file open for writing, in any namespace: fcntl(2), "Leases". The kernel grants a read lease
 * only on a file that no process has open for writing, and that includes processes that cannot be seen from here.
 *
 * @module
 */
import { openLibC, SOCK_CLOEXEC } from "./libc.ts";

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
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

/** Loaded at the first use, and kept; while it cannot be loaded, each use tries again. */
let library: Deno.DynamicLibrary<typeof SYMBOLS> | null | undefined;

/**
 * Whether any process has this file open for writing; `null` if that is unknown: another C library, a file system without
 * leases, no such file. The lease is released before it returns.
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

/**
 * Processes by handle instead of by pid, pidfd_open(2): a handle stands for its process even after the pid was reused, and
 * the exit of the process wakes a waiter.
 *
 * @module
 */
import { CLOSE, openLibC } from "./libc.ts";
import { SIGNALS } from "./proc.ts";

// Numbers of <sys/syscall.h>, the same on every architecture; <poll.h>.
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;
const POLLIN = 1;

const SYMBOLS = {
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  close: CLOSE,
} as const;

/** Loaded at the first use, and kept; while it cannot be loaded, each use tries again. */
let library: Deno.DynamicLibrary<typeof SYMBOLS> | null | undefined;

function open(pid: number): { fd: number; symbols: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] } | null {
  library ??= openLibC(SYMBOLS);
  const fd = Number(library?.symbols.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n) ?? -1);
  return library === null || fd < 0 ? null : { fd, symbols: library.symbols };
}

/**
 * Sends a signal to a process that is checked after its handle was opened. So the signal reaches the process that was
 * checked or none, even if the pid is reused meanwhile.
 *
 * @param isStill whether this pid is still the intended process
 * @returns whether it was sent; `null` if there is no such process, handles are not available, or it was refused
 */
export function signalByHandle(pid: number, name: Deno.Signal, isStill: () => boolean): boolean | null {
  const handle = open(pid);
  if (handle === null) return null;
  const { fd, symbols } = handle;
  try {
    if (!isStill()) return false;
    const number = BigInt(SIGNALS.indexOf(name) + 1);
    return symbols.syscall(SYS_PIDFD_SEND_SIGNAL, BigInt(fd), number, 0n, 0n) === 0n ? true : null;
  } finally {
    symbols.close(fd);
  }
}

/** Waits until one of these processes has exited, at most `ms` milliseconds; `null` if handles are not available. */
export function untilOneEnds(pids: number[], ms: number): Promise<void> | null {
  const handles = pids.map(open);
  const opened = handles.filter((handle) => handle !== null);
  const close = () => opened.forEach(({ fd, symbols }) => symbols.close(fd));
  // A process that cannot be opened has probably exited, so the caller checks at once, unless handles never work here.
  const symbols = library?.symbols;
  if (symbols === undefined || opened.length < pids.length) {
    close();
    return opened.length === 0 ? null : Promise.resolve();
  }
  const entries = new Int32Array(opened.flatMap(({ fd }) => [fd, POLLIN])); // struct pollfd
  return symbols.poll(entries.buffer, BigInt(opened.length), Math.ceil(ms)).then(close);
}

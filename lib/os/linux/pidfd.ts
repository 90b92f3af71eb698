/**
 * Processes by handle instead of by number, pidfd_open(2): the handle goes on to mean the process that it was opened
 * for, also after the number has gone to another one; and its end wakes the waiter.
 *
 * @module
 */
import { openLibC } from "./libc.ts";
import { SIGNALS } from "./signal_state.ts";

// Numbers of <sys/syscall.h>, the same on every architecture; <poll.h>.
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;
const POLLIN = 1;

const SYMBOLS = {
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** Opened at the first use, and kept. */
let library: Deno.DynamicLibrary<typeof SYMBOLS> | null | undefined;

function open(pid: number): { fd: number; symbols: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] } | null {
  library ??= openLibC(SYMBOLS);
  const fd = Number(library?.symbols.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n) ?? -1);
  return library === null || fd < 0 ? null : { fd, symbols: library.symbols };
}

/**
 * Sends a signal to a process that is looked at after its handle was taken, so that whatever happens to the number, it
 * reaches the one that was looked at or nobody.
 *
 * @param isStill whether the process of this number is the one that is meant
 * @returns whether it was sent; `null`: there is no such process, or no way to handles here, or it was refused
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

/** Waits until one of these processes has ended, at most `ms` milliseconds; `null`: there is no way to handles here. */
export function untilOneEnds(pids: number[], ms: number): Promise<void> | null {
  const handles = pids.map(open);
  const opened = handles.filter((handle) => handle !== null);
  const close = () => opened.forEach(({ fd, symbols }) => symbols.close(fd));
  // One that cannot be opened has ended, most likely: the caller looks at once, unless nothing can be opened ever.
  const symbols = library?.symbols;
  if (symbols === undefined || opened.length < pids.length) {
    close();
    return opened.length === 0 ? null : Promise.resolve();
  }
  const entries = new Int32Array(opened.flatMap(({ fd }) => [fd, POLLIN])); // struct pollfd
  return symbols.poll(entries.buffer, BigInt(opened.length), Math.ceil(ms)).then(close);
}

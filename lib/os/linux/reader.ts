/**
 * Whether an output still has a reader, poll(2). A write would tell, but a server that is silent gives nothing to write.
 *
 * @module
 */
import { openLibC } from "./libc.ts";

// Events of <poll.h>, the same on every architecture: a pipe has no reader, a terminal or socket has no other end.
const POLLERR = 0x08;
const POLLHUP = 0x10;

const SYMBOLS = { poll: { parameters: ["buffer", "u64", "i32"], result: "i32" } } as const;

/** Loaded at the first use; `null` if that is not possible. */
let library: Deno.DynamicLibrary<typeof SYMBOLS> | null | undefined;

/** Whether something may still read what is written to this descriptor; `true` if unknown. */
export function hasReader(descriptor: 1 | 2): boolean {
  if (library === undefined) library = openLibC(SYMBOLS);
  const entry = new Int32Array([descriptor, 0]); // struct pollfd: int fd, short events, short revents
  if (library === null || library.symbols.poll(entry.buffer, 1n, 0) < 1) return true;
  return (new Int16Array(entry.buffer)[3]! & (POLLERR | POLLHUP)) === 0;
}

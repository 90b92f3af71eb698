/**
 * The listening sockets by netlink, like `ss -lx` and `ss -ltn` (sock_diag(7)): some 30 µs, where `/proc/net/tcp` takes
 * milliseconds because the kernel walks its whole hash of connections for it.
 *
 * @module
 */
import { AF_UNIX, CLOSE, openLibC, SOCK_CLOEXEC, SOCKET } from "./libc.ts";
import { stateError } from "../errno.ts";
import type { ListenerRow, UnixListenerRow } from "../rows.ts";
import type { Sockets } from "../types.ts";
import { descriptors, readProc } from "./proc.ts";
import { addressText } from "../../hosts.ts";
import { parseListeners, parseUnixListeners } from "./socket_table.ts";

// Numbers of <linux/netlink.h>, <linux/sock_diag.h>, <linux/inet_diag.h>, <linux/unix_diag.h> and <sys/socket.h>.
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_DONE = 3;
const IPPROTO_TCP = 6;
const LISTEN_ONLY = 1 << 10; // 1 << TCP_LISTEN, which unix sockets share
const HEADER = 16; // sizeof (struct nlmsghdr)
const INET_REQUEST = HEADER + 56; // + sizeof (struct inet_diag_req_v2)
const UNIX_REQUEST = HEADER + 24; // + sizeof (struct unix_diag_req)
const UDIAG_SHOW_NAME_AND_VFS = 1 | 2;
const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_VFS = 1;

const SYMBOLS = {
  socket: SOCKET,
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: CLOSE,
} as const;

type LibC = Deno.DynamicLibrary<typeof SYMBOLS>;

let libc: LibC | null | undefined;

/** A request to the kernel, and how to read each of its answers. */
interface Query<T> {
  request: DataView<ArrayBuffer>;
  parse: (message: DataView, at: number, end: number) => T;
}

/** Asks the kernel; `null` if netlink is not available, and the caller must read `/proc`. */
function ask<T>(queries: Query<T>[]): T[] | null {
  const library = libc ??= openLibC(SYMBOLS);
  if (library === null) return null;
  const socket = library.symbols.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (socket < 0) return null;
  try {
    const all: T[] = [];
    for (const query of queries) {
      const rows = dump(library, socket, query);
      if (rows === null) return null;
      all.push(...rows);
    }
    return all;
  } finally {
    library.symbols.close(socket);
  }
}

/** The listening TCP sockets of this network namespace; `null` if netlink is not available. */
export function queryListeners(): ListenerRow[] | null {
  return ask([AF_INET, AF_INET6].map((family) => {
    const request = requestOf(INET_REQUEST, family);
    request.setUint8(HEADER + 1, IPPROTO_TCP);
    request.setUint32(HEADER + 4, LISTEN_ONLY, true);
    return { request, parse: parseInet };
  }));
}

/** The listening unix sockets of this network namespace; `null` if netlink is not available. */
export function queryUnixListeners(): UnixListenerRow[] | null {
  const request = requestOf(UNIX_REQUEST, AF_UNIX);
  request.setUint32(HEADER + 4, LISTEN_ONLY, true);
  request.setUint32(HEADER + 12, UDIAG_SHOW_NAME_AND_VFS, true);
  return ask([{ request, parse: parseUnix }]);
}

function requestOf(size: number, family: number): DataView<ArrayBuffer> {
  const request = new DataView(new ArrayBuffer(size));
  request.setUint32(0, size, true);
  request.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  request.setUint16(6, NLM_F_REQUEST_DUMP, true);
  request.setUint8(HEADER, family);
  return request;
}

function dump<T>(library: LibC, socket: number, { request, parse }: Query<T>): T[] | null {
  const { byteLength } = request;
  if (Number(library.symbols.send(socket, request.buffer, BigInt(byteLength), 0)) !== byteLength) return null;
  const rows: T[] = [];
  const answer = new DataView(new ArrayBuffer(64 * 1024));
  for (;;) {
    const length = Number(library.symbols.recv(socket, answer.buffer, BigInt(answer.byteLength), 0));
    if (length < HEADER) return null;
    for (let at = 0; at + HEADER <= length;) {
      const size = answer.getUint32(at, true);
      const type = answer.getUint16(at + 4, true);
      if (type === NLMSG_DONE) return rows;
      if (type !== SOCK_DIAG_BY_FAMILY || size < HEADER) return null; // NLMSG_ERROR: the kernel was built without it
      rows.push(parse(answer, at + HEADER, at + size));
      at += (size + 3) & ~3;
    }
  }
}

/** One `struct inet_diag_msg`: family, state, …, then ports and addresses in network byte order. */
function parseInet(message: DataView, at: number): ListenerRow {
  const length = message.getUint8(at) === AF_INET6 ? 16 : 4;
  return {
    port: message.getUint16(at + 4, false),
    address: addressText([...new Uint8Array(message.buffer, at + 8, length)]),
    user: String(message.getUint32(at + 64, true)),
    inode: message.getUint32(at + 68, true),
  };
}

/** One `struct unix_diag_msg`, 16 bytes, then attributes: length, type, value. */
function parseUnix(message: DataView, at: number, end: number): UnixListenerRow {
  const row: UnixListenerRow = { inode: message.getUint32(at + 4, true), path: "", fileInode: null };
  for (let next = at + 16; next + 4 <= end;) {
    const size = message.getUint16(next, true);
    const type = message.getUint16(next + 2, true);
    if (type === UNIX_DIAG_VFS) row.fileInode = message.getUint32(next + 4, true);
    if (type === UNIX_DIAG_NAME) {
      const name = new Uint8Array(message.buffer, next + 4, size - 4);
      row.path = new TextDecoder().decode(name).replace(/\0+$/, "");
    }
    next += Math.max((size + 3) & ~3, 4);
  }
  return row;
}

function socketsOf(pid: number): Set<number> | null {
  const targets = descriptors(pid);
  if (targets === null) return null;
  const inodes = new Set<number>();
  for (const target of targets.values()) {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(Number(inode));
  }
  return inodes;
}

/** `ip_local_port_range` of ip(7), read once. */
let ephemeral: [number, number] | undefined;

/** A table of `/proc/self/net`, for when netlink is not available. */
export async function readListeners(): Promise<ListenerRow[]> {
  const texts = await Promise.all(["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(async (path) => {
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return ""; // a kernel without IPv6
      throw stateError("read", path, error);
    }
  }));
  return texts.flatMap(parseListeners);
}

/** See {@linkcode Sockets}. */
export const sockets: Sockets = {
  sight: "everybody",
  list: async () => queryListeners() ?? await readListeners(),
  listUnix: () => queryUnixListeners() ?? parseUnixListeners(readProc("/proc/self/net/unix") ?? ""),
  socketsOf,
  isEphemeral(port) {
    if (ephemeral === undefined) {
      const text = readProc("/proc/sys/net/ipv4/ip_local_port_range") ?? "32768 60999";
      const [low, high] = text.trim().split(/\s+/).map(Number);
      ephemeral = [low!, high!];
    }
    return port >= ephemeral[0] && port <= ephemeral[1];
  },
  isTaken(port) {
    const tables = () => ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map((path) => readProc(path) ?? "");
    return (queryListeners() ?? tables().flatMap(parseListeners)).some((row) => row.port === port);
  },
};

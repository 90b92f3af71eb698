/**
 * The listening TCP sockets by netlink, as `ss -ltn` asks for them (sock_diag(7)): some 30 µs, where
 * `/proc/net/tcp` takes milliseconds because the kernel walks its whole hash of connections for it.
 *
 * @module
 */
import type { ListenerRow } from "./types.ts";
import { canonicalAddress } from "./socket_table.ts";

// Numbers of <linux/netlink.h>, <linux/sock_diag.h>, <linux/inet_diag.h> and <sys/socket.h>.
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_DONE = 3;
const IPPROTO_TCP = 6;
const LISTEN_ONLY = 1 << 10; // 1 << TCP_LISTEN
const HEADER = 16; // sizeof (struct nlmsghdr)
const REQUEST = HEADER + 56; // + sizeof (struct inet_diag_req_v2)

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

type LibC = Deno.DynamicLibrary<typeof SYMBOLS>;

let libc: LibC | "unavailable" | undefined;

/** The C library, loaded at the first use. */
function load(): LibC | null {
  if (libc === undefined) {
    try {
      libc = Deno.dlopen("libc.so.6", SYMBOLS);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      libc = "unavailable"; // another C library, or no permission for FFI: the caller reads /proc
    }
  }
  return libc === "unavailable" ? null : libc;
}

/**
 * Asks the kernel.
 *
 * @returns the listening sockets of this network namespace, or `null` if it cannot be asked this way
 */
export function queryListeners(): ListenerRow[] | null {
  const library = load();
  if (library === null) return null;
  const socket = library.symbols.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
  if (socket < 0) return null;
  try {
    const four = dump(library, socket, AF_INET);
    const six = dump(library, socket, AF_INET6);
    return four === null || six === null ? null : [...four, ...six];
  } finally {
    library.symbols.close(socket);
  }
}

function dump(library: LibC, socket: number, family: number): ListenerRow[] | null {
  const request = new DataView(new ArrayBuffer(REQUEST));
  request.setUint32(0, REQUEST, true);
  request.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  request.setUint16(6, NLM_F_REQUEST_DUMP, true);
  request.setUint8(HEADER, family);
  request.setUint8(HEADER + 1, IPPROTO_TCP);
  request.setUint32(HEADER + 4, LISTEN_ONLY, true);
  if (Number(library.symbols.send(socket, request.buffer, BigInt(REQUEST), 0)) !== REQUEST) return null;
  const rows: ListenerRow[] = [];
  const answer = new DataView(new ArrayBuffer(64 * 1024));
  for (;;) {
    const length = Number(library.symbols.recv(socket, answer.buffer, BigInt(answer.byteLength), 0));
    if (length < HEADER) return null;
    for (let at = 0; at + HEADER <= length;) {
      const size = answer.getUint32(at, true);
      const type = answer.getUint16(at + 4, true);
      if (type === NLMSG_DONE) return rows;
      if (type !== SOCK_DIAG_BY_FAMILY || size < HEADER) return null; // NLMSG_ERROR: no inet_diag in this kernel
      rows.push(parseMessage(answer, at + HEADER));
      at += (size + 3) & ~3;
    }
  }
}

/** One `struct inet_diag_msg`: family, state, …, then ports and addresses in network byte order. */
function parseMessage(message: DataView, at: number): ListenerRow {
  const length = message.getUint8(at) === AF_INET6 ? 16 : 4;
  return {
    port: message.getUint16(at + 4, false),
    address: canonicalAddress([...new Uint8Array(message.buffer, at + 8, length)]),
    uid: message.getUint32(at + 64, true),
    inode: message.getUint32(at + 68, true),
  };
}

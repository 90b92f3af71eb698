/**
 * A datagram socket that tells who sends (unix(7)), which Deno does not offer.
 *
 * @module
 */
import { openLibC, SOCK_CLOEXEC } from "./libc.ts";
import type { Datagram, DatagramSocket } from "./types.ts";

// Numbers of <sys/socket.h>, the same on x86-64 and AArch64.
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_CREDENTIALS = 2;
const MSG_DONTWAIT = 0x40;

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** Longest message that is taken whole, in bytes. */
const LONGEST = 8192;

/** Listens under an abstract name; `null` if the C library cannot be used or the name is taken. */
export function listenDatagrams(name: string): DatagramSocket | null {
  const library = openLibC(SYMBOLS);
  const socket = library?.symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) ?? -1;
  if (library === null || socket < 0) return null;
  const { symbols } = library;
  const close = () => {
    symbols.close(socket);
    library.close();
  };
  const address = new Uint8Array([AF_UNIX, 0, 0, ...new TextEncoder().encode(name)]); // struct sockaddr_un
  const one = new Int32Array([1]);
  const isReady = symbols.setsockopt(socket, SOL_SOCKET, SO_PASSCRED, one.buffer, 4) === 0 &&
    symbols.bind(socket, address.buffer, address.length) === 0;
  if (!isReady) {
    close();
    return null;
  }
  return {
    name,
    receive() {
      const all: Datagram[] = [];
      for (
        let next: Datagram | null;
        (next = receiveOne((message) => symbols.recvmsg(socket, message, MSG_DONTWAIT)));
      ) {
        all.push(next);
      }
      return all;
    },
    [Symbol.dispose]: close,
  };
}

/** `struct msghdr` of 64-bit systems: name, its length, iovec, its count, control, its length, flags; 8 bytes each. */
function receiveOne(receive: (message: ArrayBuffer) => bigint): Datagram | null {
  const text = new Uint8Array(LONGEST);
  const control = new DataView(new ArrayBuffer(64));
  const vector = new BigUint64Array([addressOf(text.buffer), BigInt(LONGEST)]); // struct iovec
  const message = new BigUint64Array([0n, 0n, addressOf(vector.buffer), 1n, addressOf(control.buffer), 64n, 0n]);
  const length = Number(receive(message.buffer));
  if (length < 0) return null; // EAGAIN: nobody has said anything
  // struct cmsghdr: length, level, type; then struct ucred: pid, uid, gid.
  const isCredentials = message[5]! >= 28n && control.getInt32(8, true) === SOL_SOCKET &&
    control.getInt32(12, true) === SCM_CREDENTIALS;
  return {
    pid: isCredentials ? control.getInt32(16, true) : 0,
    uid: isCredentials ? control.getUint32(20, true) : -1,
    text: new TextDecoder().decode(text.subarray(0, length)),
  };
}

function addressOf(buffer: ArrayBuffer): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

/**
 * A datagram socket with the credentials of each sender (unix(7)), which Deno does not offer.
 *
 * @module
 */
import { AF_UNIX, CLOSE, openLibC, SOCK_CLOEXEC, SOCKET } from "./libc.ts";
import type { Datagram, DatagramSocket } from "../rows.ts";

// Numbers of <sys/socket.h>, the same on x86-64 and AArch64.
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;

const SYMBOLS = {
  socket: SOCKET,
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  close: CLOSE,
} as const;

/** Longest message that is read whole, in bytes. */
const LONGEST_BYTES = 8192;

/** `sizeof (struct cmsghdr)`: length, level, type. */
const HEADER = 16;

/** `CMSG_SPACE (sizeof (struct ucred))`. There is no space for descriptors in a message, so the kernel drops them. */
const CONTROL = 32;

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
  const receiver = new Receiver(
    (message) => symbols.recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC),
    (descriptor) => symbols.close(descriptor),
  );
  return {
    name,
    receive(most) {
      const all: Datagram[] = [];
      for (let next: Datagram | null; all.length < most && (next = receiver.next()) !== null;) all.push(next);
      return all;
    },
    [Symbol.dispose]: close,
  };
}

/** Receives one message at a time into the same memory. */
class Receiver {
  readonly #receive: (message: ArrayBuffer) => bigint;
  readonly #close: (descriptor: number) => void;
  readonly #text = new Uint8Array(LONGEST_BYTES);
  readonly #control = new DataView(new ArrayBuffer(CONTROL));
  readonly #vector = new BigUint64Array([addressOf(this.#text.buffer), BigInt(LONGEST_BYTES)]); // struct iovec

  constructor(receive: (message: ArrayBuffer) => bigint, close: (descriptor: number) => void) {
    this.#receive = receive;
    this.#close = close;
  }

  /** The next message; `null` if there is none (EAGAIN). */
  next(): Datagram | null {
    // struct msghdr of 64-bit systems: name, its length, iovec, its count, control, its length, flags; 8 bytes each.
    const [vector, control] = [addressOf(this.#vector.buffer), addressOf(this.#control.buffer)];
    const message = new BigUint64Array([0n, 0n, vector, 1n, control, BigInt(CONTROL), 0n]);
    const length = Number(this.#receive(message.buffer));
    if (length < 0) return null;
    const text = new TextDecoder().decode(this.#text.subarray(0, length));
    return { ...this.#sender(Number(message[5])), text };
  }

  /** The sender, by the credentials that the kernel adds. Closes any descriptors that were received after all. */
  #sender(controlLength: number): Pick<Datagram, "pid" | "user"> {
    const sender: Pick<Datagram, "pid" | "user"> = { pid: 0, user: null };
    for (let at = 0; at + HEADER <= controlLength;) {
      const size = Number(this.#control.getBigUint64(at, true));
      const end = Math.min(at + size, controlLength);
      const type = this.#control.getInt32(at + 8, true) === SOL_SOCKET ? this.#control.getInt32(at + 12, true) : 0;
      // struct ucred: pid, uid, gid.
      if (type === SCM_CREDENTIALS && end - at >= HEADER + 12) {
        sender.pid = this.#control.getInt32(at + HEADER, true);
        sender.user = String(this.#control.getUint32(at + HEADER + 4, true));
      }
      for (let next = at + HEADER; type === SCM_RIGHTS && next + 4 <= end; next += 4) {
        this.#close(this.#control.getInt32(next, true));
      }
      at += Math.max((size + 7) & ~7, HEADER);
    }
    return sender;
  }
}

function addressOf(buffer: ArrayBuffer): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

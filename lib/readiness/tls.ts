/**
 * TLS with a server that is proven to be the node, so that its certificate does not matter.
 *
 * @module
 */
import { isAddress } from "../hosts.ts";
import { builtin } from "../os/builtin.ts";

/** Where to connect to. */
export interface SecureSpot {
  /** Address. */
  hostname: string;
  /** Port. */
  port: number;
  /** Server name, by which the server may choose its certificate (SNI). */
  name: string;
  /** Aborts the connection. */
  signal: AbortSignal;
}

/** Connects and accepts any certificate. Uses Node's TLS, because Deno's accepts only trusted ones. */
export async function connectUnverified(spot: SecureSpot): Promise<Pick<Deno.Conn, "read" | "write"> & Disposable> {
  const { hostname: host, port, name, signal } = spot;
  const socket = builtin("node:tls").connect({
    host,
    port,
    rejectUnauthorized: false,
    ...(isAddress(name) ? {} : { servername: name }),
  });
  const abort = () => socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Deno.errors.ConnectionReset("it was closed")));
    });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.on("error", () => {}); // a reset, which ends the chunks, too
  const chunks: AsyncIterator<Uint8Array> = socket[Symbol.asyncIterator]();
  let rest = new Uint8Array();
  return {
    async read(buffer) {
      if (rest.length === 0) {
        const next = await chunks.next();
        if (next.done) return null;
        rest = new Uint8Array(next.value);
      }
      const length = Math.min(buffer.length, rest.length);
      buffer.set(rest.subarray(0, length));
      rest = rest.subarray(length);
      return length;
    },
    write(bytes) {
      socket.write(bytes.slice());
      return Promise.resolve(bytes.length);
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

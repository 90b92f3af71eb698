/**
 * TLS with a server that is known already: nobody has to vouch for it.
 *
 * @module
 */
import type * as Tls from "node:tls";

/** Loaded only where TLS is asked for: an import at the top costs every command some 60 ms of the processor's time. */
function tls(): typeof Tls {
  const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): typeof Tls } };
  return process.getBuiltinModule("node:tls");
}

/** Where to connect to. */
export interface SecureSpot {
  /** Address. */
  hostname: string;
  /** Port. */
  port: number;
  /** Name that the server may have several certificates by. */
  name: string;
  /** Ends the attempt. */
  signal: AbortSignal;
}

/** A connection whose other side may have any certificate. Deno's own TLS insists on one that somebody has signed. */
export async function connectUnverified(spot: SecureSpot): Promise<Pick<Deno.Conn, "read" | "write"> & Disposable> {
  const { hostname: host, port, name, signal } = spot;
  const isName = !/^[\d.]+$|:/.test(name);
  const socket = tls().connect({ host, port, rejectUnauthorized: false, ...(isName ? { servername: name } : {}) });
  const abort = () => socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", (error) => reject(new Deno.errors.ConnectionReset(error.message)));
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

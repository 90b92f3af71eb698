/**
 * Choosing a free port for a server.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { connectTo, tryToListen } from "./connect.ts";
import { tombstoneError, usageError } from "../errors.ts";

/** A port for a server, kept from other starters until it is disposed. */
export interface ChosenPort extends Disposable {
  /** Its number. */
  port: number;
}

/**
 * Takes a port for a server, if it is free. Concurrent starts, even with other state directories, never get the same one.
 *
 * @returns `null`: it is not free
 */
export async function takePort(host: string | null, port: number): Promise<ChosenPort | null> {
  const claim = system.host.claim(`tombstone-port-${port}`);
  if (claim === null) return null;
  if (await isUnused(host, port) && tryToListen(host, port) === "free") {
    return { port, [Symbol.dispose]: () => claim[Symbol.dispose]() };
  }
  claim[Symbol.dispose]();
  return null;
}

/**
 * Ports to try: from a given one upwards, else any below the ephemeral range. There, no outgoing connection can take the
 * port before the server binds it, and a connect cannot meet itself.
 *
 * @param from lowest port; 0: any
 */
export function* portsFrom(from: number): Generator<number> {
  if (from !== 0) {
    for (let port = from; port < Math.min(from + MOST_TRIES, 65536); port++) yield port;
    return;
  }
  for (let tried = 0; tried < MOST_TRIES; tried++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (!system.sockets?.isEphemeral(port)) yield port;
  }
}

/** Most ports that are tried. */
const MOST_TRIES = 1000;

/** Whether no process listens there. */
async function isUnused(host: string | null, port: number): Promise<boolean> {
  if ((await system.sockets?.list() ?? []).some((row) => row.port === port)) return false;
  return await connectTo(host, port) === "refused";
}

/**
 * Requires an address that a server on this machine can listen on.
 *
 * @throws {TombstoneError} it cannot be resolved, or belongs to another machine
 */
export function requireLocal(host: string): void {
  try {
    Deno.listen({ hostname: host, port: 0 }).close();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    const hint = "leave --host out, or name the port with --port N";
    if (error instanceof Deno.errors.AddrNotAvailable) {
      throw usageError(`Cannot choose a port on "${host}": it is not an address of this machine`, hint);
    }
    // Deno throws a plain error without a code for a name that cannot be resolved, and a URIError for an invalid address.
    if (error.constructor === Error && !("code" in error) || error instanceof URIError) {
      throw usageError(`Cannot choose a port on "${host}": it cannot be resolved`, hint);
    }
    throw tombstoneError(`Cannot choose a port on "${host}": ${error.message}`, {
      kind: "state",
      hint,
      cause: error,
    });
  }
}

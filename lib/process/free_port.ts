/**
 * Choosing a free port for a server.
 *
 * @module
 */
import { errnoOf } from "../errno.ts";
import { system } from "../os/system.ts";
import { addressesOf, connectTo } from "./connect.ts";
import { tombstoneError, usageError } from "../errors.ts";

/** A port for a server, kept from other starters until it is disposed. */
export interface ChosenPort extends Disposable {
  /** Its number. */
  port: number;
}

/**
 * A free port for a server. It is below the ephemeral range, so no outgoing connection can take it before the server binds
 * it, and a connect cannot meet itself there. Concurrent starts never get the same one. (Test: "fifty nodes at once".)
 *
 * @param preferred tried first; 0: none
 */
export async function chooseFreePort(host: string | null, preferred: number): Promise<ChosenPort> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = attempt === 0 && preferred !== 0 ? preferred : 20_000 + Math.floor(Math.random() * 12_000);
    if (system.sockets?.isEphemeral(port) && port !== preferred) continue;
    const claim = system.host.claim(`tombstone-port-${port}`);
    if (claim === null) continue;
    if (await isUnused(host, port) && canBind(host, port)) {
      return { port, [Symbol.dispose]: () => claim[Symbol.dispose]() };
    }
    claim[Symbol.dispose]();
  }
  using listener = Deno.listen({ hostname: addressesOf(host)[0]!, port: 0 });
  return { port: (listener.addr as Deno.NetAddr).port, [Symbol.dispose]() {} };
}

/** Whether a server could listen there, on each address that the host may stand for. */
function canBind(host: string | null, port: number): boolean {
  return addressesOf(host).every((hostname) => {
    try {
      Deno.listen({ hostname, port }).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.PermissionDenied) return false;
      if (error instanceof Deno.errors.AddrNotAvailable) return true; // not an address of this machine
      if (errnoOf(error) === "EAFNOSUPPORT") return true; // no IPv6 here
      throw error;
    }
  });
}

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

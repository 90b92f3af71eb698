/**
 * Whether a port can be chosen at an address.
 *
 * @module
 */
import { tombstoneError, usageError } from "../errors.ts";

/**
 * Insists on an address that a server of this machine can listen on.
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
    // A name that cannot be resolved is a plain error without a code; an address in a wrong form a URIError.
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

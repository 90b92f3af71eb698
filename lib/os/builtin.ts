/**
 * Node's own modules, loaded only where they are needed: an import at the top costs every command 15 to 60 ms.
 *
 * @module
 */
import type * as ChildProcess from "node:child_process";
import type * as Tls from "node:tls";
import type * as Util from "node:util";

/** The modules that are used. */
export interface Builtins {
  /** Starts and waits for programs. */
  "node:child_process": typeof ChildProcess;
  /** Connects by TLS. */
  "node:tls": typeof Tls;
  /** Reads env files. */
  "node:util": typeof Util;
}

/** Loads a module; the second time costs nothing. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  const { process } = globalThis as unknown as { process: { getBuiltinModule(name: Name): Builtins[Name] } };
  return process.getBuiltinModule(name);
}

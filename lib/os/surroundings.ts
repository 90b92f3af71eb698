/**
 * What this process was started with: its directory and its variables. Neither has to be text, and Deno throws where it
 * is not.
 *
 * @module
 */
import { resolve } from "@std/path/posix/resolve";
import { TombstoneError, tombstoneError } from "../errors.ts";
import { system } from "./system.ts";

/**
 * The current directory.
 *
 * @throws {TombstoneError} its path is not valid UTF-8, or it has been removed
 */
export function currentDirectory(): string {
  try {
    return Deno.cwd();
  } catch (error) {
    const isNoText = error instanceof Deno.errors.InvalidData;
    if (!isNoText && !(error instanceof Deno.errors.NotFound)) throw error;
    throw tombstoneError(
      `Cannot use the current directory: ${isNoText ? "its path is not valid UTF-8" : "it has been removed"}`,
      {
        kind: "state",
        hint: isNoText
          ? "rename it, or use a symbolic link to it with --cwd from elsewhere"
          : "cd to one that exists; or name the node, its workspace with --workspace (tombstone list shows both) and " +
            "what begins in a directory by full paths",
        cause: error,
      },
    );
  }
}

/** The current directory; `null` if it has been removed, for what can do without. */
export function currentDirectoryIfAny(): string | null {
  try {
    return currentDirectory();
  } catch (error) {
    if (error instanceof TombstoneError && error.cause instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Like `resolve`, but does not ask for the current directory where the path does not begin in it. */
export function fromHere(path: string): string {
  return path.startsWith("/") ? resolve(path) : resolve(currentDirectory(), path);
}

/**
 * A variable that names a file or means something else exactly.
 *
 * @throws {TombstoneError} its value is not valid UTF-8
 */
export function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    throw tombstoneError(`Cannot use the variable ${name}: its value is not valid UTF-8`, {
      kind: "state",
      hint: `unset ${name}, or give it another value`,
      cause: error,
    });
  }
}

/** A variable of which some part may be of use: what is not valid UTF-8 is replaced, by the decoder's U+FFFD. */
export function variableText(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    return system.processes.environment(Deno.pid, name) ?? "";
  }
}

/**
 * Insists on arguments that are what was typed: Deno replaces what is not valid UTF-8.
 *
 * @throws {TombstoneError} one is not
 */
export function requireText(args: string[]): void {
  const altered = args.find((arg) => arg.includes("\uFFFD"));
  if (altered === undefined || system.self.hasTextArguments()) return;
  throw tombstoneError(`Cannot use the argument "${altered}": it is not valid UTF-8`, {
    kind: "usage",
    hint: "name the file in another way, for example by a pattern of the shell: sh -c 'exec node caf*.js'",
  });
}

/**
 * The current directory, variables and arguments of this process. None of them must be valid UTF-8, and Deno throws or
 * replaces characters if they are not.
 *
 * @module
 */
import { isAbsolute, isWithin, resolve } from "../paths.ts";
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
          : "cd to one that exists; or name the node and its --workspace (tombstone list shows both), and give full paths " +
            "of files and directories",
        cause: error,
      },
    );
  }
}

/** The current directory; `null` if it has been removed. */
export function currentDirectoryIfAny(): string | null {
  try {
    return currentDirectory();
  } catch (error) {
    if (error instanceof TombstoneError && error.cause instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Like `resolve`, but an absolute path works even if the current directory is gone. */
export function fromHere(path: string): string {
  return isAbsolute(path) ? resolve(path) : resolve(currentDirectory(), path);
}

/**
 * A variable of which every character matters, such as the name of a file.
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

/** A path for messages: one in the home directory begins with `~`. */
export function atHome(path: string): string {
  const home = system.files.home(variable);
  return home !== null && path !== home && isWithin(path, home) ? `~${path.slice(home.length)}` : path;
}

/** A variable for other uses: invalid UTF-8 is replaced by U+FFFD. */
export function variableText(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    return system.processes.environment(Deno.pid, name) ?? "";
  }
}

/**
 * Requires arguments in valid UTF-8, because Deno replaces invalid characters.
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

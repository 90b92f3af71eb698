/**
 * Whether a command can be executed, checked before any state is touched.
 *
 * @module
 */
import { variableText } from "../os/surroundings.ts";
import { tombstoneError, usageError } from "../errors.ts";
import { system } from "../os/system.ts";
import type { ResolveOptions } from "../os/spawn.ts";

/** The `PATH` that a command is looked up on: its own, else that of this process. */
export function searchPath(env: Record<string, string> = {}): string {
  return env.PATH ?? variableText("PATH") ?? system.shell.defaultPath;
}

/** The absolute path of a command; `null` if it cannot be executed. */
export function findProgram(program: string, options: ResolveOptions): string | null {
  const found = system.shell.resolve(program, options);
  return found.kind === "executable" || found.kind === "no-interpreter" ? found.path : null;
}

/**
 * Looks a command up as `exec` does.
 *
 * @throws {TombstoneError} not found (127) or not executable (126)
 */
export function requireExecutable(program: string, options: ResolveOptions): void {
  if (program === "") throw usageError('Cannot start "": the command is empty', "tombstone start -- COMMAND [ARG...]");
  const found = system.shell.resolve(program, options);
  switch (found.kind) {
    case "executable":
      return;
    case "no-interpreter":
      throw tombstoneError(`Cannot execute "${program}": its interpreter "${found.interpreter}" is missing`, {
        kind: "command-not-found",
        hint: `install ${found.interpreter}, or correct the first line of "${found.path}"`,
      });
    case "not-executable":
      throw tombstoneError(`Cannot execute "${program}": it is not an executable file`, {
        kind: "command-not-executable",
        hint: system.hints.makeExecutable(program),
      });
    case "missing":
      throw tombstoneError(
        `Cannot find "${program}": ${found.by === "path" ? "no such file" : "no such command on PATH"}`,
        { kind: "command-not-found", hint: "give the full path after --, or set PATH with --env PATH=..." },
      );
  }
}

/**
 * Whether a command can be executed, known before any state is touched.
 *
 * @module
 */
import { variableText } from "../os/surroundings.ts";
import { errnoOf, stateError } from "../errno.ts";
import { tombstoneError, usageError } from "../errors.ts";

/** Where to look for a command. */
export interface ResolveOptions {
  /** Directory that the command will run in. */
  cwd: string;
  /** Its `PATH`. */
  path: string;
}

type Verdict = "executable" | "not-executable" | "missing";

/** @param otherwise what a directory, or what cannot be seen, counts as; on PATH it is passed over */
function judgeFile(path: string, otherwise: Verdict): Verdict {
  try {
    const info = Deno.statSync(path);
    if (info.isDirectory) return otherwise;
    return info.isFile && ((info.mode ?? 0o111) & 0o111) !== 0 ? "executable" : "not-executable";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "missing";
    if (error instanceof Deno.errors.PermissionDenied) return otherwise;
    if (["ENAMETOOLONG", "ELOOP"].includes(errnoOf(error) ?? "")) return "missing"; // a name that no file can have
    throw stateError("look at", path, error, "elsewhere");
  }
}

function candidatesOf(program: string, options: ResolveOptions): string[] {
  if (program.includes("/")) return [program.startsWith("/") ? program : `${options.cwd}/${program}`];
  return options.path.split(":").map((dir) =>
    `${dir === "" ? options.cwd : dir.startsWith("/") ? dir : `${options.cwd}/${dir}`}/${program}`
  );
}

/** The `PATH` that a command is looked up on: its own, else that of this process. */
export function searchPath(env: Record<string, string> = {}): string {
  return env.PATH ?? variableText("PATH") ?? "/usr/local/bin:/usr/bin:/bin";
}

/** The absolute path of a command; `null` if it cannot be executed. */
export function findProgram(program: string, options: ResolveOptions): string | null {
  return candidatesOf(program, options).find((path) => judgeFile(path, "missing") === "executable") ?? null;
}

/**
 * Looks a command up as `exec` will.
 *
 * @throws {TombstoneError} not found (127) or not executable (126)
 */
export function requireExecutable(program: string, options: ResolveOptions): void {
  if (program === "") throw usageError('Cannot start "": the command is empty', "tombstone start -- COMMAND [ARG...]");
  const candidates = candidatesOf(program, options);
  const verdicts = candidates.map((path) => judgeFile(path, program.includes("/") ? "not-executable" : "missing"));
  const at = verdicts.indexOf("executable");
  if (at >= 0) return requireInterpreter(program, candidates[at]!);
  if (verdicts.includes("not-executable")) {
    throw tombstoneError(`Cannot execute "${program}": it is not an executable file`, {
      kind: "command-not-executable",
      hint: `chmod +x "${program}", or name its interpreter: tombstone start -- sh "${program}"`,
    });
  }
  throw tombstoneError(
    `Cannot find "${program}": ${program.includes("/") ? "no such file" : "no such command on PATH"}`,
    {
      kind: "command-not-found",
      hint: "give the full path after --, or set PATH with --env PATH=...",
    },
  );
}

/** A script whose `#!` line names a missing interpreter fails in `exec` with a message that blames the script. */
function requireInterpreter(program: string, path: string): void {
  const head = new Uint8Array(256);
  try {
    using file = Deno.openSync(path);
    file.readSync(head);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return; // executable, though not readable
    throw stateError("read", path, error, "elsewhere");
  }
  const interpreter = /^#![ \t]*([^\s\0]+)/.exec(new TextDecoder().decode(head))?.[1];
  if (interpreter === undefined || judgeFile(interpreter, "missing") === "executable") return;
  throw tombstoneError(`Cannot execute "${program}": its interpreter "${interpreter}" is missing`, {
    kind: "command-not-found",
    hint: `install ${interpreter}, or correct the first line of "${path}"`,
  });
}

/**
 * The POSIX shell, and how exec(3) finds a program.
 *
 * @module
 */
import { errnoOf, stateError } from "../errno.ts";
import type { Resolved, ResolveOptions, Shell } from "../spawn.ts";

/** Where POSIX systems have it. */
export const SH = "/bin/sh";

const BASIC = ["PATH", "HOME", "LANG", "TERM", "TMPDIR"];

type Executability = "executable" | "not-executable" | "missing";

/** @param otherwise result for a directory or a file closed to this user; those on PATH are skipped */
function checkFile(path: string, otherwise: Executability): Executability {
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

/** The absolute path of a command; `null` if it cannot be executed. */
export function findProgram(program: string, options: ResolveOptions): string | null {
  return candidatesOf(program, options).find((path) => checkFile(path, "missing") === "executable") ?? null;
}

function resolve(program: string, options: ResolveOptions): Resolved {
  const by = program.includes("/") ? "path" : "name";
  const candidates = candidatesOf(program, options);
  const results = candidates.map((path) => checkFile(path, by === "path" ? "not-executable" : "missing"));
  const at = results.indexOf("executable");
  if (at < 0) return { kind: results.includes("not-executable") ? "not-executable" : "missing", by };
  const path = candidates[at]!;
  const interpreter = interpreterOf(path);
  return interpreter === null || checkFile(interpreter, "missing") === "executable"
    ? { kind: "executable", path }
    : { kind: "no-interpreter", path, interpreter };
}

/** A script whose `#!` line names a missing interpreter fails in `exec` with a message that blames the script. */
function interpreterOf(path: string): string | null {
  const head = new Uint8Array(256);
  try {
    using file = Deno.openSync(path);
    file.readSync(head);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return null; // executable, though not readable
    throw stateError("read", path, error, "elsewhere");
  }
  return /^#![ \t]*([^\s\0]+)/.exec(new TextDecoder().decode(head))?.[1] ?? null;
}

/** The POSIX shell. */
export const shell: Shell = {
  name: SH,
  words: (line) => [SH, "-c", line],
  logging: (line, log) => [SH, "-c", `exec >>"$0" 2>&1\n${line}`, log],
  toStderr: (words) => [SH, "-c", 'exec "$@" >&2', "sh", ...words],
  lineOf([program, option, line, ...more]) {
    const isShell = program === SH || program === "sh";
    return isShell && option === "-c" && line !== undefined && more.length === 0 ? line : null;
  },
  resolve,
  quote: (word) => /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  isBasic: (variable) => BASIC.includes(variable) || variable.startsWith("LC_"),
  defaultPath: "/usr/local/bin:/usr/bin:/bin",
};

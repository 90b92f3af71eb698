/**
 * Running `ps`, `lsof` and the like: always in the C locale and UTC, and with a time limit.
 *
 * @module
 */
import { builtin } from "../builtin.ts";
import { errnoOf, stateError } from "../errno.ts";
import { findProgram } from "./shell.ts";

/** Output of a program, whatever its exit code; `null` if it is not installed, or did not exit in time. */
export type Ran = { code: number; text: string } | null;

/** Directories that may be missing in PATH: macOS has lsof in /usr/sbin. */
const PLACES = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

const paths = new Map<string, string | null>();

/** Path of a system program; `null` if it is not installed. */
export function pathOf(program: string): string | null {
  if (!paths.has(program)) paths.set(program, findProgram(program, { cwd: "/", path: searchPath() }));
  return paths.get(program)!;
}

function searchPath(): string {
  let path: string | undefined;
  try {
    path = Deno.env.get("PATH");
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error; // it is not valid UTF-8
  }
  return [path, ...PLACES].filter(Boolean).join(":");
}

/** `lstart` of ps depends on language and time zone. No variable of an attempt is passed on. */
function environment(): Record<string, string> {
  return { PATH: searchPath(), LC_ALL: "C", TZ: "UTC0" };
}

/** Longest output that is read, in bytes. */
const LARGEST_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * Runs a system program until it exits. Only for programs that read tables of the kernel.
 *
 * @throws {TombstoneError} the system refuses to run it, as with too many open files; then nothing is known
 */
export function run(program: string, args: string[]): Ran {
  const path = pathOf(program);
  if (path === null) return null;
  try {
    const { code, stdout } = commandOf(path, args).outputSync();
    return { code, text: new TextDecoder().decode(stdout) };
  } catch (error) {
    throw refused(path, error);
  }
}

/** The same, at most for so many milliseconds: lsof(8) can hang on a network file system. */
export function runWithin(longestMs: number, program: string, args: string[]): Ran {
  const path = pathOf(program);
  if (path === null) return null;
  const { status, stdout, error } = builtin("node:child_process").spawnSync(path, args, {
    cwd: "/",
    env: environment(),
    stdio: ["ignore", "pipe", "ignore"],
    timeout: longestMs,
    killSignal: "SIGKILL",
    maxBuffer: LARGEST_OUTPUT_BYTES,
  });
  if (errnoOf(error) === "ETIMEDOUT") return null;
  if (error !== undefined) throw refused(path, error);
  if (stdout === undefined) return run(program, args); // it does not say why it could not spawn anything, but this does
  return { code: status ?? -1, text: new TextDecoder().decode(stdout as Uint8Array) };
}

/** The same, without blocking the thread. */
export async function runAsync(longestMs: number, program: string, args: string[]): Promise<Ran> {
  const path = pathOf(program);
  if (path === null) return null;
  let child: Deno.ChildProcess;
  try {
    child = commandOf(path, args).spawn();
  } catch (error) {
    throw refused(path, error);
  }
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL"); // it was not waited for, so its pid is still its own
  }, longestMs);
  try {
    const { code, stdout } = await child.output();
    return isLate ? null : { code, text: new TextDecoder().decode(stdout) };
  } finally {
    clearTimeout(limit);
  }
}

function refused(path: string, error: unknown): unknown {
  return stateError("run", path, error, "elsewhere");
}

function commandOf(path: string, args: string[]): Deno.Command {
  return new Deno.Command(path, {
    args,
    cwd: "/", // the current directory may have been removed, and then nothing can be spawned in it
    clearEnv: true,
    env: environment(),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
}

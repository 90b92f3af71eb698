/**
 * Where the tasks take `@std` from: JSR, as `deno.json` says and users get it, or, where JSR cannot be reached,
 * the same modules from the npm registry.
 *
 * @module
 */

/** What a task passes to Deno, and what it tells. */
export interface StandardLibrary {
  /** Flags for `deno run`, `deno test` and the like. */
  flags: string[];
  /** One line for people. */
  message: string;
}

/** Root of the checkout. */
export const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Longest wait for JSR, in milliseconds. */
const TIMEOUT_MS = 5000;

/** Whether Deno gets a module from JSR, wherever `JSR_URL` and its cache say that is. */
async function canReachJsr(): Promise<boolean> {
  const attempt = new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", "--no-config", "jsr:@std/path@^1/posix/basename"],
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return (await attempt.output()).success;
}

/** Finds out; `TOMBSTONE_STD=jsr` or `npm` decides beforehand. */
export async function findStandardLibrary(): Promise<StandardLibrary> {
  const wanted = Deno.env.get("TOMBSTONE_STD");
  const npm = ["--import-map", `${ROOT}/npm_imports.json`];
  if (wanted === "npm") return { flags: npm, message: "TOMBSTONE_STD=npm: @std from the npm registry" };
  if (wanted === "jsr") return { flags: [], message: "TOMBSTONE_STD=jsr: @std from JSR" };
  return await canReachJsr()
    ? { flags: [], message: "JSR can be reached: @std from there (deno.json)" }
    : { flags: npm, message: "JSR cannot be reached: @std from the npm registry (npm_imports.json)" };
}

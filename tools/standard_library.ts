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

const PROBE = "https://jsr.io/@std/path/meta.json";

/** Root of the checkout. */
export const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Finds out, in at most three seconds; `TOMBSTONE_STD=jsr` or `npm` decides beforehand. */
export async function findStandardLibrary(): Promise<StandardLibrary> {
  const npm = (why: string) => ({
    flags: ["--import-map", `${ROOT}/npm_imports.json`],
    message: `${why}: @std comes from the npm registry (npm_imports.json)`,
  });
  const jsr = (why: string) => ({ flags: [], message: `${why}: @std comes from there (deno.json)` });
  const wanted = Deno.env.get("TOMBSTONE_STD");
  if (wanted === "npm") return npm("TOMBSTONE_STD=npm");
  if (wanted === "jsr") return jsr("TOMBSTONE_STD=jsr");
  try {
    const response = await fetch(PROBE, { signal: AbortSignal.timeout(3000) });
    await response.body?.cancel();
    return response.ok ? jsr("JSR can be reached") : npm(`JSR answers with status ${response.status}`);
  } catch (error) {
    const isNetwork = error instanceof TypeError || error instanceof DOMException;
    if (!isNetwork) throw error;
    return npm("JSR cannot be reached");
  }
}

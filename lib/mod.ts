/**
 * Servers for programs: the engine behind the `tombstone` command, as a library.
 *
 * A node that is started here is the same as one started from the command line: detached, recorded, found by
 * `tombstone status`, and cleaned up by the next start if this program is killed.
 *
 * @example A server for the time of one test
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { start } from "./mod.ts";
 *
 * const serve = `Deno.serve({ port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1" }, () => new Response("hello"))`;
 * await using web = await start({
 *   name: "hello",
 *   command: [Deno.execPath(), "eval", serve],
 *   port: 0,
 *   probes: { http: "/" },
 * });
 * assertEquals(await (await fetch(web.url!)).text(), "hello");
 * ```
 *
 * @example What went wrong, as a class
 * ```ts
 * import { assert, assertEquals, assertRejects } from "@std/assert";
 * import { ServerExitedError, start } from "./mod.ts";
 *
 * const error = await assertRejects(
 *   () => start({ name: "broken", command: "echo no database; exit 3" }),
 *   ServerExitedError,
 * );
 * assertEquals(error.exitCode, 1);
 * assert(error.logTail.includes("no database"));
 * ```
 *
 * @module
 */
export { start, type StartOptions } from "./api/start.ts";
export type { LogSettings, NodeSettings, ProbeSettings, StopSettings } from "./api/options.ts";
export { RunningNode } from "./api/node.ts";
export { type Locator, status, stop } from "./api/where.ts";
export {
  AbortedError,
  CommandError,
  DifferentRunningError,
  type ErrorKind,
  EXIT,
  FailedLogError,
  LockTimeoutError,
  NothingThereError,
  NotReadyError,
  PortInUseError,
  ServerExitedError,
  StateError,
  StopFailedError,
  TombstoneError,
  type TombstoneErrorOptions,
  UnsupportedError,
  UsageError,
} from "./errors.ts";
export type { Duration } from "./spec/values.ts";
export type { NodeReport, State } from "./engine/report.ts";
export type { Recovered } from "./engine/reporter.ts";

/**
 * The process that a server's own pid file names, when that can be proven.
 *
 * @module
 */
import { isAlive, isPlausiblePid, platform } from "../os/platform.ts";
import type { Identity } from "../os/types.ts";
import { readSmallFile } from "../state/durable.ts";
import { stateError } from "../errors.ts";
import { ATTEMPT_VARIABLE } from "./tree.ts";

/**
 * The daemon of an attempt. Its pid alone proves nothing, but the order of three moments does: it was started
 * after the launcher and before the file was last written. Whoever has the pid now and was alive then is
 * the process that the file means; a later owner of a recycled pid is younger than the file.
 *
 * @param path the pid file, removed by the tool before the launcher was spawned
 * @param launcher the launcher of the attempt
 */
export function findDaemon(path: string, attempt: string, launcher: Identity): Identity | null {
  const content = readSmallFile(path);
  const pid = content.kind === "text" && /^\s*\d{1,7}\s*$/.test(content.text) ? Number(content.text) : 0;
  if (!isPlausiblePid(pid) || pid === launcher.pid) return null;
  const row = platform.read(pid);
  if (row === null || !isAlive(row)) return null;
  const named = platform.environment(pid, ATTEMPT_VARIABLE);
  if (named !== null && named !== attempt) return null;
  if (row.startTime < launcher.startTime) return null;
  const written = modifiedAtMs(path);
  if (written === null) return null;
  const started = platform.startedAtMs(row.startTime);
  return started <= written + platform.startPrecisionMs ? { pid, startTime: row.startTime } : null;
}

function modifiedAtMs(path: string): number | null {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw stateError("read", path, error);
  }
}

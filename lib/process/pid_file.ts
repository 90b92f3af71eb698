/**
 * The process that a server's own pid file names, when that can be proven.
 *
 * @module
 */
import { isPlausiblePid, system } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import { modifiedAtMs, readSmallFile } from "../state/durable.ts";
import type { LaunchRecord } from "../state/launch_record.ts";
import { ATTEMPT_VARIABLE } from "./tree.ts";

/**
 * The daemon of an attempt. Its pid alone proves nothing, but its environment does, or the order of three
 * moments: it was started after the launcher and before the file was last written. Whoever has the pid now and was
 * alive then is the process that the file means; a later owner of a recycled pid is younger than the file.
 *
 * Processes are dated by the kernel's ticks and files by the wall clock. Two clocks that are set apart meanwhile would
 * hide the daemon, so the offset between them is taken twice: now, and at the writing of the launch record.
 * (Test: "the clock set a year back or forth".)
 *
 * @param path the pid file, removed by the tool before the launcher was spawned
 * @param launch the launcher of the attempt
 */
export function findDaemon(path: string, launch: LaunchRecord): Identity | null {
  const launcher = launch.process;
  const content = readSmallFile(path);
  const pid = content.kind === "text" && /^\s*\d{1,7}\s*$/.test(content.text) ? Number(content.text) : 0;
  if (launcher === null || !isPlausiblePid(pid) || pid === launcher.pid) return null;
  const row = system.processes.read(pid);
  if (row === null || !row.isAlive || row.startTime < launcher.startTime) return null;
  const daemon: Identity = { pid, startTime: row.startTime };
  const named = system.processes.environment(pid, ATTEMPT_VARIABLE);
  if (named !== null) return named === launch.attempt ? daemon : null;
  const written = modifiedAtMs(path);
  if (written === null) return null;
  const started = system.processes.startedAtMs(row.startTime);
  const age = started - system.processes.startedAtMs(launcher.startTime); // at its start, since the launcher's
  const recorded = launch.recordedAtMs;
  const isOlder = started <= written + system.processes.startPrecisionMs ||
    (recorded !== null && recorded + age <= written + system.processes.startPrecisionMs);
  return isOlder ? daemon : null;
}

/**
 * A daemon on its way: between its fork and the writing of its pid file, one that has given up session, environment and
 * descriptors is known by nothing. Who ends an attempt in that time waits for the file.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { Identity } from "../os/types.ts";
import { sleep } from "../timers.ts";
import { findDaemon } from "../process/pid_file.ts";
import { readSmallFile } from "../state/durable.ts";
import { readLaunchRecord } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { relate } from "./elsewhere.ts";
import type { NodeFiles } from "./state.ts";

/** Longest wait for the file, in milliseconds: where somebody is there who still has the log open, and where nobody is. */
const DAEMON_WAIT = { seen: 3000, unseen: 500 };

/** How long after the launch the file may still come, in milliseconds. */
const DAEMON_TIME_MS = 5000;

/** Waits until a pid file that has not been written yet names a daemon; resolves to whether it does. */
export async function untilNamed(dir: NodeDir, pidFile: string, find: () => Identity | null): Promise<boolean> {
  const begun = performance.now();
  while (isUnwritten(pidFile)) {
    const isSeen = system.files.hasWriter(dir.log) === true;
    if (performance.now() - begun >= DAEMON_WAIT[isSeen ? "seen" : "unseen"]) return false;
    await sleep(10);
  }
  return find() !== null;
}

function isUnwritten(pidFile: string): boolean {
  const content = readSmallFile(pidFile);
  return content.kind === "missing" || content.kind === "text" && content.text.trim() === "";
}

/**
 * The same for a start that was interrupted just now. (Test: "a daemon on its way when its start is ended …".)
 */
export async function untilLateDaemon(dir: NodeDir, { tombstone }: NodeFiles): Promise<boolean> {
  if (tombstone.kind !== "record" || tombstone.record.failed !== null) return false;
  const { attempt, pid_file } = tombstone.record;
  if (pid_file === null || relate(tombstone.record) !== "same-boot") return false;
  const launch = readLaunchRecord(dir, attempt);
  const isNew = launch.recordedAtMs !== null && Date.now() - launch.recordedAtMs < DAEMON_TIME_MS;
  return launch.process !== null && isNew && await untilNamed(dir, pid_file, () => findDaemon(pid_file, launch));
}

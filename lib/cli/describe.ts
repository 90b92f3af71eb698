/**
 * What was ended and removed, in words.
 *
 * @module
 */
import type { Recovered } from "../engine/reporter.ts";

const REASONS: Record<Recovered["reason"], string> = {
  "interrupted-start": "an interrupted start",
  "interrupted-run": "an interrupted run or up",
  "lease-over": "a server whose lease was over",
  "died": "a server that died",
  "rebooted": "a server from before the reboot",
  "removed-state": "removed state",
  "unreadable-state": "unreadable state",
  "elsewhere": "state of another host or namespace",
};

const PROGRESS: Record<Recovered["progress"], string> = {
  "before-spawn": "nothing spawned yet",
  "spawned": "server spawned",
  "committed": "committed",
};

/** As part of a message, that some processes had to be killed. */
export function describeKilled(killed: number[]): string {
  return killed.length === 0 ? "" : `, by SIGKILL: ${killed.join(", ")}`;
}

/** A recovery in one line. */
export function describeRecovery(node: string, what: Recovered): string {
  const about = [
    what.attempt === null ? null : `attempt ${what.attempt}`,
    what.starter === null ? null : `by pid ${what.starter}`,
    what.begun_at === null ? null : `begun ${what.begun_at}`,
    PROGRESS[what.progress],
  ].filter((part) => part !== null).join(", ");
  const killed = describeKilled(what.killed);
  const nobody = what.reason === "elsewhere" ? "its processes were left alone" : "no process left";
  const ended = what.pids.length === 0 ? nobody : `ended pid ${what.pids.join(", ")}${killed}`;
  const removed = what.files.length === 0 ? "no file left" : `removed ${what.files.join(", ")}`;
  return `recovered "${node}" from ${REASONS[what.reason]} (${about}): ${ended}; ${removed}`;
}

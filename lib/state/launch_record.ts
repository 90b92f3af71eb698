/**
 * The launch record: before it runs the user's command, the launcher writes its identity into the node's directory. Each
 * attempt has a file of its own, so that a late launcher of a dead attempt cannot overwrite the record of a living one.
 *
 * @module
 */
import { isPlausiblePid, system } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import { modifiedAtMs, readSmallFile } from "./durable.ts";
import { entriesOf, type NodeDir } from "./node_dir.ts";
import { asAttempt } from "../spec/json.ts";

/** The launch record of an attempt, which may not be written yet. */
export interface LaunchRecord {
  /** Attempt that it belongs to. */
  attempt: string;
  /** The launcher's process, which becomes the server's; `null` while the record is not written. */
  process: Identity | null;
  /** When it was written, in milliseconds since 1970 by the clock of that time; `null` if it is missing. */
  recordedAtMs: number | null;
}

/** Path of the record of an attempt. */
export function launchRecordPath(dir: NodeDir, attempt: string): string {
  return `${dir.path}/launch.${attempt}`;
}

/** The attempt of a launch record, by the name of the file; `null` for other files. */
export function attemptOfEntry(name: string): string | null {
  return name.startsWith("launch.") ? asAttempt(name.slice("launch.".length)) : null;
}

/** The record of one attempt. */
export function readLaunchRecord(dir: NodeDir, attempt: string): LaunchRecord {
  const content = readSmallFile(launchRecordPath(dir, attempt), "own");
  const process = content.kind === "text" ? system.launcher.parseRecord(content.text.trim()) : null;
  return {
    attempt,
    process: process !== null && isPlausiblePid(process.pid) ? process : null,
    recordedAtMs: content.kind === "text" ? modifiedAtMs(launchRecordPath(dir, attempt)) : null,
  };
}

/** Attempts that have a launch record, by the entries of a node's directory. */
export function launchesAmong(entries: string[]): string[] {
  return entries.map(attemptOfEntry).filter((attempt) => attempt !== null);
}

/** Every launch record of a node. */
export function readLaunchRecords(dir: NodeDir): LaunchRecord[] {
  return launchesAmong(entriesOf(dir)).map((attempt) => readLaunchRecord(dir, attempt));
}

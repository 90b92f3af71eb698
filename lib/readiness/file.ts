/**
 * A condition about a file.
 *
 * @module
 */
import { modifiedAtMs } from "../state/durable.ts";
import type { ProbeTarget, Verdict } from "./types.ts";

/** Whether a file exists that was written since the attempt began. */
export function checkFile(path: string, subject: ProbeTarget): Verdict {
  const written = modifiedAtMs(path);
  if (written === null) return { kind: "wait", state: `"${path}" does not exist` };
  // Both moments are dated by the kernel's own clock for files, which goes in steps of some milliseconds.
  if (subject.sinceMs !== null && written < subject.sinceMs) {
    return { kind: "wait", state: `"${path}" is older than this start` };
  }
  return { kind: "pass" };
}

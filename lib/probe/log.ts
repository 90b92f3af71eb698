/**
 * A condition about the server's output.
 *
 * @module
 */
import { LogReader } from "../state/log_reader.ts";
import type { Prober } from "./probe.ts";

/** Whether a whole line of this start's log matches, colours left out. Each line is looked at once. */
export function logProber(pattern: string): Prober {
  const wanted = new RegExp(pattern);
  let reader: LogReader | null = null;
  let isFound = false;
  return ({ roots }) => {
    reader ??= new LogReader(roots.dir.log);
    isFound ||= reader.lines().some((line) => wanted.test(line));
    return isFound ? { kind: "pass" } : { kind: "wait", state: `no line of its log matches /${pattern}/` };
  };
}

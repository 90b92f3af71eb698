/**
 * The text of `ps`, in the C locale and UTC.
 *
 * @module
 */
import type { PosixRow } from "./members.ts";

/** The columns that {@linkcode parsePs} reads, which macOS, the BSDs and procps share. */
export const COLUMNS = "pid=,ppid=,pgid=,stat=,lstart=,comm=";

/** Parses the output of `ps -o` with {@linkcode COLUMNS}. Skips lines of another form. */
export function parsePs(text: string): PosixRow[] {
  const rows: PosixRow[] = [];
  const form = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/;
  for (const line of text.split("\n")) {
    const fields = form.exec(line);
    const startTime = parseStart(fields?.[5] ?? "");
    if (fields === null || startTime === null) continue;
    rows.push({
      pid: Number(fields[1]),
      ppid: Number(fields[2]),
      pgid: Number(fields[3]),
      sid: null,
      startTime,
      isAlive: !/^[ZX]/.test(fields[4]!),
      isStopped: fields[4]!.startsWith("T"),
      name: fields[6]!.trim().split("/").at(-1)!,
    });
  }
  return rows;
}

/** `Sun Nov 22 08:04:56 2026`, the column `lstart`, as seconds since 1970; `null` for anything else. */
export function parseStart(text: string): number | null {
  const form = /^\w{3}\s+(\w{3})\s+(\d+)\s+(\d\d:\d\d:\d\d)\s+(\d{4})$/.exec(text.trim());
  if (form === null) return null;
  const time = Date.parse(`${form[1]} ${form[2]}, ${form[4]} ${form[3]} UTC`);
  return Number.isNaN(time) ? null : time / 1000;
}

/**
 * Values of one variable by pid. `ps` prints the environment behind the arguments, and only blanks separate them, so
 * the arguments are taken off by a second run without it. Leaves out a process if ps does not show its environment, if
 * its arguments changed between the two runs, or if the value is ambiguous.
 *
 * @param plain output of `ps -o pid=,command=`
 * @param full the same with the environment
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { variableByPid } from "./ps_output.ts";
 *
 * const plain = "  7 sleep 60\n  8 grep A=1\n";
 * const full = "  7 sleep 60 PATH=/bin A=/a b HOME=/\n  8 grep A=1 PATH=/bin\n";
 * assertEquals([...variableByPid(plain, full, "A")], [[7, "/a b"]]);
 * ```
 */
export function variableByPid(plain: string, full: string, variable: string): Map<number, string> {
  const values = new Map<number, string>();
  const commands = new Map(linesByPid(plain));
  for (const [pid, text] of linesByPid(full)) {
    const command = commands.get(pid);
    if (command === undefined || !text.startsWith(`${command} `)) continue;
    const found = new Set(valuesIn(text.slice(command.length), variable));
    if (found.size === 1) values.set(pid, [...found][0]!);
  }
  return values;
}

/** Pids whose line mentions a variable, in its arguments or its environment. */
export function pidsThatName(full: string, variable: string): number[] {
  return linesByPid(full).filter(([, text]) => text.includes(` ${variable}=`)).map(([pid]) => pid);
}

function linesByPid(text: string): [number, string][] {
  return text.split("\n").flatMap((line): [number, string][] => {
    const form = /^\s*(\d+) (.*?)\s*$/.exec(line);
    return form === null ? [] : [[Number(form[1]), form[2]!]];
  });
}

/** A value may hold blanks; it ends where the next word has a `=`. */
function valuesIn(environment: string, variable: string): string[] {
  const form = new RegExp(` ${variable}=(.*?)(?= [^ =]+=|$)`, "g");
  return [...environment.matchAll(form)].map(([, value]) => value!);
}

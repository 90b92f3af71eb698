/**
 * Processes by `ps`.
 *
 * @module
 */
import { type TombstoneError, tombstoneError } from "../../errors.ts";
import { mayBlock } from "../thread.ts";
import type { ProcessWithVariable } from "../rows.ts";
import type { PosixRow } from "./members.ts";
import { COLUMNS, parsePs, pidsThatName, variableByPid } from "./ps_output.ts";
import { type Ran, run, runAsync } from "./run.ts";

/** Longest run, in milliseconds. */
const LONGEST_MS = 10_000;

/** How often a failed ps is repeated. */
const MOST_TRIES = 3;

/** Adds the environment to the arguments: macOS has `-E` for it, FreeBSD `-e`, procps the `e` of BSD without a dash. */
const WITH_ENVIRONMENT = { darwin: "-wwE", freebsd: "-wwe" }[Deno.build.os as string] ?? "eww";

const ROWS = ["-o", COLUMNS];
const ARGUMENTS = ["-o", "pid=,command="];

/** All processes, of all users, without a terminal, too. */
const ALL = "-A";

/**
 * The process with this pid; `null` if there is none. Reads it together with this process, so that a failed read does
 * not look like a death. (Test: "a look that fails is not a death".)
 */
export function read(pid: number): PosixRow | null {
  return readRows([...ROWS, "-p", `${pid},${Deno.pid}`]).find((row) => row.pid === pid) ?? null;
}

/** Every process, with its value of a variable. */
export function list(variable: string): ProcessWithVariable[] {
  const rows = readRows([...ROWS, ALL]);
  const full = textOf(run("ps", withEnvironment(ALL)));
  const pids = pidsThatName(full, variable);
  return withValues(rows, full, pids.length === 0 ? "" : argumentsOf(pids), variable);
}

/** The same, without blocking the thread of a program. */
export async function listAsync(variable: string): Promise<ProcessWithVariable[]> {
  if (mayBlock()) return list(variable);
  const ask = async (args: string[]) => textOf(await runAsync(LONGEST_MS, "ps", args));
  const rows = parsePs(await ask([...ROWS, ALL]));
  if (!isWhole(rows)) return list(variable);
  const full = await ask(withEnvironment(ALL));
  const pids = pidsThatName(full, variable);
  return withValues(
    rows,
    full,
    pids.length === 0 ? "" : await ask(["-ww", ...ARGUMENTS, "-p", pids.join(",")]),
    variable,
  );
}

/** One variable of a process's environment; `null` if it is not set or cannot be read. */
export function environment(pid: number, name: string): string | null {
  const full = textOf(run("ps", withEnvironment("-p", String(pid))));
  return full === "" ? null : variableByPid(argumentsOf([pid]), full, name).get(pid) ?? null;
}

/** Command line of a process; empty if there is none. */
export function commandLine(pid: number): string {
  return columnOf(pid, "command");
}

/** One column of a process, cut to nothing; empty if there is none. */
export function columnOf(pid: number, column: string): string {
  return textOf(run("ps", ["-ww", "-o", `${column}=`, "-p", String(pid)])).trim();
}

function argumentsOf(pids: number[]): string {
  return textOf(run("ps", ["-ww", ...ARGUMENTS, "-p", pids.join(",")]));
}

/** The option that procps has for the environment comes first, since it has no dash. */
function withEnvironment(...which: string[]): string[] {
  return [WITH_ENVIRONMENT, ...ARGUMENTS, ...which];
}

function withValues(rows: PosixRow[], full: string, plain: string, variable: string): ProcessWithVariable[] {
  const values = variableByPid(plain, full, variable);
  return rows.map((row) => ({ ...row, value: row.isAlive ? values.get(row.pid) ?? null : null }));
}

/** Reads processes, always including this one. */
function readRows(args: string[]): PosixRow[] {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const rows = parsePs(textOf(run("ps", args)));
    if (isWhole(rows)) return rows;
  }
  throw failed("it does not show this process");
}

function isWhole(rows: PosixRow[]): boolean {
  return rows.some(({ pid }) => pid === Deno.pid);
}

function textOf(ran: Ran): string {
  if (ran === null) throw failed("it is not installed, or does not answer");
  return ran.text;
}

function failed(state: string): TombstoneError {
  return tombstoneError(`Cannot look at the processes by ps: ${state}`, {
    kind: "state",
    hint: "ps -A has to work here (Debian has it in the package procps)",
  });
}

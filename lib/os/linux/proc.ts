/**
 * Reading `/proc` (proc(5)): processes, their environment, descriptors and signal handling. Reads are synchronous: each takes
 * a few microseconds, far less than a trip through the thread pool.
 *
 * @module
 */
import { errnoOf, stateError } from "../errno.ts";
import { tombstoneError } from "../../errors.ts";
import type { PosixRow } from "../posix/members.ts";
import type { ProcessRow, ProcessWithVariable, SignalState } from "../rows.ts";

/**
 * Text of a `/proc` file; `null` if it is gone or closed to this user.
 *
 * @throws {TombstoneError} any other failure, such as too many open files: an unreadable process must not count as dead
 */
export function readProc(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    // The process is just exiting or executing another program.
    if (isOutOfSight(error) || errnoOf(error) === "EIO" && /\/(environ|cmdline)$/.test(path)) return null;
    throw stateError("read", path, error);
  }
}

/**
 * Text of a file with the id of the machine or boot; `null` if it is missing. Other failures are errors: with a wrong
 * id, records would seem to come from another machine.
 *
 * @throws {TombstoneError} it exists, but cannot be read
 */
export function readId(path: string): string | null {
  try {
    return Deno.readTextFileSync(path).trim() || null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw stateError("read", path, error);
  }
}

/**
 * Whether an error means that a process has exited between two reads, or belongs to another user. A process that is gone is
 * ESRCH, for which Deno has no class and sets no code. No other error means that a process is gone.
 */
export function isOutOfSight(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotADirectory || errnoOf(error) === "ESRCH";
}

/**
 * Parses one line of `/proc/PID/stat`. The name may contain blanks and parentheses, so the fields are counted from the
 * last `)`.
 *
 * @returns `null` if the text is not such a line
 */
export function parseStat(text: string): PosixRow | null {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 1 || close < open) return null;
  const pid = Number(text.slice(0, open));
  const fields = text.slice(close + 1).trim().split(" ");
  // Fields 3, 4, 5, 6, 20 and 22 of proc_pid_stat(5).
  const [ppid, pgid, sid, threads, startTime] = [1, 2, 3, 17, 19].map((index) => Number(fields[index]));
  if (![pid, ppid, pgid, sid, threads, startTime].every(Number.isSafeInteger)) return null;
  return {
    pid,
    ppid: ppid!,
    pgid: pgid!,
    sid: sid!,
    startTime: startTime!,
    isAlive: fields[0] === "Z" ? threads! > 1 : fields[0] !== "X",
    isStopped: fields[0] === "T",
    name: text.slice(open + 1, close),
  };
}

/** The process with this pid; `null` if there is none, or if it is the id of a thread. */
export function readProcess(pid: number): ProcessRow | null {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The id of a thread has a directory here too, though no listing shows it.
  const tgid = /^Tgid:\s*(\d+)$/m.exec(readProc(`/proc/${pid}/status`) ?? "")?.[1];
  return Number(tgid) === pid ? parseStat(stat) : null;
}

/** `PF_KTHREAD` of the kernel's `include/linux/sched.h`, in field 9 of proc_pid_stat(5). */
const KERNEL_THREAD = 0x0020_0000;

/** Most listings of `/proc` for one scan. */
const MOST_LISTINGS = 10;

/**
 * Every process except kernel threads. A process that forks and exits may be gone before it is read, with its child too
 * late for the listing, so new entries are read until a listing has none. (Test: "a process that becomes another one … is
 * caught".) It can be interrupted after each listing.
 */
export function* listProcesses(variable: string): Generator<void, ProcessWithVariable[]> {
  const rows: ProcessWithVariable[] = [];
  const seen = new Set<string>();
  for (let before = -1, listing = 0; before !== seen.size && listing < MOST_LISTINGS; listing++) {
    before = seen.size;
    for (const name of listProc()) {
      if (seen.has(name) || !/^\d+$/.test(name)) continue;
      seen.add(name);
      const stat = readProc(`/proc/${name}/stat`) ?? "";
      const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ", 7)[6]);
      const row = (flags & KERNEL_THREAD) === 0 ? parseStat(stat) : null;
      if (row !== null) rows.push({ ...row, value: row.isAlive ? environment(row.pid, variable) : null });
      yield;
    }
  }
  return rows;
}

/** How often a failed listing of `/proc` is repeated. */
const MOST_TRIES = 3;

/**
 * Names of the entries of `/proc`. Deno hides an error in the middle of a listing, so one without this process has failed.
 * (Test: "a listing that fails is told …".)
 */
function listProc(): string[] {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const names = namesIn("/proc");
    if (names.includes(String(Deno.pid))) return names;
  }
  throw tombstoneError('Cannot list "/proc": it does not show this process', {
    kind: "state",
    hint: "tombstone doctor",
  });
}

function namesIn(path: string): string[] {
  try {
    return Array.from(Deno.readDirSync(path), ({ name }) => name);
  } catch (error) {
    throw stateError("list", path, error);
  }
}

/** One variable of a process's environment; `null` if it is not set or cannot be read. */
export function environment(pid: number, name: string): string | null {
  const text = readProc(`/proc/${pid}/environ`);
  const entry = text?.split("\0").find((variable) => variable.startsWith(`${name}=`));
  return entry === undefined ? null : entry.slice(name.length + 1);
}

/**
 * Targets of the descriptors of a process, by descriptor; `null` if they cannot be read. A file whose name is not UTF-8 is
 * left out: it is neither a socket nor a node's log.
 */
export function descriptors(pid: number): Map<string, string> | null {
  const path = `/proc/${pid}/fd`;
  const found = new Map<string, string>();
  let isHidden = false;
  try {
    // Hardly any process has none, so an empty listing may have failed.
    const names = Array.from(Deno.readDirSync(path), ({ name }) => name);
    for (const name of names.length > 0 ? names : Array.from(Deno.readDirSync(path), ({ name }) => name)) {
      try {
        found.set(name, Deno.readLinkSync(`${path}/${name}`));
      } catch (error) {
        if (error instanceof Deno.errors.InvalidData) continue;
        if (!isOutOfSight(error)) throw error; // closed meanwhile
        isHidden ||= error instanceof Deno.errors.PermissionDenied;
      }
    }
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return null;
    if (!isOutOfSight(error)) throw stateError("read", path, error);
  }
  return isHidden && found.size === 0 ? null : found;
}

/** Signals of signal(7) in the order of their numbers from 1 on, the same on x86-64 and AArch64. */
export const SIGNALS: Deno.Signal[] = [
  ...["SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1"] as const,
  ...["SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP"] as const,
  ...["SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH"] as const,
  ...["SIGIO", "SIGPWR", "SIGSYS"] as const,
];

/** Reads `/proc/PID/status`; `null` if the text is not that of a process. */
export function parseSignalState(text: string): SignalState | null {
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? null;
  const mask = (name: string) => {
    const hex = field(name);
    return hex !== null && /^[0-9a-f]+$/.test(hex) ? BigInt(`0x${hex}`) : 0n;
  };
  const state = field("State");
  if (state === null || field("SigCgt") === null) return null;
  const [ignored, caught, blocked] = [mask("SigIgn"), mask("SigCgt"), mask("SigBlk")];
  const pending = mask("SigPnd") | mask("ShdPnd");
  const has = (set: bigint, name: Deno.Signal) => ((set >> BigInt(SIGNALS.indexOf(name))) & 1n) === 1n;
  // The first process of a pid namespace ignores signals that it does not catch, pid_namespaces(7).
  const isInit = field("NSpid")?.split(/\s+/).at(-1) === "1";
  return {
    catches: (name) => has(caught, name),
    ignores: (name) => has(ignored, name) || isInit && !has(caught | blocked, name),
    blocks: (name) => has(blocked, name),
    isPending: (name) => has(pending, name),
    isAsleep: state.startsWith("S"),
    runs: Number(field("voluntary_ctxt_switches") ?? 0) + Number(field("nonvoluntary_ctxt_switches") ?? 0),
  };
}

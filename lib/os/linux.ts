/**
 * Linux through `/proc` (proc(5)). Reads are synchronous: each takes a few microseconds, far less
 * than a trip through the thread pool. The socket table is the exception: see sock_diag.ts.
 *
 * @module
 */
import type { Identity, ListenerRow, Listeners, Platform, ProcessRow, ProcessWithVariable } from "./types.ts";
import { errnoOf, stateError } from "../errors.ts";
import { queryListeners } from "./sock_diag.ts";
import { parseListeners } from "./socket_table.ts";

/** `USER_HZ`: start times of `/proc/PID/stat` count in these, on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/**
 * Text of a `/proc` file, or `null` when it is gone or not ours to read.
 *
 * @throws {TombstoneError} any other failure, such as too many open files: a process that cannot be read must not be
 * taken for a dead one
 */
function readProc(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (isOutOfSight(error)) return null;
    throw stateError("read", path, error);
  }
}

/**
 * Text of a file that says which machine or boot this is, or `null` where there is none. Any other failure is one:
 * records with a wrong id would be taken for those of another machine.
 *
 * @throws {TombstoneError} it is there, but cannot be read
 */
function readId(path: string): string | null {
  try {
    return Deno.readTextFileSync(path).trim() || null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw stateError("read", path, error);
  }
}

/**
 * A process that ended between two reads, or one that belongs to another user. A vanished process is ESRCH, for which
 * Deno has no class and sets no code: a plain `Error`. The memory of one that is just ending or becoming another program
 * gives EIO.
 */
function isOutOfSight(error: unknown): boolean {
  if (
    error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotADirectory
  ) return true;
  return error instanceof Error && error.constructor === Error && [null, "ESRCH", "EIO"].includes(errnoOf(error));
}

/**
 * Parses one line of `/proc/PID/stat`. The name may hold blanks and parentheses, so the fields
 * are counted from the last `)`.
 *
 * @returns `null` if the text is not such a line
 */
export function parseStat(text: string): ProcessRow | null {
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
    threads: threads!,
    state: fields[0]!,
    name: text.slice(open + 1, close),
  };
}

function read(pid: number): ProcessRow | null {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The id of a thread has a directory here too, though no listing shows it.
  const tgid = /^Tgid:\s*(\d+)$/m.exec(readProc(`/proc/${pid}/status`) ?? "")?.[1];
  return Number(tgid) === pid ? parseStat(stat) : null;
}

/** `PF_KTHREAD` of the kernel's `include/linux/sched.h`, in field 9 of proc_pid_stat(5). */
const KERNEL_THREAD = 0x0020_0000;

/** Most listings of `/proc` for one look at the process table. */
const MOST_LISTINGS = 10;

/**
 * Every process but the kernel's own threads, of which nothing is anybody's server. A process that forks and exits may
 * be gone before it is read, with its child too late for the listing, so new entries are read until a
 * listing shows none. (Test: "a process that becomes another one … is caught".)
 */
function list(variable: string): ProcessWithVariable[] {
  const rows: ProcessWithVariable[] = [];
  const seen = new Set<string>();
  for (let before = -1, listing = 0; before !== seen.size && listing < MOST_LISTINGS; listing++) {
    before = seen.size;
    for (const { name } of Deno.readDirSync("/proc")) {
      if (seen.has(name) || !/^\d+$/.test(name)) continue;
      seen.add(name);
      const stat = readProc(`/proc/${name}/stat`) ?? "";
      const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ", 7)[6]);
      const row = (flags & KERNEL_THREAD) === 0 ? parseStat(stat) : null;
      if (row !== null) rows.push({ ...row, value: row.state === "Z" ? null : environment(row.pid, variable) });
    }
  }
  return rows;
}

function environment(pid: number, name: string): string | null {
  const text = readProc(`/proc/${pid}/environ`);
  const entry = text?.split("\0").find((variable) => variable.startsWith(`${name}=`));
  return entry === undefined ? null : entry.slice(name.length + 1);
}

/** Targets of the descriptors of a process, by descriptor; `null` when not ours to see. */
function descriptors(pid: number): Map<string, string> | null {
  const found = new Map<string, string>();
  try {
    for (const entry of Deno.readDirSync(`/proc/${pid}/fd`)) {
      try {
        found.set(entry.name, Deno.readLinkSync(`/proc/${pid}/fd/${entry.name}`));
      } catch (error) {
        if (!isOutOfSight(error)) throw error; // closed meanwhile
      }
    }
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return null;
    if (!isOutOfSight(error)) throw error;
  }
  return found;
}

function socketsOf(pid: number): Set<number> | null {
  const targets = descriptors(pid);
  if (targets === null) return null;
  const inodes = new Set<number>();
  for (const target of targets.values()) {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(Number(inode));
  }
  return inodes;
}

/** `ip_local_port_range` of ip(7), read once. */
let ephemeral: [number, number] | undefined;

/** What `/proc/self/net` says, for kernels and C libraries that {@linkcode queryListeners} does not know. */
export async function readListeners(): Promise<ListenerRow[]> {
  const texts = await Promise.all(["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(async (path) => {
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return ""; // a kernel without IPv6
      throw error;
    }
  }));
  return texts.flatMap(parseListeners);
}

const listeners: Listeners = {
  list: async () => queryListeners() ?? await readListeners(),
  socketsOf,
  isEphemeral(port) {
    if (ephemeral === undefined) {
      const text = readProc("/proc/sys/net/ipv4/ip_local_port_range") ?? "32768 60999";
      const [low, high] = text.trim().split(/\s+/).map(Number);
      ephemeral = [low!, high!];
    }
    return port >= ephemeral[0] && port <= ephemeral[1];
  },
};

let boot: string | null | undefined;

function bootId(): string | null {
  if (boot === undefined) boot = readId("/proc/sys/kernel/random/boot_id");
  return boot;
}

function hostId(): string {
  return readId("/etc/machine-id") ?? Deno.hostname();
}

/** Wall-clock milliseconds of the boot, by the clock as it is set now. */
function bootedAtMs(): number {
  return Date.now() - Number((readProc("/proc/uptime") ?? "0").split(" ")[0]) * 1000;
}

/** Signal numbers of signal(7) that the starter listens to. */
const STARTER_SIGNALS: [Deno.Signal, number][] = [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]];

/** The Linux back end. */
export const linux: Platform = {
  name: "linux",
  limits: [],
  bootId,
  hostId,
  pidNamespace() {
    try {
      return Deno.readLinkSync("/proc/self/ns/pid");
    } catch (error) {
      if (isOutOfSight(error)) return null;
      throw error;
    }
  },
  read,
  list,
  sameStart: (a, b) => a === b,
  startedAtMs: (startTime) => bootedAtMs() + startTime * 1000 / TICKS_PER_SECOND,
  startPrecisionMs: 50,
  environment,
  writesTo(pid, isFile) {
    for (const [descriptor, target] of descriptors(pid) ?? []) {
      if (!isFile(target)) continue;
      const flags = /^flags:\s*([0-7]+)$/m.exec(readProc(`/proc/${pid}/fdinfo/${descriptor}`) ?? "")?.[1];
      if (flags !== undefined && (parseInt(flags, 8) & 0o3) !== 0) return true; // O_ACCMODE, not O_RDONLY
    }
    return false;
  },
  commandLine(pid) {
    const text = readProc(`/proc/${pid}/cmdline`) ?? "";
    return text.replaceAll("\0", " ").trim() || parseStat(readProc(`/proc/${pid}/stat`) ?? "")?.name || "";
  },
  lockHolder(path) {
    try {
      // proc_locks(5): "1: FLOCK  ADVISORY  WRITE 4312 fe:00:129 0 EOF"; the device is left to the inode.
      const inode = Deno.statSync(path).ino;
      const line = new RegExp(`^\\d+: FLOCK +\\w+ +\\w+ (\\d+) [0-9a-f]+:[0-9a-f]+:${inode} `, "m");
      return Number(line.exec(readProc("/proc/locks") ?? "")?.[1]) || null;
    } catch (error) {
      if (isOutOfSight(error)) return null;
      throw error;
    }
  },
  ignoredSignals() {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readProc("/proc/self/status") ?? "")?.[1] ?? "0";
    const bits = BigInt(`0x${mask}`);
    return STARTER_SIGNALS.filter(([, number]) => (bits >> BigInt(number - 1)) & 1n).map(([name]) => name);
  },
  claim(name) {
    try {
      // The abstract names of unix(7) leave nothing on the disk.
      return Deno.listen({ transport: "unix", path: `\0${name}` });
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return null;
      if (error instanceof Deno.errors.PermissionDenied) return { [Symbol.dispose]() {} }; // a sandbox without them
      throw error;
    }
  },
  listeners,
  launchStamp: {
    script: "IFS= read -r _tombstone_boot </proc/sys/kernel/random/boot_id && " +
      'IFS= read -r _tombstone_stamp </proc/$$/stat && _tombstone_stamp="$_tombstone_boot $_tombstone_stamp"',
    parse(line): Identity | null {
      const space = line.indexOf(" ");
      const row = parseStat(line.slice(space + 1));
      return row === null || line.slice(0, space) !== bootId() ? null : { pid: row.pid, startTime: row.startTime };
    },
  },
};

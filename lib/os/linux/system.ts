/**
 * Linux: processes through `/proc` (see proc.ts), listeners through netlink (see sockets.ts).
 *
 * @module
 */
import {
  descriptors,
  environment,
  isOutOfSight,
  listProcesses,
  parseSignalState,
  parseStat,
  readId,
  readProc,
  readProcess,
  SIGNALS,
} from "./proc.ts";
import { END_SIGNALS } from "../../errors.ts";
import { stateError } from "../errno.ts";
import type { Identity } from "../rows.ts";
import type { Host, Processes, Self, System } from "../types.ts";
import { hasWriter, isGone, landmarksByMounts } from "./files.ts";
import { outlivesCommand } from "./namespace.ts";
import { listenDatagrams } from "./notify_socket.ts";
import { signalByHandle, untilOneEnds } from "./pidfd.ts";
import { hasReader } from "./reader.ts";
import { areTogether, isLedBy, killSession, membersAmong } from "../posix/members.ts";
import { filesWith, hints } from "../posix/files.ts";
import { launcherWith } from "../posix/launcher.ts";
import { shell } from "../posix/shell.ts";
import { maySignal, SCAN_PAUSE_MS, selfByNumber, signalByNumber } from "../posix/signals.ts";
import { sleep } from "../../async.ts";
import { atOnce, inPieces } from "../thread.ts";
import { sockets } from "./sockets.ts";

/** Flag of open(2), as in `/proc/PID/fdinfo`. */
const O_NONBLOCK = 0o4000;

/** `USER_HZ`: start times of `/proc/PID/stat` count in these, on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

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

function isOpenForWriting(pid: number, descriptor: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readProc(`/proc/${pid}/fdinfo/${descriptor}`) ?? "")?.[1];
  return flags !== undefined && (parseInt(flags, 8) & 0o3) !== 0; // O_ACCMODE, not O_RDONLY
}

/** Target of a link of `/proc`; `null` if it is gone, cannot be read, or has a name that is not UTF-8. */
function readTarget(path: string): string | null {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (isOutOfSight(error) || error instanceof Deno.errors.InvalidData) return null;
    throw stateError("read", path, error);
  }
}

const processes: Processes = {
  read: readProcess,
  // Children of its first thread, which is the one that puts a server into the background.
  childrenOf: (pid) => (readProc(`/proc/${pid}/task/${pid}/children`) ?? "").split(" ").map(Number).filter(Boolean),
  list: (variable) => atOnce(listProcesses(variable)),
  listAsync: (variable) => inPieces(listProcesses(variable)),
  signal: (pid, name, isStill) => signalByHandle(pid, name, isStill) ?? signalByNumber(pid, name, isStill),
  maySignal,
  members: (rows, query) => membersAmong(rows, query, { ...processes, hasWriter }),
  isLedBy,
  areTogether,
  killDetached: killSession,
  async untilOneEnds(pids, ms) {
    await (untilOneEnds(pids, ms) ?? sleep(Math.min(ms, SCAN_PAUSE_MS)));
  },
  watchEveryMs: 50,
  sameStart: (a, b) => a === b,
  startedBefore: (a, b) => a.startTime < b.startTime,
  startedAtMs: (startTime) => bootedAtMs() + startTime * 1000 / TICKS_PER_SECOND,
  startPrecisionMs: 50,
  environment,
  isNeighbour(pid) {
    try {
      return Deno.statSync(`/proc/${pid}`).uid === Deno.uid() &&
        ["pid", "mnt"].every((name) =>
          Deno.readLinkSync(`/proc/${pid}/ns/${name}`) === Deno.readLinkSync(`/proc/self/ns/${name}`)
        );
    } catch (error) {
      if (isOutOfSight(error)) return false;
      throw stateError("read", `/proc/${pid}`, error);
    }
  },
  writesTo(pid, isFile) {
    for (const [descriptor, target] of descriptors(pid) ?? []) {
      if (isFile(target) && isOpenForWriting(pid, descriptor)) return true;
    }
    return false;
  },
  writesAt(pid, descriptor, isFile) {
    const target = readTarget(`/proc/${pid}/fd/${descriptor}`);
    return target !== null && isFile(target) && isOpenForWriting(pid, String(descriptor));
  },
  signalState: (pid) => parseSignalState(readProc(`/proc/${pid}/status`) ?? ""),
  program: (pid) => readTarget(`/proc/${pid}/exe`)?.replace(/ \(deleted\)$/, "").split("/").at(-1) || null,
  commandLine(pid) {
    const text = readProc(`/proc/${pid}/cmdline`) ?? "";
    return text.replaceAll("\0", " ").trim() || parseStat(readProc(`/proc/${pid}/stat`) ?? "")?.name || "";
  },
};

const host: Host = {
  boot: bootId,
  machine: hostId,
  namespace(kind) {
    try {
      return Deno.readLinkSync(`/proc/self/ns/${kind}`);
    } catch (error) {
      if (isOutOfSight(error)) return null;
      throw stateError("read", `/proc/self/ns/${kind}`, error);
    }
  },
  outlivesCommand: () => outlivesCommand(host.namespace("pid")),
  blindness() {
    try {
      // A pid namespace without its own /proc sees the /proc of another one: the same pids, but other processes.
      return Number(Deno.readLinkSync("/proc/self")) === Deno.pid ? null : "/proc shows another pid namespace";
    } catch (error) {
      if (!isOutOfSight(error)) throw stateError("read", "/proc/self", error);
      return "/proc does not show this process";
    }
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
};

const self: Self = {
  ...selfByNumber,
  hasReader,
  hasTextArguments() {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync("/proc/self/cmdline"));
      return true;
    } catch (error) {
      if (error instanceof TypeError) return false;
      if (error instanceof Deno.errors.NotFound) return true;
      throw error;
    }
  },
  isFromTerminal(name) {
    if (name !== "SIGINT") return false;
    // Fields 5 and 8 of proc_pid_stat(5): process group, and that of the terminal's foreground.
    const stat = readProc("/proc/self/stat") ?? "";
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[2] === fields[5];
  },
  ignoredSignals() {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readProc("/proc/self/status") ?? "")?.[1] ?? "0";
    const bits = BigInt(`0x${mask}`);
    const isIgnored = (name: Deno.Signal) => ((bits >> BigInt(SIGNALS.indexOf(name))) & 1n) === 1n;
    return (Object.keys(END_SIGNALS) as (keyof typeof END_SIGNALS)[]).filter(isIgnored);
  },
  blockingWriter(descriptor) {
    // Opened again, a pipe or terminal has its own flags. A file would have its own offset, too, but writes to files block.
    const flags = /^flags:\s*([0-7]+)$/m.exec(readProc(`/proc/self/fdinfo/${descriptor}`) ?? "")?.[1] ?? "0";
    if ((parseInt(flags, 8) & O_NONBLOCK) === 0) return null;
    const path = `/proc/self/fd/${descriptor}`;
    try {
      if (!/^(pipe:|\/dev\/(pts\/|tty))/.test(Deno.readLinkSync(path))) return null;
      return Deno.openSync(path, { write: true });
    } catch (error) {
      if (error instanceof Error && "code" in error) return null; // another user's pipe
      throw error;
    }
  },
};

const files = filesWith({
  hasWriter,
  isGone,
  landmarksOf: landmarksByMounts,
  lockHolder(path) {
    try {
      // proc_locks(5): "1: FLOCK  ADVISORY  WRITE 4312 fe:00:129 0 EOF"; the device is left to the inode.
      const inode = Deno.statSync(path).ino;
      const line = new RegExp(`^\\d+: FLOCK +\\w+ +\\w+ (\\d+) [0-9a-f]+:[0-9a-f]+:${inode} `, "m");
      return Number(line.exec(readProc("/proc/locks") ?? "")?.[1]) || null;
    } catch (error) {
      if (isOutOfSight(error)) return null;
      throw stateError("look at", path, error);
    }
  },
});

const launcher = launcherWith({
  script: "IFS= read -r _tombstone_boot </proc/sys/kernel/random/boot_id && " +
    'IFS= read -r _tombstone_stamp </proc/$$/stat && _tombstone_stamp="$_tombstone_boot $_tombstone_stamp"',
  parse(line): Identity | null {
    const space = line.indexOf(" ");
    const row = parseStat(line.slice(space + 1));
    return row === null || line.slice(0, space) !== bootId() ? null : { pid: row.pid, startTime: row.startTime };
  },
});

/** The Linux back end. */
export const linux: System = {
  name: "linux",
  limits: {},
  host,
  self,
  processes,
  launcher,
  shell,
  files,
  hints: {
    ...hints,
    listenersOf: (port) => `ss -ltnp 'sport = :${port}'`,
    showProcesses: "mount -t proc proc /proc",
    showOthers: "mount -o remount,hidepid=0 /proc",
  },
  sockets,
  readyChannel: listenDatagrams,
};

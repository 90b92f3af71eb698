/**
 * The portable back end through `ps` (POSIX, with the `lstart` column that macOS, the BSDs and procps
 * share). It knows identity, liveness, groups and descendants. It cannot tell who owns a listener, what a
 * foreign environment holds, or which session a process is in.
 *
 * @module
 */
import { sleep } from "../../timers.ts";
import type { Identity } from "../rows.ts";
import type { Processes, System } from "../types.ts";
import { areTogether, isLedBy, killSession, membersAmong, type PosixRow } from "./members.ts";
import { launcherWith } from "./launcher.ts";
import { shell } from "./shell.ts";
import { maySignal, SCAN_PAUSE_MS, signalByNumber } from "./signals.ts";

const COLUMNS = "pid=,ppid=,pgid=,stat=,lstart=,comm=";

/** Runs a system program; `null` when it is missing or fails. */
function run(program: string, args: string[]): string | null {
  try {
    // `lstart` follows language and time zone.
    const env = { LC_ALL: "C", TZ: "UTC0" };
    // The current directory may have been removed, and then nothing can be spawned in it.
    const output = new Deno.Command(program, { args, cwd: "/", env, stdin: "null", stderr: "null" }).outputSync();
    return output.success ? new TextDecoder().decode(output.stdout) : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Parses the output of `ps -o pid=,ppid=,pgid=,stat=,lstart=,comm=` in the C locale and UTC.
 * Lines of another form are passed over.
 */
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

/** `Sun Nov 22 08:04:56 2026` in UTC, as seconds since 1970; `null` for anything else. */
function parseStart(text: string): number | null {
  const form = /^\w{3}\s+(\w{3})\s+(\d+)\s+(\d\d:\d\d:\d\d)\s+(\d{4})$/.exec(text.trim());
  if (form === null) return null;
  const time = Date.parse(`${form[1]} ${form[2]}, ${form[4]} ${form[3]} UTC`);
  return Number.isNaN(time) ? null : time / 1000;
}

const processes: Processes = {
  read(pid) {
    const row = parsePs(run("ps", ["-o", COLUMNS, "-p", String(pid)]) ?? "")[0];
    return row?.pid === pid ? row : null;
  },
  // deno-lint-ignore require-await
  look: async (variable) => processes.list(variable),
  list: () => parsePs(run("ps", ["-A", "-o", COLUMNS]) ?? "").map((row) => ({ ...row, value: null })),
  childrenOf: () => [],
  signal: signalByNumber,
  maySignal,
  members: (rows, kin) => membersAmong(rows, kin, { ...processes, hasWriter: () => null }),
  isLedBy,
  areTogether,
  killDetached: killSession,
  untilOneEnds: (_, ms) => sleep(Math.min(ms, SCAN_PAUSE_MS)),
  watchEveryMs: 500,
  // procps computes lstart from the uptime, so it wavers by a second; a pid does not come round in one.
  sameStart: (a, b) => Math.abs(a - b) <= 1,
  startedAtMs: (startTime) => startTime * 1000,
  startPrecisionMs: 1500,
  environment: () => null,
  isNeighbour: () => false,
  writesTo: () => false,
  writesAt: () => false,
  signalState: () => null,
  // For a script, the kernel puts the interpreter before it.
  program: (pid) => run("ps", ["-o", "args=", "-p", String(pid)])?.trim().split(/\s/)[0]?.split("/").at(-1) || null,
  commandLine: (pid) => run("ps", ["-o", "args=", "-p", String(pid)])?.trim() ?? "",
};

/** The portable back end. */
export const posix: System = {
  name: "posix",
  limits: [
    "cannot prove that the listener is the node's own",
    "cannot find processes by their environment or session, only by group and descent",
  ],
  host: {
    boot: () => run("sysctl", ["-n", "kern.bootsessionuuid"])?.trim() || null,
    machine: () =>
      /"IOPlatformUUID" = "([^"]+)"/.exec(run("ioreg", ["-rd1", "-c", "IOPlatformExpertDevice"]) ?? "")?.[1] ??
        Deno.hostname(),
    namespace: () => null,
    blindness: () => null,
    claim: () => ({ [Symbol.dispose]() {} }),
  },
  self: {
    isForeground() {
      const [group, foreground] = (run("ps", ["-o", "pgid=,tpgid=", "-p", String(Deno.pid)]) ?? "").trim().split(/\s+/);
      return group !== undefined && group === foreground;
    },
    hasTextArguments: () => true,
    ignoredSignals: () => [],
    blockingWriter: () => null,
  },
  processes,
  launcher: launcherWith({
    script: '_tombstone_stamp="$$ $(LC_ALL=C TZ=UTC0 ps -o lstart= -p $$)"',
    parse(line): Identity | null {
      const form = /^(\d+)\s+(.+)$/.exec(line.trim());
      const startTime = parseStart(form?.[2] ?? "");
      return form === null || startTime === null ? null : { pid: Number(form[1]), startTime };
    },
  }),
  shell,
  files: {
    hasWriter: () => null,
    lockHolder: (path) =>
      Number(run("lsof", ["-t", "--", path])?.split("\n").find((pid) => Number(pid) !== Deno.pid)) || null,
  },
  sockets: null,
  readyChannel: () => null,
};

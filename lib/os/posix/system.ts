/**
 * The back end for macOS and the BSDs, by the programs that they ship: `ps` for processes (see ps.ts), `lsof` for
 * descriptors and listeners (see lsof.ts). Linux has both, too, so it is tested there.
 *
 * @module
 */
import { sleep } from "../../async.ts";
import type { Identity } from "../rows.ts";
import type { Limits } from "../limits.ts";
import type { Processes, System } from "../types.ts";
import { dropResult, hasWriter, holderOf, isInstalled, programOf, sockets, writes } from "./lsof.ts";
import { columnOf, commandLine, environment, list, listAsync, read } from "./ps.ts";
import { parseStart } from "./ps_output.ts";
import { areTogether, isLedBy, killSession, membersAmong } from "./members.ts";
import { filesWith, hints, isGoneByParents, landmarksOf } from "./files.ts";
import { launcherWith } from "./launcher.ts";
import { run } from "./run.ts";
import { shell } from "./shell.ts";
import { isAnybodys, maySignal, SCAN_PAUSE_MS, selfByNumber, signalByNumber } from "./signals.ts";

/**
 * Longest time between two scans of processes that should exit, in milliseconds: a zombie keeps its pid, so the pid alone
 * does not show the exit.
 */
const LONGEST_PAUSE_MS = 100;

/** Waits until one of these pids is free. That check costs next to nothing. */
async function untilOneEnds(pids: number[], ms: number): Promise<void> {
  const deadline = performance.now() + Math.min(ms, LONGEST_PAUSE_MS);
  do await sleep(Math.min(ms, SCAN_PAUSE_MS)); while (performance.now() < deadline && pids.every(isAnybodys));
}

const processes: Processes = {
  read,
  // The output of lsof is older than this scan, so lsof runs again for the processes of the scan.
  listAsync(variable) {
    dropResult();
    return listAsync(variable);
  },
  list(variable) {
    dropResult();
    return list(variable);
  },
  childrenOf: () => [],
  signal: signalByNumber,
  maySignal,
  members: (rows, query) => membersAmong(rows, query, { ...processes, hasWriter }),
  isLedBy,
  areTogether,
  killDetached: killSession,
  untilOneEnds,
  watchEveryMs: 500,
  // procps computes lstart from the uptime, so it wavers by a second; a pid does not come round in one.
  sameStart: (a, b) => Math.abs(a - b) <= 1,
  startedBefore: (a, b) => a.startTime < b.startTime,
  startedAtMs: (startTime) => startTime * 1000,
  startPrecisionMs: 1500,
  environment,
  isNeighbour: (pid) => columnOf(pid, "uid") === String(Deno.uid()),
  writesTo: (pid, isFile) => writes(pid, isFile),
  writesAt: (pid, descriptor, isFile) => writes(pid, isFile, descriptor),
  signalState: () => null,
  // For a script, the kernel puts the interpreter before it.
  program: (pid) => (programOf(pid) ?? commandLine(pid).split(/\s/)[0]!).split("/").at(-1) || null,
  commandLine,
};

let boot: string | null | undefined;
let machine: string | undefined;

function limits(): Limits {
  return {
    "exact-start": "tells when a process began to the second only",
    "restless": "does not catch a process that becomes another one every few milliseconds",
    "sessions": "does not tell which session a process is in",
    ...(Deno.uid() === 0 ? {} : {
      "owners-of-others": "does not tell whose a listener is if that is another user's process",
    }),
    ...(isInstalled() ? {} : {
      "owners": "cannot prove that the listener is the node's own: lsof is not installed",
      "unix-paths": "cannot tell whose a unix socket is: lsof is not installed",
    }),
    "no-writer": "cannot tell that nobody writes to a file",
    "signal-state": "does not tell what a process does about signals",
    "claims": "does not keep a chosen port from others before the server listens",
    "reader": "does not tell that nobody reads its output any more, until it writes some",
    "ready-channel": "has no channel for --notify",
  };
}

/** The portable back end. */
export const posix: System = {
  name: "posix",
  get limits() {
    return limits();
  },
  host: {
    boot: () => boot === undefined ? boot = textOf("sysctl", ["-n", "kern.bootsessionuuid"]) || null : boot,
    machine: () =>
      machine ??= /"IOPlatformUUID" = "([^"]+)"/.exec(textOf("ioreg", ["-rd1", "-c", "IOPlatformExpertDevice"]))?.[1] ??
        Deno.hostname(),
    namespace: () => null,
    outlivesCommand: () => Deno.build.os === "darwin" ? true : null, // macOS has no pid namespaces
    blindness: () => null,
    claim: () => ({ [Symbol.dispose]() {} }),
  },
  self: {
    ...selfByNumber,
    isFromTerminal: (name) => name === "SIGINT" && columnOf(Deno.pid, "pgid") === columnOf(Deno.pid, "tpgid"),
    hasTextArguments: () => true,
    ignoredSignals: () => [],
    blockingWriter: () => null,
    hasReader: () => true,
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
  files: filesWith({ hasWriter, lockHolder: holderOf, isGone: isGoneByParents, landmarksOf }),
  hints,
  get sockets() {
    return isInstalled() ? sockets : null;
  },
  readyChannel: () => null,
};

function textOf(program: string, args: string[]): string {
  const ran = run(program, args);
  return ran?.code === 0 ? ran.text.trim() : "";
}

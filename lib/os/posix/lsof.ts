/**
 * Open files and their processes by lsof(8), which macOS ships. One run covers all processes that this user can see, so
 * questions in a row share it.
 *
 * @module
 */
import { sleep } from "../../async.ts";
import type { ListenerRow, UnixListenerRow } from "../rows.ts";
import type { Sockets } from "../types.ts";
import { isWritten, listeningFiles, type OpenFile, parseOpenFiles, type UnixFile, unixFiles } from "./lsof_output.ts";
import { pathOf, type Ran, run, runAsync, runWithin } from "./run.ts";
import { isAnybodys } from "./signals.ts";

/** Longest run, in milliseconds. */
const LONGEST_MS = 5_000;

/**
 * Listening TCP sockets, unix sockets, working directories and the descriptors at which a server has its log: the
 * selections add up. `-n` and `-P` avoid the look-up of names, `-w` the warnings, `-S2` the wait for a file system that
 * does not answer.
 */
const SCAN = ["-w", "-nP", "-S2", "-iTCP", "-sTCP:LISTEN", "-U", "-d", "cwd,0-9", "-FpufadtnT"];

/** Result of one run. */
interface Listing {
  tcp: ListenerRow[];
  unix: UnixListenerRow[];
  sockets: Map<number, Set<number>>;
  files: Map<number, OpenFile[]>;
}

/** How long a result is valid, in milliseconds. */
const FRESH_FOR_MS = 250;

let last: { scan: Listing | null; begun: number; ended: number } | null = null;

/** Whether there is an lsof. */
export function isInstalled(): boolean {
  return pathOf("lsof") !== null;
}

/** Drops the last result, which may be out of date now. */
export function dropResult(): void {
  last = null;
}

/** The last result if it is recent, else a new one; `null` if lsof does not answer. */
function scanned(): Listing | null {
  if (last !== null && performance.now() - last.ended < FRESH_FOR_MS) return last.scan;
  const begun = performance.now();
  return remember(begun, runWithin(LONGEST_MS, "lsof", SCAN));
}

/** Runs lsof. It first pauses as long as the last run took, so that a wait leaves the processor to other work. */
async function scanAnew(): Promise<Listing | null> {
  if (last !== null) await sleep(Math.max(0, 2 * last.ended - last.begun - performance.now()));
  const begun = performance.now();
  return remember(begun, await runAsync(LONGEST_MS, "lsof", SCAN));
}

function remember(begun: number, ran: Ran): Listing | null {
  const files = parseOpenFiles(ran?.text ?? "");
  // Its exit code is 1 also if there is nothing to list. A result without this process has failed.
  const scan = files.some(({ pid }) => pid === Deno.pid) ? scanOf(files) : null;
  last = { scan, begun, ended: performance.now() };
  return scan;
}

function scanOf(files: OpenFile[]): Listing {
  const scan: Listing = { tcp: [], unix: [], sockets: new Map(), files: Map.groupBy(files, ({ pid }) => pid) };
  const known = new Set<number>();
  const add = (file: OpenFile): number | null => {
    const inode = inodeOf(file);
    const own = scan.sockets.get(file.pid);
    if (own === undefined) scan.sockets.set(file.pid, new Set([inode]));
    else own.add(inode);
    if (known.has(inode)) return null;
    known.add(inode);
    return inode;
  };
  for (const file of listeningFiles(files)) {
    const { address, port, user } = file;
    const inode = add(file);
    if (inode !== null) scan.tcp.push({ address, port, inode, user });
  }
  for (const file of unixFiles(files)) {
    const inode = add(file);
    if (inode !== null) scan.unix.push({ inode, path: fullPath(file, scan), fileInode: null });
  }
  return scan;
}

/** The path of a socket; a relative name is most likely relative to the current directory of the server. */
function fullPath({ pid, path }: UnixFile, { files }: Listing): string {
  const cwd = files.get(pid)?.find(({ descriptor }) => descriptor === "cwd");
  return /^[/\0]/.test(path) || cwd === undefined ? path : `${cwd.name}/${path.replace(/^\.\//, "")}`;
}

const inodes = new Map<string, number>();

/** A number for the device of a socket in the output: on macOS a 64-bit address. It is the same in each run. */
function inodeOf({ pid, descriptor, device }: OpenFile): number {
  const key = device || `${pid} ${descriptor}`;
  if (!inodes.has(key)) inodes.set(key, inodes.size + 1);
  return inodes.get(key)!;
}

/** Listening sockets, as far as this user can see them. */
export const sockets: Sockets = {
  sight: "own",
  list: async () => (await scanAnew())?.tcp ?? null,
  listUnix: () => scanned()?.unix ?? null,
  socketsOf(pid) {
    const scan = scanned();
    if (scan?.files.has(pid)) return scan.sockets.get(pid) ?? new Set();
    return scan !== null && !isAnybodys(pid) ? new Set() : null;
  },
  isEphemeral(port) {
    const { low, high } = range ??= readRange();
    return port >= low && port <= high;
  },
  isTaken: (port) => scanned()?.tcp.some((row) => row.port === port) !== false || !canBind(port),
};

let range: { low: number; high: number } | undefined;

/** The ephemeral range of macOS and FreeBSD, that of RFC 6335. */
function readRange(): { low: number; high: number } {
  const names = ["net.inet.ip.portrange.first", "net.inet.ip.portrange.last"];
  const [low, high] = (run("sysctl", ["-n", ...names])?.text ?? "").trim().split(/\s+/).map(Number);
  return low && high ? { low, high } : { low: 49_152, high: 65_535 };
}

function canBind(port: number): boolean {
  return ["0.0.0.0", "::"].every((hostname) => {
    try {
      Deno.listen({ hostname, port }).close();
      return true;
    } catch (error) {
      return !(error instanceof Deno.errors.AddrInUse);
    }
  });
}

/** Whether a process has one of these files open for writing, at this descriptor or at any at which a log may be. */
export function writes(pid: number, isFile: (path: string) => boolean, descriptor?: number): boolean {
  return (scanned()?.files.get(pid) ?? []).some((file) =>
    isWritten(file) && (descriptor === undefined || file.descriptor === String(descriptor)) && isFile(file.name)
  );
}

/** Whether any process has a file open for writing; `null`: no visible one. */
export function hasWriter(path: string): true | null {
  const isWriter = (file: OpenFile) => file.pid !== Deno.pid && isWritten(file) && file.name === path;
  return [...scanned()?.files.values() ?? []].some((files) => files.some(isWriter)) || null;
}

/** Another process that has a file open; `null` if none is visible. */
export function holderOf(path: string): number | null {
  const files = parseOpenFiles(runWithin(LONGEST_MS, "lsof", ["-w", "-Fpf", "--", path])?.text ?? "");
  return files.find(({ pid }) => pid !== Deno.pid)?.pid ?? null;
}

/** Path of the program that a process runs; `null` if it cannot be seen. */
export function programOf(pid: number): string | null {
  const ran = runWithin(LONGEST_MS, "lsof", ["-w", "-a", "-p", String(pid), "-d", "txt", "-Fpfn"]);
  return parseOpenFiles(ran?.text ?? "").find(({ descriptor }) => descriptor === "txt")?.name ?? null;
}

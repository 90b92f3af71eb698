/**
 * A second pair of eyes: which processes there are, and who of them listens, read from `/proc` without any of the tool's code.
 *
 * @module
 */
import { allPids, isRunning, readProcess } from "../../tests/support/sandbox.ts";
import { socketsOn } from "./listeners.ts";

/** Text of a file in `/proc`; empty when the process is gone. */
export function proc(path: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${path}`);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return "";
    throw error;
  }
}

/** A process in words. */
export function describe(pid: number): string {
  const command = proc(`${pid}/cmdline`).replaceAll("\0", " ").trim();
  return `${pid} (${(command || readProcess(pid)?.name || "gone").slice(0, 60)})`;
}

function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(`/proc/${path}`);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return "";
    throw error;
  }
}

/** Pids of those who hold the listeners of a port. */
export function ownersOf(port: number): number[] {
  const sockets = new Set(socketsOn(port).map((inode) => `socket:[${inode}]`));
  const holds = (pid: number) => {
    try {
      return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => sockets.has(linkOf(`${pid}/fd/${name}`)));
    } catch (error) {
      if (error instanceof Error && !(error instanceof TypeError)) return false;
      throw error;
    }
  };
  return sockets.size === 0 ? [] : allPids().filter(holds);
}

/** epmd(1) is every BEAM node's, and is meant to stay. */
const EXCLUDED = ["epmd"];

/**
 * Everything that comes from one trial: by the mark in its environment, by its directory, by its arguments; and since
 * servers overwrite, clear or leave all of these, by its session and parents, as long as they were seen.
 */
export class Watch {
  readonly #seen = new Map<number, number>();

  constructor(readonly mark: string, readonly dir: string) {}

  /** The live processes of the trial; their identities are remembered. */
  look(): number[] {
    const rows = allPids().map(readProcess).filter((row) =>
      row !== null && row.pid !== Deno.pid && row.ppid !== 0 && !EXCLUDED.includes(row.name) && isRunning(row.pid)
    ).map((row) => row!);
    const known = (pid: number) => this.#seen.has(pid);
    for (const row of rows) {
      if (this.#seen.get(row.pid) !== row.start && this.#isMarked(row.pid)) this.#seen.set(row.pid, row.start);
    }
    for (let before = -1; before !== this.#seen.size;) {
      before = this.#seen.size;
      for (const row of rows) {
        if (!known(row.pid) && (known(row.ppid) || known(row.sid))) this.#seen.set(row.pid, row.start);
      }
    }
    return rows.filter((row) => this.#seen.get(row.pid) === row.start).map((row) => row.pid);
  }

  /** Of these processes, those that still live. */
  still(pids: number[]): number[] {
    return pids.filter((pid) => isRunning(pid) && readProcess(pid)?.start === this.#seen.get(pid));
  }

  /** Ends whatever is left, by identity. */
  async endAll(): Promise<void> {
    const deadline = performance.now() + 10_000;
    for (let left = this.look(); left.length > 0; left = this.look()) {
      if (performance.now() > deadline) throw new Error(`Cannot end ${left.map(describe).join(", ")}`);
      for (const pid of this.still(left)) kill(pid);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #isMarked(pid: number): boolean {
    const cwd = linkOf(`${pid}/cwd`);
    return proc(`${pid}/environ`).includes(this.mark) || cwd === this.dir || cwd.startsWith(`${this.dir}/`) ||
      proc(`${pid}/cmdline`).includes(this.dir);
  }
}

/** SIGKILL, to a process that may be gone. */
export function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Which processes of a tree get the stop signal, and when. A process that may pass it on gets time to do so, and no
 * process gets it twice.
 *
 * @module
 */
import { EXIT_SIGNAL, findLive, resume, signal, system } from "../os/system.ts";
import type { Identity, ProcessRow, SignalState } from "../os/rows.ts";

/** Part of the grace during which processes that may have got the signal from others get none; then all get it. */
const GRACE_SHARE = 1 / 3;

/** The same while the node's own stop command runs, which may not use signals at all. */
const GRACE_SHARE_WITH_COMMAND = 2 / 3;

/** Longest such time if the platform does not show who has got a signal, in milliseconds. */
const UNSEEN_GRACE_MS = 1000;

/**
 * The same for the children of a shell without a trap, in milliseconds: a program that passes the signal on to its shell
 * kills the shell, and mostly nothing else (`npm run dev`).
 */
const BELOW_SHELL_GRACE_MS = 500;

/** Time for a shell to run its trap unless it waits for a foreground child, and for a signal to be delivered; ms. */
const SHELL_TIME_MS = 30;
const TAKING_TIME_MS = 100;

/** Shells run their traps only after the foreground child has exited (POSIX 2.11), so that needs the signal, too. */
const SHELL = /^(?:(?:r?ba|da|k|a|z|mk|lk|ya|po|fi)?sh(?:\d[\w.]*|[-.].*)?|busybox)$/;

/** How the main process gets the signal. */
export interface Asking {
  /** The main process. */
  main: Identity;
  /** Signal that asks it. */
  signal: Deno.Signal;
  /** Milliseconds until the remaining processes are killed. */
  graceMs: number;
  /** Asks it in another way than by the signal. */
  ask?: () => Promise<void>;
}

/** When and how a process got the signal. */
interface Asked {
  at: number;
  name: Deno.Signal;
}

/**
 * Signals a tree whose main process is alive, or has just exited.
 *
 * The main process gets the signal first. If it catches the signal, it may pass it on, so its descendants get none for
 * a part of the grace. If it ignores or blocks the signal (`strace -f`, `unshare --kill-child`, `mysqld_safe`), it
 * cannot pass it on, so its children get the signal directly. When a process that may have passed the signal on has
 * exited, its remaining children get the signal at once if they have not run since before the first signal: that shows
 * that they did not get it. Otherwise they may be shutting down, and a second signal might abort that. (Tests:
 * tests/ending_test.ts.)
 */
export class Asker {
  readonly #asking: Asking;
  readonly #begun = performance.now();
  readonly #asked = new Map<string, Asked>();
  /** Signal state of each process before the first signal; `null` for those that came later, or if it is unknown. */
  readonly #before = new Map<string, SignalState | null>();
  /** Processes that may have got the signal from another process. */
  readonly #covered = new Set<string>();
  /** Processes whose parent was a shell that the signal just kills. */
  readonly #belowShell = new Set<string>();
  #isFirst = true;
  #byCommand: Promise<void> | null = null;
  #orphanedAt: number | null = null;

  /** Prepares to ask. */
  constructor(asking: Asking) {
    this.#asking = asking;
  }

  /** The main process, while it is alive. */
  get main(): ProcessRow | null {
    return findLive(this.#asking.main);
  }

  /** Signals the processes whose turn it is. */
  turn(tree: ProcessRow[]): void {
    const { ask, signal: name, graceMs } = this.#asking;
    const rows = new Map(tree.map((row) => [row.pid, row]));
    for (const row of tree) {
      const key = keyOf(row);
      if (!this.#before.has(key)) this.#before.set(key, this.#isFirst ? system.processes.signalState(row.pid) : null);
    }
    for (const row of this.#isFirst ? tree : []) {
      const parent = rows.get(row.ppid);
      if (parent !== undefined && isShell(parent) && !this.#mayPassOn(parent)) this.#belowShell.add(keyOf(row));
    }
    this.#isFirst = false;
    const main = this.main;
    if (main === null) this.#orphanedAt ??= performance.now();
    else if (ask === undefined) this.#send(main, name);
    else this.#byCommand ??= ask();
    const patience = graceMs * (ask === undefined ? GRACE_SHARE : GRACE_SHARE_WITH_COMMAND);
    const isLate = performance.now() - this.#begun >= patience;
    if (isLate && main !== null) this.#send(main, name);
    for (const row of tree) {
      if (row.pid !== main?.pid && (isLate || this.#isDue(row, rows, main))) this.#send(row, EXIT_SIGNAL);
    }
  }

  #send(row: ProcessRow, name: Deno.Signal): void {
    const key = keyOf(row);
    if (this.#asked.has(key)) return;
    this.#asked.set(key, { at: performance.now(), name });
    ask(row, name);
  }

  #isDue(row: ProcessRow, rows: Map<number, ProcessRow>, main: ProcessRow | null): boolean {
    if (this.#asked.has(keyOf(row))) return false;
    const guardian = this.#guardianOf(row, rows, main);
    const now = system.processes.signalState(row.pid);
    if (guardian === null) {
      if (!this.#covered.has(keyOf(row))) return true;
      const orphanedFor = performance.now() - (this.#orphanedAt ?? this.#begun);
      if (now === null) return orphanedFor >= UNSEEN_GRACE_MS;
      if (this.#belowShell.has(keyOf(row)) && orphanedFor >= BELOW_SHELL_GRACE_MS) return true;
      return this.#cannotHaveBeenAsked(row, now);
    }
    if (this.#mayPassOn(guardian)) this.#covered.add(keyOf(row));
    if (!this.#waitsInForeground(guardian)) return false;
    if (now === null) return system.processes.areTogether(row, guardian);
    return this.#before.get(keyOf(row)) !== null && this.#cannotHaveBeenAsked(row, now);
  }

  /** The nearest ancestor that may have passed the signal on, or still may. */
  #guardianOf(row: ProcessRow, rows: Map<number, ProcessRow>, main: ProcessRow | null): ProcessRow | null {
    const seen = new Set([row.pid]);
    for (let above = rows.get(row.ppid); above !== undefined && !seen.has(above.pid); above = rows.get(above.ppid)) {
      seen.add(above.pid);
      if (above.pid === main?.pid ? !this.#isDeaf(above) : this.#mayPassOn(above)) return above;
    }
    // The main process may also manage a process that is no longer its descendant.
    return main !== null && !seen.has(main.pid) && !this.#isDeaf(main) ? main : null;
  }

  /** Whether it may pass the signal on: it catches it, or blocks it and waits for it. Else the signal just kills it. */
  #mayPassOn(row: ProcessRow): boolean {
    const isMain = row.pid === this.#asking.main.pid;
    if (isMain && this.#asking.ask !== undefined) return true;
    // Its state before the signal, because it may have exited since.
    const state = this.#before.get(keyOf(row)) ?? system.processes.signalState(row.pid);
    const name = isMain ? this.#asking.signal : EXIT_SIGNAL;
    return state === null ? isMain : (state.catches(name) || state.blocks(name)) && !this.#isDeaf(row);
  }

  /** Whether a signal has no effect on it: ignored, or blocked and not waited for. */
  #isDeaf(row: ProcessRow): boolean {
    const isMain = row.pid === this.#asking.main.pid;
    const state = system.processes.signalState(row.pid);
    if (state === null || isMain && this.#asking.ask !== undefined) return false;
    const asked = this.#asked.get(keyOf(row));
    const name = isMain ? this.#asking.signal : EXIT_SIGNAL;
    if (state.ignores(name)) return true;
    return asked !== undefined && state.isPending(name) && performance.now() - asked.at >= TAKING_TIME_MS;
  }

  /** Whether this is a shell that got the signal, and has not run its trap yet. */
  #waitsInForeground(guardian: ProcessRow): boolean {
    const asked = this.#asked.get(keyOf(guardian));
    if (asked === undefined || performance.now() - asked.at < SHELL_TIME_MS) return false;
    const state = system.processes.signalState(guardian.pid);
    if (state !== null && (!state.isAsleep || state.isPending(asked.name))) return false;
    return isShell(guardian);
  }

  /** Whether it has certainly got no signal since before the first one was sent. */
  #cannotHaveBeenAsked(row: ProcessRow, now: SignalState): boolean {
    if (!now.catches(EXIT_SIGNAL)) return true; // otherwise it would be dead, or a second signal does no harm
    const before = this.#before.get(keyOf(row)) ?? null;
    return before !== null && before.isAsleep && now.isAsleep && before.runs === now.runs &&
      !now.isPending(EXIT_SIGNAL) &&
      !now.isPending(this.#asking.signal);
  }
}

/** Sends the signal to a process. */
export function ask(row: ProcessRow, name: Deno.Signal): void {
  signal(row, name);
  // A stopped process takes no other signal until it is continued.
  if (row.isStopped) resume(row);
}

/** Whether the program is a shell, also if it runs a script. */
export function isShell(row: ProcessRow): boolean {
  return SHELL.test(system.processes.program(row.pid) ?? row.name);
}

/** Equal for the same process alone. */
export function keyOf({ pid, startTime }: Identity): string {
  return `${pid} ${startTime}`;
}

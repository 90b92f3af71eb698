/**
 * A command in the foreground while a node runs: it has the terminal, gets the signals first, and is ended with
 * everything that it started when it has to go.
 *
 * @module
 */
import { EXIT, TombstoneError } from "../errors.ts";
import { identityOfChild, platform, signal } from "../os/platform.ts";
import { cutShort, Latch } from "../os/latch.ts";
import { expiry } from "../os/sleep.ts";
import { reap } from "../process/reap.ts";
import type { ExitStatus } from "../process/launcher.ts";
import type { Roots } from "../process/tree.ts";
import { endedBy, type Signals } from "./interrupt.ts";

/** What to run, and what may end it early. */
export interface Foreground {
  /** Program and arguments. */
  command: string[];
  /** Variables on top of the environment. */
  env: Record<string, string>;
  /** Where to find what it starts, its own process left out. */
  roots: Omit<Roots, "processes">;
  /** Milliseconds until what is left of it after a signal is killed. */
  graceMs: number;
  /** The signals to this process, which the command gets first. */
  signals: Signals;
  /** Called several times a second: whether it may go on. */
  watch: () => "go on" | "end";
}

/** How it ended. */
export interface ForegroundEnd {
  /** Exit code and signal of the command itself. */
  status: ExitStatus;
  /** Why it was ended early: a signal to this process, or what was watched; `null` if it was not. */
  cause: TombstoneError | "watch" | null;
  /** Milliseconds that it ran. */
  durationMs: number;
}

/** Runs a command to its end. */
export async function runForeground(node: string, request: Foreground): Promise<ForegroundEnd> {
  const begun = performance.now();
  const child = spawn(request);
  const self = identityOfChild(child.pid);
  let cause: ForegroundEnd["cause"] = null;
  let ended: ExitStatus | null = null;
  let deadline = Infinity;
  const end = child.status.then((status) => {
    ended = { code: status.code, signal: status.signal };
  });
  const over = Latch.of(end);
  // Since the spawn, nothing has given a signal the time to be answered.
  request.signals.answer = (name) => {
    // Whoever is told twice is in a hurry.
    deadline = cause === null ? performance.now() + request.graceMs : performance.now();
    cause ??= endedBy(name, "run", node);
    // Ctrl-C at a terminal goes to the whole foreground group, the command included; twice it would mean more.
    if (ended === null && !(name === "SIGINT" && platform.isForeground())) signal(self, name);
  };
  while (ended === null) {
    await cutShort(expiry(platform.watchEveryMs), over);
    if (ended !== null) break;
    if (cause === null && request.watch() === "end") {
      cause = "watch";
      deadline = -Infinity;
    }
    if (performance.now() < deadline) continue;
    const roots: Roots = { ...request.roots, processes: [self] };
    await reap(roots, { main: null, signal: "SIGTERM", graceMs: deadline === -Infinity ? request.graceMs : 0 });
    await end;
  }
  return { status: ended!, cause, durationMs: Math.round(performance.now() - begun) };
}

function spawn({ command, env }: Foreground): Deno.ChildProcess {
  try {
    const options = { args: command.slice(1), env, stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
    return new Deno.Command(command[0]!, options).spawn();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    throw new TombstoneError(`Cannot run "${command[0]}": ${error.message}`, {
      kind: "command-not-executable",
      hint: "check the command after --",
      exitCode: EXIT.notExecutable,
      cause: error,
    });
  }
}

/**
 * A command in the foreground while a node runs. It has the terminal and gets the signals first; it is terminated with
 * everything that it started. What it leaves behind when it exits by itself is terminated, too.
 *
 * @module
 */
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { EXIT_SIGNAL, identityOfChild, killedStatus, system } from "../os/system.ts";
import { cutShort, expiry, Latch } from "../async.ts";
import { Proven, type Roots, scanForTree } from "../process/tree.ts";
import { NOBODY, type Terminated, terminateTree } from "../process/terminate_tree.ts";
import type { ExitStatus } from "../process/launcher.ts";
import { Echoes, endedBy, type Signals } from "./signals.ts";

/** What to run, and what may terminate it early. */
export interface Foreground {
  /** Program and arguments. */
  command: string[];
  /** Variables on top of the environment. */
  env: Record<string, string>;
  /** Where to find the processes that it starts. */
  roots: Omit<Roots, "processes">;
  /** Milliseconds from the signal, or from its own exit, until what is left of it is killed. */
  graceMs: number;
  /** The signals to this process, which the command gets first. */
  signals: Signals;
  /** Called several times a second; `"end"` terminates the command. */
  watch: () => "go on" | "end";
}

/** How the command ended. */
export interface ForegroundEnd {
  /** Exit code and signal of the command itself; those of SIGKILL if it could not be terminated. */
  status: ExitStatus;
  /** Why it was terminated early: a signal to this process, or `watch`; `null` if it was not. */
  cause: TombstoneError | "watch" | null;
  /** Milliseconds that it ran. */
  durationMs: number;
  /** What was terminated: all of it after a signal, else what it left behind. */
  leftovers: Terminated;
}

/** Runs a command to its end. */
export async function runForeground(node: string, request: Foreground): Promise<ForegroundEnd> {
  const begun = performance.now();
  const child = spawn(request);
  const self = identityOfChild(child.pid);
  const roots: Roots = { ...request.roots, processes: [self], proven: new Proven() };
  const hurry = new AbortController();
  let cause: ForegroundEnd["cause"] = null;
  const echoes = new Echoes();
  let ended: ExitStatus | null = null;
  let ending: Promise<Terminated> | null = null;
  const end = child.status.then((status) => {
    ended = { code: status.code, signal: status.signal };
  });
  const over = Latch.of(end);
  const endAll = (name: Deno.Signal, isAsked: boolean) => {
    ending ??= terminateTree(roots, {
      main: self,
      signal: name,
      graceMs: request.graceMs,
      hurry: hurry.signal,
      ...(isAsked ? { ask: () => Promise.resolve() } : {}),
    }).finally(() => over.open());
  };
  // No signal was lost: since the spawn, this function has not given way to the event loop.
  request.signals.answer = (name) => {
    // A second signal means: kill at once.
    const isEcho = echoes.isEcho(name);
    if (cause !== null && !isEcho) hurry.abort();
    cause ??= endedBy(name, "run", node);
    if (over.isOpen) return hurry.abort(); // what it left is being terminated already
    // The terminal has sent Ctrl-C to the whole foreground group, the command included; a second one would mean more to it.
    endAll(name, system.self.isFromTerminal(name));
  };
  // Over when the command has exited, or has survived SIGKILL.
  while (!over.isOpen) {
    await cutShort(expiry(system.processes.watchEveryMs), over);
    if (!over.isOpen && cause === null && request.watch() === "end") {
      cause = "watch";
      endAll(EXIT_SIGNAL, false);
    }
  }
  const durationMs = Math.round(performance.now() - begun);
  // If it exited by itself, its background processes are still there.
  const leftovers = await (ending ?? endLeftovers({ ...roots, processes: [] }, request.graceMs, hurry.signal));
  // Deno resolves its status a moment after the process has exited; never if it has survived SIGKILL.
  if (leftovers.left.every(({ pid }) => pid !== self.pid)) await end;
  return { status: ended ?? killedStatus(), cause, durationMs, leftovers };
}

async function endLeftovers(roots: Roots, graceMs: number, hurry: AbortSignal): Promise<Terminated> {
  if ((await scanForTree(roots)).length === 0) return NOBODY;
  return await terminateTree(roots, { main: null, signal: EXIT_SIGNAL, graceMs, hurry });
}

function spawn({ command, env }: Foreground): Deno.ChildProcess {
  try {
    const options = { args: command.slice(1), env, stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
    return new Deno.Command(command[0]!, options).spawn();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    throw tombstoneError(`Cannot run "${command[0]}": ${error.message}`, {
      kind: "command-not-executable",
      hint: "check the command after --",
      cause: error,
    });
  }
}

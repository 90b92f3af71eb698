/**
 * A command in the foreground while a node runs: it has the terminal, gets the signals first, and is ended with
 * everything that it started when it has to go. What it leaves behind when it ends by itself is ended, too.
 *
 * @module
 */
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { identityOfChild, system } from "../os/system.ts";
import { cutShort, Latch } from "../async.ts";
import { expiry } from "../timers.ts";
import { Proven } from "../process/proven.ts";
import { NOBODY, type Terminated, terminateTree } from "../process/terminate_tree.ts";
import type { ExitStatus } from "../process/launcher.ts";
import { lookForTree, type Roots } from "../process/tree.ts";
import { endedBy, type EndSignal, type Signals } from "./signals.ts";

/** What to run, and what may end it early. */
export interface Foreground {
  /** Program and arguments. */
  command: string[];
  /** Variables on top of the environment. */
  env: Record<string, string>;
  /** Where to find what it starts, its own process left out. */
  roots: Omit<Roots, "processes">;
  /** Milliseconds until what is left of it after a signal, or after its own end, is killed. */
  graceMs: number;
  /** The signals to this process, which the command gets first. */
  signals: Signals;
  /** Called several times a second: whether it may go on. */
  watch: () => "go on" | "end";
}

/** How it ended. */
export interface ForegroundEnd {
  /** Exit code and signal of the command itself; those of SIGKILL if it could not be ended. */
  status: ExitStatus;
  /** Why it was ended early: a signal to this process, or what was watched; `null` if it was not. */
  cause: TombstoneError | "watch" | null;
  /** Milliseconds that it ran. */
  durationMs: number;
  /** What of it was ended: all of it after a signal, else what it left behind. */
  leftovers: Terminated;
}

/** Status of a command that not even SIGKILL ends. */
const NOT_ENDED: ExitStatus = { code: 137, signal: "SIGKILL" };

/** Runs a command to its end. */
export async function runForeground(node: string, request: Foreground): Promise<ForegroundEnd> {
  const begun = performance.now();
  const child = spawn(request);
  const self = identityOfChild(child.pid);
  const roots: Roots = { ...request.roots, processes: [self], proven: new Proven() };
  const hurry = new AbortController();
  let cause: ForegroundEnd["cause"] = null;
  let ended: ExitStatus | null = null;
  let ending: Promise<Terminated> | null = null;
  const end = child.status.then((status) => {
    ended = { code: status.code, signal: status.signal };
  });
  const over = Latch.of(end);
  const endAll = (name: EndSignal, isAsked: boolean) => {
    ending ??= terminateTree(roots, {
      main: self,
      signal: name,
      graceMs: request.graceMs,
      hurry: hurry.signal,
      ...(isAsked ? { ask: () => Promise.resolve() } : {}),
    }).finally(() => over.open());
  };
  // Since the spawn, nothing has given a signal the time to be answered.
  request.signals.answer = (name) => {
    // Whoever is told twice is in a hurry.
    if (cause !== null) hurry.abort();
    cause ??= endedBy(name, "run", node);
    if (over.isOpen) return hurry.abort(); // what it has left is being ended already
    // Ctrl-C at a terminal goes to the whole foreground group, the command included; twice it would mean more.
    endAll(name, name === "SIGINT" && system.self.isForeground());
  };
  // Over when the command has ended, or when not even SIGKILL has ended it.
  while (!over.isOpen) {
    await cutShort(expiry(system.processes.watchEveryMs), over);
    if (!over.isOpen && cause === null && request.watch() === "end") {
      cause = "watch";
      endAll("SIGTERM", false);
    }
  }
  const durationMs = Math.round(performance.now() - begun);
  // It ended by itself, perhaps, but what it has put into the background goes on.
  const leftovers = await (ending ?? endLeftovers({ ...roots, processes: [] }, request.graceMs, hurry.signal));
  // Its own end is told a moment after the kernel has ended it, unless not even SIGKILL did.
  if (leftovers.left.every(({ pid }) => pid !== self.pid)) await end;
  return { status: ended ?? NOT_ENDED, cause, durationMs, leftovers };
}

async function endLeftovers(roots: Roots, graceMs: number, hurry: AbortSignal): Promise<Terminated> {
  if ((await lookForTree(roots)).length === 0) return NOBODY;
  return await terminateTree(roots, { main: null, signal: "SIGTERM", graceMs, hurry });
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

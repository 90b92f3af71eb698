/**
 * Terminating a running node by its stop command or its stop signal.
 *
 * A stop command that outlives a killed stop would shut down the next server. So it runs in its own session, and a
 * variable names the attempt that it stops: the next command finds the rest of it, and ends that first.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { live } from "../os/scan.ts";
import { EXIT_SIGNAL, findLive, identityOfChild, killDetached, signal, system } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import { NOBODY, type Terminated, terminateTree } from "../process/terminate_tree.ts";
import type { Settings } from "../spec/settings.ts";
import type { Lock } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { type NodeInfo, readNodeInfo, writeNodeInfo } from "../state/node_info.ts";
import { readTombstone, writeTombstone } from "../state/tombstone.ts";
import type { Following } from "./commit.ts";
import { findMain } from "./liveness.ts";
import type { NodeFiles } from "./state.ts";
import { inWords, requireTerminated, tellKilled } from "./leftovers.ts";
import { rootsOf } from "./roots.ts";
import { reached, type Reporter } from "./reporter.ts";
import type { Patience } from "./request.ts";
import { expiry } from "../async.ts";

/** How a node is terminated. */
export interface Ending {
  /** The node's lock; no record is written without it. */
  lock: Lock;
  /** Where to report. */
  reporter: Reporter;
  /** The scan to use; default {@linkcode live}. */
  scan?: Scan | undefined;
  /** Aborting it ends the grace early. */
  hurry?: AbortSignal | undefined;
  /** When the commit record must say that the node is being stopped: always, or only if the next command needs it. */
  marking: "always" | "if needed";
  /** How long processes may take; default: `"whole"`. */
  patience?: Patience | undefined;
}

/** The least time that a process gets after it was asked once more, in milliseconds. */
const LEAST_GRACE_MS = 1000;

/** How long processes may take to exit, of which a stop that began earlier may have asked for it already. */
function graceOf({ stop, stop_began_at }: NodeInfo, patience: Patience | undefined): number {
  if (patience !== "rest" || stop_began_at === null) return stop.timeout_ms;
  const rest = stop.timeout_ms - Math.max(0, Date.now() - Date.parse(stop_began_at));
  return Math.min(stop.timeout_ms, Math.max(rest, LEAST_GRACE_MS));
}

/**
 * Terminates a running node: its stop command or stop signal for the main process, SIGTERM for processes that it leaves
 * behind or does not pass the signal on to, SIGKILL for the rest after the timeout.
 *
 * Before the signal, it records that the node is being stopped, and which processes belong to it. If this process is
 * killed meanwhile, the next start does not treat a server that is shutting down as running, and the next command knows
 * what to terminate. (Tests: "a stop that is killed half-way", "who was once proven".)
 *
 * @throws {TombstoneError} a process could not be terminated
 */
export async function terminateGracefully(
  dir: NodeDir,
  nodeFiles: NodeFiles,
  info: NodeInfo,
  { lock, reporter, scan = live, hurry, marking, patience }: Ending,
): Promise<Pick<Terminated, "pids" | "killed">> {
  await endStopCommands(dir, info, { reporter, scan });
  const main = findMain(dir, info);
  const command = info.stop.command === null ? null : new StopCommand(dir, info, info.stop.command);
  using waiting = reporter.wait(dir);
  const { pids, killed, left } = await terminateTree(rootsOf(dir, nodeFiles, scan), {
    main,
    signal: info.stop.signal,
    graceMs: graceOf(info, patience),
    ...(hurry === undefined ? {} : { hurry }),
    onScan: (rows) => waiting.update(inWords(rows)),
    async remember(lean) {
      if (marking === "if needed" && lean.length === 0 && command === null) return;
      if (lock.isLinked()) await markStopping(dir, info, lean);
      reached("marked", reporter);
    },
    onAsked: () => reached("asked", reporter),
    ...(command === null ? {} : {
      ask: async () => {
        const code = await command.run();
        if (code === 0 || main === null || findLive(main) === null) return;
        reporter.warn(`the stop command of "${dir.node}" exited with ${code}; sending ${info.stop.signal} instead`);
        signal(main, info.stop.signal);
      },
    }),
  });
  if (command !== null) await command.end({ reporter, scan });
  requireTerminated(dir, left);
  return { pids, killed };
}

async function markStopping(dir: NodeDir, info: NodeInfo, tree: Identity[]): Promise<void> {
  try {
    await writeNodeInfo(dir, { ...info, stop_began_at: info.stop_began_at ?? new Date().toISOString(), tree });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error; // a full disk must not keep a server from being stopped
  }
}

/**
 * Records the processes that have no proof of their own, in the newest record, before they get a signal: if this process
 * is killed meanwhile, the next command still knows them. Writes nothing if the state belongs to another command now.
 */
export async function rememberTree(dir: NodeDir, tree: Identity[], isOurs: () => boolean): Promise<void> {
  if (tree.length === 0 || !isOurs()) return;
  const [tombstone, info] = [readTombstone(dir), readNodeInfo(dir)];
  try {
    if (tombstone.kind === "record") await writeTombstone(dir, { ...tombstone.record, tree });
    else if (info.kind === "record") await writeNodeInfo(dir, { ...info.record, tree });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error; // a full disk must not keep them from being terminated
  }
}

/** Variable of a stop command and all that it starts: the attempt that it is to stop. */
export const STOP_VARIABLE = "TOMBSTONE_STOP";

/** Time for a stop command to exit after its server, and for what it left to exit; milliseconds. */
const LAST_WORDS_MS = 1000;

/** A stop command; its output goes to the server's log. */
class StopCommand {
  #end: Promise<number> | null = null;
  #leader: Identity | null = null;
  readonly #dir: NodeDir;
  readonly #info: NodeInfo;
  readonly #command: string;

  /** Prepares the command; {@linkcode StopCommand.run} runs it. */
  constructor(dir: NodeDir, info: NodeInfo, command: string) {
    this.#dir = dir;
    this.#info = info;
    this.#command = command;
  }

  /** Runs it; resolves to its exit code. */
  run(): Promise<number> {
    try {
      const [program, ...args] = system.shell.logging(this.#command, this.#dir.log);
      const child = new Deno.Command(program, {
        args,
        cwd: this.#info.cwd,
        env: {
          TOMBSTONE_WORKSPACE: this.#dir.workspace,
          TOMBSTONE_NODE: this.#dir.node,
          TOMBSTONE_PID: String(this.#info.pid),
          TOMBSTONE_ATTEMPT: "", // it is not part of the tree that it stops
          [STOP_VARIABLE]: this.#info.attempt ?? "",
          PORT: String(this.#info.port),
        },
        stdin: "null",
        stdout: "null",
        stderr: "null",
        detached: true,
      }).spawn();
      this.#leader = identityOfChild(child.pid);
      this.#end = child.status.then(({ code }) => code);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return Promise.resolve(127); // its directory is gone
      if (error instanceof Deno.errors.PermissionDenied) return Promise.resolve(126); // it is closed to this user
      throw error;
    }
    return this.#end;
  }

  /** To be called when the server is gone: gives the command time to exit, then terminates what is left of it. */
  async end(how: { reporter: Reporter; scan: Scan }): Promise<void> {
    if (this.#end === null || this.#leader === null) return;
    await Promise.race([this.#end, expiry(LAST_WORDS_MS)]);
    await endStopCommands(this.#dir, { ...this.#info, stop_began_at: "now" }, how);
    killDetached(this.#leader, STOP_VARIABLE); // where environments cannot be seen
    await this.#end;
  }
}

/**
 * Terminates what is left of the stop command of an earlier stop of this attempt.
 *
 * @throws {TombstoneError} a process could not be terminated
 */
export async function endStopCommands(
  dir: NodeDir,
  info: NodeInfo,
  { reporter, scan }: { reporter: Reporter; scan: Scan },
): Promise<void> {
  if (info.stop.command === null || info.stop_began_at === null || info.attempt === null) return;
  const { pids, left } = await terminateTree({
    dir,
    attempts: [info.attempt],
    processes: [],
    exclude: info.exclude,
    of: "command",
    variable: STOP_VARIABLE,
    scan,
  }, { main: null, signal: EXIT_SIGNAL, graceMs: LAST_WORDS_MS });
  if (pids.length > 0) reporter.debug(`ended what a stop command had left: pid ${pids.join(", ")}`);
  requireTerminated(dir, left);
}

/**
 * Terminates all processes of an attempt that has not committed, including a late daemon.
 *
 * @throws {TombstoneError} a process does not end
 */
export async function terminateAttempt(
  { dir, hold, main, reporter }: Following,
  stop: Settings["stop"],
): Promise<Terminated> {
  const end = () =>
    terminateTree(main.roots(), {
      main: null,
      signal: stop.signal,
      graceMs: stop.timeout_ms,
      remember: (tree) => rememberTree(dir, tree, () => hold.isKept()),
    });
  const first = await end();
  const second = await main.isLate() ? await end() : NOBODY;
  const ended: Terminated = {
    pids: [...first.pids, ...second.pids],
    killed: [...first.killed, ...second.killed],
    left: [...first.left, ...second.left],
  };
  tellKilled(dir, ended.killed, reporter);
  requireTerminated(dir, ended.left);
  return ended;
}

/**
 * Terminating a running node in the way that it asks for: by its stop command or its stop signal.
 *
 * A stop command that outlived a killed stop would shut down the next server. So it runs in a session of its own, and a
 * variable names the attempt that it is to stop: the next command finds what is left of it, and ends that first.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { live } from "../os/scan.ts";
import { findLive, identityOfChild, killSession, signal } from "../os/system.ts";
import type { Identity, Scan } from "../os/types.ts";
import { type Terminated, terminateTree } from "../process/terminate_tree.ts";
import type { Lock } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { type NodeInfo, readNodeInfo, writeNodeInfo } from "../state/node_info.ts";
import { readTombstone, writeTombstone } from "../state/tombstone.ts";
import { findMain } from "./liveness.ts";
import type { NodeFiles } from "./state.ts";
import { inWords, requireTerminated } from "./leftovers.ts";
import { rootsOf } from "./roots.ts";
import { reached, type Reporter } from "./reporter.ts";
import { expiry } from "../timers.ts";

/** Under what a node is ended. */
export interface Ending {
  /** The node's lock, without which no record is written. */
  lock: Lock;
  /** Where to report. */
  reporter: Reporter;
  /** Where to ask who is there; default {@linkcode live}. */
  scan?: Scan | undefined;
  /** Whether the commit record is to say that the node is being stopped: always, or where the next command must know more. */
  marking: "always" | "if needed";
}

/**
 * Ends a running node as it asks to be: its stop command or signal for the main process, TERM for what
 * the main process leaves behind or does not pass the signal on to, KILL for what is left after the timeout.
 *
 * Notes in the commit record that the node is about to be asked to go, and who belongs to it: should this process be
 * killed meanwhile, the next start does not take a server on its way out for one that runs, and the next command knows
 * whom to end. (Tests: "a stop that is killed half-way", "who was once proven".)
 *
 * @throws {TombstoneError} somebody could not be ended
 */
export async function terminateGracefully(
  dir: NodeDir,
  nodeFiles: NodeFiles,
  info: NodeInfo,
  { lock, reporter, scan = live, marking }: Ending,
): Promise<Pick<Terminated, "pids" | "killed">> {
  await endStopCommands(dir, info, { reporter, scan });
  const main = findMain(dir, info);
  const command = info.stop.command === null ? null : new StopCommand(dir, info, info.stop.command);
  using waiting = reporter.wait(dir);
  const { pids, killed, left } = await terminateTree(rootsOf(dir, nodeFiles, scan), {
    main,
    signal: info.stop.signal,
    graceMs: info.stop.timeout_ms,
    onLook: (rows) => waiting.update(inWords(rows)),
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
    await writeNodeInfo(dir, { ...info, stop_began_at: new Date().toISOString(), tree });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error; // a full disk keeps nobody from stopping a server
  }
}

/**
 * Records, before they are asked to end, who has no other proof, in the newest record that there is: should this process be
 * killed meanwhile, the next command knows them. Nothing is written where the state no longer is that of this command.
 */
export async function rememberTree(dir: NodeDir, tree: Identity[], isOurs: () => boolean): Promise<void> {
  if (tree.length === 0 || !isOurs()) return;
  const [tombstone, info] = [readTombstone(dir), readNodeInfo(dir)];
  try {
    if (tombstone.kind === "record") await writeTombstone(dir, { ...tombstone.record, tree });
    else if (info.kind === "record") await writeNodeInfo(dir, { ...info.record, tree });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error; // a full disk keeps nobody from ending them
  }
}

/** Variable by which a stop command and all that it starts show which attempt they are to stop. */
export const STOP_VARIABLE = "TOMBSTONE_STOP";

/** How long a stop command may go on when its server is gone, and how long what it left may take to end; milliseconds. */
const LAST_WORDS_BYTES = 1000;

/** A stop command; its output goes to the server's log. */
class StopCommand {
  #end: Promise<number> | null = null;
  #leader: Identity | null = null;
  readonly #dir: NodeDir;
  readonly #info: NodeInfo;
  readonly #command: string;

  /** The command, which does not run yet. */
  constructor(dir: NodeDir, info: NodeInfo, command: string) {
    this.#dir = dir;
    this.#info = info;
    this.#command = command;
  }

  /** Runs it; resolves to its exit code. */
  run(): Promise<number> {
    try {
      const child = new Deno.Command("/bin/sh", {
        args: ["-c", `exec >>"$0" 2>&1\n${this.#command}`, this.#dir.log],
        cwd: this.#info.cwd,
        env: {
          TOMBSTONE_WORKSPACE: this.#dir.workspace,
          TOMBSTONE_NODE: this.#dir.node,
          TOMBSTONE_PID: String(this.#info.pid),
          TOMBSTONE_ATTEMPT: "", // it is not part of the tree that it ends
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

  /** The server is gone: lets the command come to its own end, and ends what is left of it. */
  async end(how: { reporter: Reporter; scan: Scan }): Promise<void> {
    if (this.#end === null || this.#leader === null) return;
    await Promise.race([this.#end, expiry(LAST_WORDS_BYTES)]);
    await endStopCommands(this.#dir, { ...this.#info, stop_began_at: "now" }, how);
    killSession(this.#leader, STOP_VARIABLE); // where environments cannot be seen
    await this.#end;
  }
}

/**
 * Ends what an earlier stop of this attempt has left of its stop command.
 *
 * @throws {TombstoneError} it cannot be ended
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
  }, { main: null, signal: "SIGTERM", graceMs: LAST_WORDS_BYTES });
  if (pids.length > 0) reporter.debug(`ended what a stop command had left: pid ${pids.join(", ")}`);
  requireTerminated(dir, left);
}

/**
 * The user's own way to stop a server, and what a stop that was killed has left of it: a command that goes on would shut
 * down the next server. So it runs in a session of its own, and a variable names the attempt that it is to stop.
 *
 * @module
 */
import { identityOfChild, killSession } from "../os/system.ts";
import type { Identity } from "../os/types.ts";
import { expiry } from "../timers.ts";
import { terminateTree } from "../process/terminate_tree.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/records.ts";
import { requireTerminated } from "./leftovers.ts";
import type { Reporter } from "./reporter.ts";

/** Variable by which a stop command and all that it starts show which attempt they are to stop. */
export const STOP_VARIABLE = "TOMBSTONE_STOP";

/** How long a stop command may go on when its server is gone, and how long what it left may take to end; milliseconds. */
const LAST_WORDS_BYTES = 1000;

/** A stop command; its output goes to the server's log. */
export class StopCommand {
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
  async end(reporter: Reporter): Promise<void> {
    if (this.#end === null || this.#leader === null) return;
    await Promise.race([this.#end, expiry(LAST_WORDS_BYTES)]);
    await endStopCommands(this.#dir, { ...this.#info, stop_began_at: "now" }, reporter);
    killSession(this.#leader, STOP_VARIABLE); // where environments cannot be seen
    await this.#end;
  }
}

/**
 * Ends what an earlier stop of this attempt has left of its stop command.
 *
 * @throws {TombstoneError} it cannot be ended
 */
export async function endStopCommands(dir: NodeDir, info: NodeInfo, reporter: Reporter): Promise<void> {
  if (info.stop.command === null || info.stop_began_at === null || info.attempt === null) return;
  const { pids, left } = await terminateTree({
    dir,
    attempts: [info.attempt],
    processes: [],
    exclude: info.exclude,
    of: "command",
    variable: STOP_VARIABLE,
  }, { main: null, signal: "SIGTERM", graceMs: LAST_WORDS_BYTES });
  if (pids.length > 0) reporter.debug(`ended what a stop command had left: pid ${pids.join(", ")}`);
  requireTerminated(dir, left);
}

/**
 * Ending a running node in the way that it asks for.
 *
 * @module
 */
import { EXIT, TombstoneError } from "../errors.ts";
import { signal } from "../os/platform.ts";
import { reap } from "../process/reap.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/records.ts";
import { findMain } from "./identify.ts";
import { type Evidence, rootsOf } from "./judge.ts";
import type { Teller } from "./teller.ts";

/**
 * Ends a running node as it asks to be: its stop command or signal for the main process, TERM for what
 * the main process leaves behind, KILL for what is left after the timeout.
 */
export async function endGracefully(
  dir: NodeDir,
  evidence: Evidence,
  info: NodeInfo,
  teller: Teller,
): Promise<number[]> {
  const main = findMain(dir, info);
  using command = info.stop.command === null ? null : new StopCommand(dir, info, info.stop.command);
  using waiting = teller.wait(dir);
  const { pids, left } = await reap(rootsOf(dir, evidence), {
    main,
    signal: info.stop.signal,
    graceMs: info.stop.timeout_ms,
    onLook: (rows) => waiting.update(rows.map((row) => `pid ${row.pid} (${row.name}) has not ended`)),
    ...(command === null ? {} : {
      ask: async () => {
        const code = await command.run();
        if (code === 0 || main === null) return;
        teller.warn(`the stop command of "${dir.node}" exited with ${code}; sending ${info.stop.signal} instead`);
        signal(main, info.stop.signal);
      },
    }),
  });
  requireEnded(dir, left);
  return pids;
}

/**
 * Insists that nobody is left.
 *
 * @throws {TombstoneError} if any process is
 */
export function requireEnded(dir: NodeDir, left: { pid: number; name: string }[]): void {
  const [first] = left;
  if (first === undefined) return;
  throw new TombstoneError(
    `Cannot stop "${dir.node}": pid ${first.pid} (${first.name}) did not end, not even by SIGKILL`,
    {
      kind: "stop-failed",
      hint: `ps -o pid,stat,wchan,args -p ${first.pid}, then tombstone sweep ${dir.node}`,
      exitCode: EXIT.failed,
      details: { pids: left.map((row) => row.pid) },
    },
  );
}

/**
 * Insists that nobody is left of a start that failed.
 *
 * @throws {TombstoneError} somebody is; it tells both that and why the start had failed
 */
export function requireEndedAfter(dir: NodeDir, left: { pid: number; name: string }[], cause: unknown): void {
  try {
    requireEnded(dir, left);
  } catch (error) {
    if (!(error instanceof TombstoneError) || !(cause instanceof Error)) throw error;
    const { kind, hint, exitCode, details } = error;
    throw new TombstoneError(`${cause.message}. ${error.message}`, { kind, hint, exitCode, details, cause });
  }
}

/** The user's own way to stop a server; its output goes to the server's log. */
class StopCommand implements Disposable {
  #child: Deno.ChildProcess | null = null;
  readonly #dir: NodeDir;
  readonly #info: NodeInfo;
  readonly #command: string;

  constructor(dir: NodeDir, info: NodeInfo, command: string) {
    this.#dir = dir;
    this.#info = info;
    this.#command = command;
  }

  /** Runs it; resolves to its exit code. */
  async run(): Promise<number> {
    try {
      this.#child = new Deno.Command("/bin/sh", {
        args: ["-c", `exec >>"$0" 2>&1\n${this.#command}`, this.#dir.log],
        cwd: this.#info.cwd,
        env: {
          TOMBSTONE_WORKSPACE: this.#dir.workspace,
          TOMBSTONE_NODE: this.#dir.node,
          TOMBSTONE_PID: String(this.#info.pid),
          TOMBSTONE_ATTEMPT: "", // it is not part of the tree that it ends
          PORT: String(this.#info.port),
        },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 127; // its directory is gone
      if (error instanceof Deno.errors.PermissionDenied) return 126; // its directory is closed to this user
      throw error;
    }
    return (await this.#child.status).code;
  }

  /** Ends it, should it outlive the server. */
  [Symbol.dispose](): void {
    try {
      this.#child?.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error; // it has ended
    }
  }
}

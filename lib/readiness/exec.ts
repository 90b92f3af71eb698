/**
 * A condition that is the exit code of a command.
 *
 * @module
 */
import { identityOfChild, killDetached, system } from "../os/system.ts";
import { LONGEST_TIMER_MS } from "../async.ts";
import { fillPort } from "../spec/placeholders.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { Throttle } from "./throttle.ts";
import type { Prober, ProbeTarget, RoundOptions } from "./types.ts";

/**
 * Whether a shell command exits with 0. It runs in the server's directory with the server's variables. Its environment
 * names the attempt, so the next command finds its processes after an interrupted start.
 */
export function execProber(command: string): Prober {
  const throttle = new Throttle();
  return (target, round) =>
    throttle.check(async (last) => {
      const ended = await runOnce(command, target, round);
      if (ended === "0") return { kind: "pass" };
      if (ended === null && last !== null) return last;
      return { kind: "wait", state: `"${command}" ${ended === null ? "did not end in time" : `exits with ${ended}`}` };
    });
}

/** Its exit code or the name of the signal that killed it; `null` if it took too long. */
async function runOnce(command: string, target: ProbeTarget, round: RoundOptions): Promise<string | null> {
  const port = round.found?.port ?? target.known?.port ?? 0;
  let isLate = false;
  let failure: unknown = null;
  const { dir, attempts } = target.roots;
  try {
    const [program, ...args] = system.shell.words(fillPort(command, port === 0 ? null : port));
    const child = new Deno.Command(program, {
      args,
      cwd: target.cwd,
      env: {
        ...(port === 0 ? {} : { PORT: String(port) }),
        ...target.env,
        TOMBSTONE_WORKSPACE: dir.workspace,
        TOMBSTONE_NODE: dir.node,
        TOMBSTONE_PID: String(target.mainPid),
        [ATTEMPT_VARIABLE]: attempts[0] ?? "",
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    const self = identityOfChild(child.pid);
    // If it takes too long, everything in its session is killed with it.
    const kill = () => {
      try {
        killDetached(self, ATTEMPT_VARIABLE);
      } catch (error) {
        failure ??= error;
      }
    };
    const limit = setTimeout(() => {
      isLate = true;
      kill();
    }, Math.min(round.limitMs, LONGEST_TIMER_MS));
    round.signal.addEventListener("abort", kill, { once: true });
    try {
      const { code, signal } = await child.status;
      if (failure !== null) throw failure;
      return isLate ? null : signal ?? String(code);
    } finally {
      clearTimeout(limit);
      round.signal.removeEventListener("abort", kill);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "127"; // the directory is gone
    if (error instanceof Deno.errors.PermissionDenied) return "126"; // the directory is closed to this user
    throw error;
  }
}

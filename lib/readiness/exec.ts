/**
 * A condition that a command decides.
 *
 * @module
 */
import { identityOfChild, killSession } from "../os/system.ts";
import { fillPort } from "../spec/placeholders.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { Throttle } from "./throttle.ts";
import type { Look, Prober, ProbeTarget } from "./types.ts";

/**
 * Whether a shell command exits with 0. It runs in the server's directory, and gets the server's variables. Since its
 * environment names the attempt, what an interrupted start leaves of it is found.
 */
export function execProber(command: string): Prober {
  const pace = new Throttle();
  return (subject, look) =>
    pace.look(async (last) => {
      const ended = await runOnce(command, subject, look);
      if (ended === "0") return { kind: "pass" };
      if (ended === null && last !== null) return last;
      return { kind: "wait", state: `"${command}" ${ended === null ? "did not end in time" : `exits with ${ended}`}` };
    });
}

/** Longest delay of a timer, in milliseconds: 31 bits. */
const LONGEST_LIMIT = 2 ** 31 - 1;

/** How it ended: exit code or name of a signal; `null` if it took too long. */
async function runOnce(command: string, subject: ProbeTarget, look: Look): Promise<string | null> {
  const port = look.found?.port ?? subject.known?.port ?? 0;
  let isLate = false;
  let failure: unknown = null;
  const { dir, attempts } = subject.roots;
  try {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", fillPort(command, port === 0 ? null : port)],
      cwd: subject.cwd,
      env: {
        ...(port === 0 ? {} : { PORT: String(port) }),
        ...subject.env,
        TOMBSTONE_WORKSPACE: dir.workspace,
        TOMBSTONE_NODE: dir.node,
        TOMBSTONE_PID: String(subject.mainPid),
        [ATTEMPT_VARIABLE]: attempts[0] ?? "",
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    const self = identityOfChild(child.pid);
    // Nothing that it started in its session is to outlive it when it takes too long.
    const kill = () => {
      try {
        killSession(self, ATTEMPT_VARIABLE);
      } catch (error) {
        failure ??= error;
      }
    };
    const limit = setTimeout(() => {
      isLate = true;
      kill();
    }, Math.min(look.limitMs, LONGEST_LIMIT));
    look.signal.addEventListener("abort", kill, { once: true });
    try {
      const { code, signal } = await child.status;
      if (failure !== null) throw failure;
      return isLate ? null : signal ?? String(code);
    } finally {
      clearTimeout(limit);
      look.signal.removeEventListener("abort", kill);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "127"; // the directory is gone
    if (error instanceof Deno.errors.PermissionDenied) return "126"; // the directory is closed to this user
    throw error;
  }
}

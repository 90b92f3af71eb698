/**
 * Who was asked to end, and who was killed: strace(1) looks on while a tree of processes ends.
 *
 * @module
 */
import { isInstalled } from "../../tests/support/servers.ts";
import { proc } from "./watch.ts";

/** What was seen of the end of a tree. */
export interface Ending {
  /** Processes that got a signal which asks them to end. */
  asked: number[];
  /** Processes that ended by SIGKILL, and that no process of their own tree had killed. */
  killed: number[];
}

/** Signals that ask, as strace prints them. */
const ASKS = /^(\d+) +--- SIG(?:TERM|INT|QUIT|HUP|WINCH|USR[12])\b/gm;
const KILLED = /^(\d+) +\+\+\+ killed by SIGKILL/gm;
/** A process of the tree kills another one. A negative number is a group. */
const KILLS = /^\d+ +(?:kill|tkill|tgkill|pidfd_send_signal)\(([^)]*SIGKILL[^)]*)/gm;

/** Looks at processes, until disposed. Without strace nothing is seen. */
export class SignalWatch implements AsyncDisposable {
  private constructor(
    readonly pids: number[],
    private readonly file: string,
    private readonly strace: Deno.ChildProcess | null,
  ) {}

  /** Begins to look; resolves when every process is looked at that nobody else traces. */
  static async begin(pids: number[], file: string): Promise<SignalWatch> {
    if (!isInstalled("strace") || pids.length === 0) return new SignalWatch(pids, file, null);
    const trace = ["-e", "trace=kill,tkill,tgkill,pidfd_send_signal", "-e", "signal=all"];
    const strace = new Deno.Command("strace", {
      args: ["-f", ...trace, "-o", file, ...pids.flatMap((pid) => ["-p", String(pid)])],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let ended = false;
    strace.status.then(() => ended = true);
    const isTraced = (pid: number) => !/^TracerPid:\s*0$/m.test(proc(`${pid}/status`));
    for (let tries = 0; tries < 200 && !ended && !pids.every(isTraced); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return new SignalWatch(pids, file, strace);
  }

  /** What was seen; `null` if there was nobody to look. */
  async end(): Promise<Ending | null> {
    if (this.strace === null) return null;
    // It ends by itself with the last process. Until its last line is written the file is not whole.
    const late = setTimeout(() => this.#detach(), 1000);
    await this.strace.status;
    clearTimeout(late);
    const text = Deno.readTextFileSync(this.file);
    const pidsOf = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((match) => Number(match[1])))];
    const own = [...text.matchAll(KILLS)].map((match) => match[1]!);
    const byOwn = (pid: number) => own.some((args) => args.includes("-") || new RegExp(`\\b${pid}\\b`).test(args));
    return {
      asked: pidsOf(ASKS),
      killed: pidsOf(KILLED).filter((pid) => this.pids.includes(pid) && !byOwn(pid)),
    };
  }

  /** Stops looking. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#detach();
    await this.strace?.status;
  }

  #detach(): void {
    try {
      this.strace?.kill("SIGTERM"); // strace detaches
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
  }
}

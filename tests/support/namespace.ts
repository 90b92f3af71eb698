/**
 * A pid namespace of its own, in which pids can be handed out at will and pid 1 may refuse to reap.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { COMMAND, type Document, readProcess, type Sandbox, until } from "./sandbox.ts";

/** What a new namespace's pid 1 does with orphans that end. */
export type Init = "reaps" | "never reaps";

/** Neither forks: a process of its own would take the pid that a stranger is meant to get. */
const INITS: Record<Init, string[]> = {
  "reaps": ["bash", "-c", "trap '' CHLD; exec sleep 600"],
  "never reaps": ["sleep", "600"],
};

/** Whether this user may make one, tried once per test file; otherwise says why tests are skipped. */
export async function canUnshare(): Promise<boolean> {
  const { success } = await new Deno.Command("unshare", {
    args: ["--pid", "--fork", "--mount-proc", "true"],
    stdout: "null",
    stderr: "null",
  }).output().catch((error) => {
    if (error instanceof Deno.errors.NotFound) return { success: false };
    throw error;
  });
  if (!success) console.log("skipped: a pid namespace takes unshare(1) and root (run the tests as root)");
  return success;
}

/** A running pid namespace. All its processes end when it is disposed. */
export class PidNamespace implements AsyncDisposable {
  readonly #sandbox: Sandbox;
  readonly #unshare: Deno.ChildProcess;
  readonly #init: number;

  private constructor(sandbox: Sandbox, unshare: Deno.ChildProcess, init: number) {
    this.#sandbox = sandbox;
    this.#unshare = unshare;
    this.#init = init;
  }

  /** A new one whose processes belong to the sandbox. */
  static async create(sandbox: Sandbox, init: Init): Promise<PidNamespace> {
    const child = new Deno.Command("unshare", {
      args: ["--pid", "--fork", "--mount-proc", "--kill-child", ...INITS[init]],
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let init1 = 0;
    await until("the namespace is there", () => {
      init1 = Number(Deno.readTextFileSync(`/proc/${child.pid}/task/${child.pid}/children`).split(" ")[0]);
      return init1 > 0 && readProcess(init1)?.name === "sleep";
    });
    return new PidNamespace(sandbox, child, init1);
  }

  /** Runs a command in it to the end. */
  async run(command: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await new Deno.Command("nsenter", {
      args: ["--target", String(this.#init), "--pid", "--mount", `--wd=${this.#sandbox.project}`, ...command],
      env: this.#sandbox.env(),
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Runs the tool in it with `--json`; the exit code must be as expected. */
  async json(args: string[], code = 0): Promise<Document> {
    const at = args.indexOf("--");
    const words = at < 0 ? [...args, "--json"] : [...args.slice(0, at), "--json", ...args.slice(at)];
    const ran = await this.run([...COMMAND, ...words]);
    assertEquals(ran.code, code, `${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
    return JSON.parse(ran.stdout);
  }

  /** The fields of `/proc/PID/stat` from the state on, by a pid of the namespace; `null` if there is no such process. */
  async #stat(pid: number): Promise<string[] | null> {
    const { stdout } = await this.run(["cat", `/proc/${pid}/stat`]);
    return stdout === "" ? null : stdout.slice(stdout.lastIndexOf(")") + 2).split(" ");
  }

  /** State of a process, one letter. */
  async stateOf(pid: number): Promise<string | null> {
    return (await this.#stat(pid))?.[0] ?? null;
  }

  /** Start time of a process that lives, in clock ticks. */
  async startOf(pid: number): Promise<number | null> {
    const stat = await this.#stat(pid);
    return stat === null || stat[0] === "Z" ? null : Number(stat[19]);
  }

  /** Starts a stranger under exactly this pid, which must be free. */
  async spawnAs(pid: number): Promise<void> {
    // The kernel hands out the number after the last one to the next process, here the stranger.
    const script = `for i in 1 2 3 4 5 6 7 8 9; do
      echo ${pid - 1} >/proc/sys/kernel/ns_last_pid
      setsid sleep 600 </dev/null >/dev/null 2>&1 &
      [ $! = ${pid} ] && exit 0
      kill -9 $!
    done; exit 1`;
    const { code, stderr } = await this.run(["env", "-i", `PATH=${Deno.env.get("PATH")}`, "sh", "-c", script]);
    assertEquals(code, 0, stderr);
  }

  /** Ends pid 1, and with it all others. */
  async [Symbol.asyncDispose](): Promise<void> {
    Deno.kill(this.#init, "SIGKILL");
    await this.#unshare.status;
  }
}

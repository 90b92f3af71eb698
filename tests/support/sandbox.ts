/**
 * A place of its own for each test: state directory, project, and the certainty that nothing it starts survives it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ensureDir } from "@std/fs";

/** Root of the checkout. */
export const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** The command under test. */
export const COMMAND = (Deno.env.get("TOMBSTONE_CMD") ?? `${Deno.execPath()} run -A ${ROOT}/main.ts`).split(/\s+/);

/** Every process of a test carries this variable with the test's own value. */
const MARK = "TOMBSTONE_TEST_MARK";

/** How one run of the tool ended. */
export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Options of one run. */
export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** A node as `--json` shows it; fields as the tests need them. */
// deno-lint-ignore no-explicit-any
export type Document = any;

/** What the tests know of a process, read from `/proc` on their own account. */
export interface Process {
  pid: number;
  state: string;
  ppid: number;
  sid: number;
  start: number;
  name: string;
}

/** Reads one process; `null` if there is none. */
export function readProcess(pid: number): Process | null {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      pid,
      state: fields[0]!,
      ppid: Number(fields[1]),
      sid: Number(fields[3]),
      start: Number(fields[19]),
      name: text.slice(text.indexOf("(") + 1, text.lastIndexOf(")")),
    };
  } catch (error) {
    if (error instanceof Error && error.constructor === Error || error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  const process = readProcess(pid);
  return process !== null && process.state !== "Z" && process.state !== "X";
}

/** Pids of all processes. */
export function allPids(): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter(Number.isInteger);
}

function environHas(pid: number, entry: string): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").includes(entry);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return false;
    throw error;
  }
}

/** Waits until a condition holds; fails after ten seconds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert(performance.now() < deadline, `in vain waited until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Whether something accepts connections. */
export async function accepts(port: number, hostname = "127.0.0.1"): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/** A free port below the ephemeral range, different for each call in a process. */
export function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 9_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** The fixture server with these options (see fixtures/server.js). */
export function fixture(...options: string[]): string[] {
  return ["node", `${ROOT}/tests/fixtures/server.js`, ...options];
}

/** State directory, project directory and clean-up of one test. */
export class Sandbox implements AsyncDisposable {
  readonly root: string;
  readonly state: string;
  readonly project: string;
  readonly mark = crypto.randomUUID();
  readonly #bystanders: { child: Deno.ChildProcess; start: number }[] = [];

  private constructor(root: string) {
    this.root = root;
    this.state = `${root}/state`;
    this.project = `${root}/project`;
  }

  /** A new one. */
  static async create(): Promise<Sandbox> {
    const sandbox = new Sandbox(Deno.realPathSync(Deno.makeTempDirSync({ prefix: "tombstone-" })));
    await ensureDir(sandbox.project);
    return sandbox;
  }

  /** The environment of everything that the test runs. */
  env(more: Record<string, string> = {}): Record<string, string> {
    return { TOMBSTONE_STATE_DIR: this.state, NO_COLOR: "1", [MARK]: this.mark, ...more };
  }

  /** Spawns the tool without waiting for it. */
  spawn(args: string[], options: RunOptions = {}): Deno.ChildProcess {
    return new Deno.Command(COMMAND[0]!, {
      args: [...COMMAND.slice(1), ...args],
      cwd: options.cwd ?? this.project,
      env: this.env(options.env),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Runs the tool to its end. */
  async run(args: string[], options: RunOptions = {}): Promise<Ran> {
    const { code, stdout, stderr } = await this.spawn(args, options).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Runs the tool with `--json`; the exit code must be as expected. */
  async json(args: string[], options: RunOptions & { code?: number } = {}): Promise<Document> {
    const ran = await this.run([...insertBeforeCommand(args, "--json")], options);
    assertEquals(ran.code, options.code ?? 0, `${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
    return JSON.parse(ran.stdout);
  }

  /** The directory of a node that has been started. */
  nodeDir(node: string): string {
    const [workspace] = [...Deno.readDirSync(this.state)].filter((entry) => entry.isDirectory);
    return `${this.state}/${workspace!.name}/${node}`;
  }

  /** Names of what is in a node's directory, without the lock and the logs. */
  runtimeFiles(node: string): string[] {
    return [...Deno.readDirSync(this.nodeDir(node))].map((entry) => entry.name)
      .filter((name) => name !== "lock" && !name.startsWith("server.log")).sort();
  }

  /** Starts a process that nobody may touch; {@linkcode Sandbox.assertBystanders} looks after it. */
  bystander(command: string[] = ["sleep", "600"]): number {
    const child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      env: { [MARK]: this.mark },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    this.#bystanders.push({ child, start: readProcess(child.pid)!.start });
    return child.pid;
  }

  /** Every bystander still is the process it was. */
  assertBystanders(): void {
    for (const { child, start } of this.#bystanders) {
      const process = readProcess(child.pid);
      assert(process !== null && isRunning(child.pid), `bystander ${child.pid} was ended`);
      assertEquals(process!.start, start);
    }
  }

  /** Processes of this test, by the mark in their environment, the test's own bystanders left out. */
  processes(): number[] {
    const bystanders = this.#bystanders.map(({ child }) => child.pid);
    return allPids().filter((pid) =>
      isRunning(pid) && !bystanders.includes(pid) && environHas(pid, `${MARK}=${this.mark}`)
    );
  }

  /** Processes of a node, by the environment that every server gets. */
  serversOf(node: string): number[] {
    return this.processes().filter((pid) => environHas(pid, `TOMBSTONE_NODE=${node}`));
  }

  /** What every scenario must end in: one server, which `status` names and which answers, and no leftover. */
  async assertOneServer(node: string): Promise<Document> {
    const status = await this.json(["status", node]);
    assertEquals(status.state, "running");
    assertEquals(status.ready, true);
    assertEquals(this.serversOf(node), [status.pid]);
    assert(await accepts(status.port));
    const files = this.runtimeFiles(node);
    assertEquals(files, ["node.info", "pid", "port"]);
    assertEquals(Deno.readTextFileSync(`${this.nodeDir(node)}/pid`), `${status.pid}\n`);
    this.assertBystanders();
    return status;
  }

  /** Ends everything that carries the mark, and removes the directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (await exists(this.state)) await this.run(["list", "--json"]).then((ran) => this.#stopAll(ran));
    for (const { child } of this.#bystanders) {
      if (isRunning(child.pid)) child.kill("SIGKILL");
      await child.status;
    }
    for (const pid of this.processes()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await until("everything the test started is gone", () => this.processes().length === 0);
    await Deno.remove(this.root, { recursive: true });
  }

  /** Servers that overwrite their environment do not show the mark, so the tool ends what it knows of. */
  async #stopAll(ran: Ran): Promise<void> {
    if (ran.code !== 0) return;
    for (const { workspace, node } of JSON.parse(ran.stdout).nodes) {
      await this.run(["stop", node, "--workspace", workspace, "--force", "--quiet"]);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function insertBeforeCommand(args: string[], flag: string): string[] {
  const at = args.indexOf("--");
  return at < 0 ? [...args, flag] : [...args.slice(0, at), flag, ...args.slice(at)];
}

/** Whether a program is installed; otherwise says how to get it, once per test file. */
export function installed(program: string, debianPackage: string): boolean {
  const paths = (Deno.env.get("PATH") ?? "").split(":");
  const isThere = paths.some((path) => {
    try {
      return Deno.statSync(`${path}/${program}`).isFile;
    } catch (error) {
      if (error instanceof Error && "code" in error) return false;
      throw error;
    }
  });
  if (!isThere) console.log(`skipped: ${program} is not installed (apt-get install ${debianPackage})`);
  return isThere;
}

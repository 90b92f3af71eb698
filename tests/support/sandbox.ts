/**
 * A place of its own for each test: state directory, project, and the certainty that nothing it starts survives it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";

/** Root of the checkout. */
export const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** The command under test. */
export const COMMAND = (Deno.env.get("TOMBSTONE_CMD") ?? `${Deno.execPath()} run -A ${ROOT}/main.ts`).split(/\s+/);

/** Every process of a test carries this variable with the test's own value. */
const MARK = "TOMBSTONE_TEST_MARK";

/** A run of the tool that takes longer hangs, and is killed so that its test fails; in milliseconds. */
const LONGEST_RUN = 60_000;

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
  threads: number;
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
      threads: Number(fields[17]),
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

function environ(pid: number): string[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return [];
    throw error;
  }
}

function environHas(pid: number, entry: string): boolean {
  return environ(pid).includes(entry);
}

function worksIn(pid: number, dir: string): boolean {
  try {
    const cwd = Deno.readLinkSync(`/proc/${pid}/cwd`);
    return cwd === dir || cwd.startsWith(`${dir}/`);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return false;
    throw error;
  }
}

/** A process in words, for a failed assertion. */
function describe(pid: number): string {
  try {
    return `${JSON.stringify(readProcess(pid))} ${Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`;
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return `${pid}, gone`;
    throw error;
  }
}

/** Waits until a condition holds; fails after `timeoutMs` milliseconds, with `details` in the message. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
  details: () => string[] = () => [],
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  // Many conditions scan all processes, so slow ones are checked less often.
  for (let pause = 2; !(await condition()); pause = Math.min(pause * 1.3, 25)) {
    assert(performance.now() < deadline, [`in vain waited until ${what}`, ...details()].join("\n"));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** How often a process has slept or waited since it was started; 0 once it is gone. */
function pausesOf(pid: number): number {
  try {
    return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1] ?? 0);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return 0;
    throw error;
  }
}

/** Waits until a waiting command has checked several more times, by its pauses between checks, or has exited. */
export async function untilCheckedAgain(child: Deno.ChildProcess): Promise<void> {
  const before = pausesOf(child.pid);
  await until("it has checked again", () => !isRunning(child.pid) || pausesOf(child.pid) >= before + 50);
}

/** Sends a signal to a child, unless it has ended already. */
export function kill(child: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended by itself
  }
}

/** Kills a process, unless it has ended already. */
export function killPid(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Whether there is anything of this name, a link that leads nowhere included. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Whether something accepts connections. */
export async function accepts(port: number, hostname = "127.0.0.1"): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset) return false;
    throw error;
  }
}

/** Ports that belong to one test file. */
const BLOCK = 60;

/** Claims a block of ports by a name that no other process can hold until this file's tests end; returns the first port. */
function claimBlock(): number {
  for (;;) {
    const first = 10_000 + BLOCK * Math.floor(Math.random() * 9_000 / BLOCK);
    try {
      Deno.listen({ transport: "unix", path: `\0tombstone-test-ports-${first}` }).unref();
      return first;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

const firstPort = claimBlock();
let ports = 0;

/**
 * A free port below the ephemeral range, and below the ports that the tool chooses. Each call, and each test file that
 * runs at the same time, gets another one.
 */
export function freePort(): number {
  for (;;) {
    const port = firstPort + ports++ % BLOCK;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** The fixture server with these options (see fixtures/server.pl). */
export function fixture(...options: string[]): string[] {
  return ["perl", `${ROOT}/tests/fixtures/server.pl`, ...options];
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
  static create(): Promise<Sandbox> {
    const sandbox = new Sandbox(Deno.realPathSync(Deno.makeTempDirSync({ prefix: "tombstone-" })));
    Deno.mkdirSync(sandbox.project);
    return Promise.resolve(sandbox);
  }

  /** The environment of everything that the test runs. */
  env(more: Record<string, string> = {}): Record<string, string> {
    return { TOMBSTONE_STATE_DIR: this.state, NO_COLOR: "1", GITHUB_ACTIONS: "", [MARK]: this.mark, ...more };
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
    const child = this.spawn(args, options);
    const limit = setTimeout(() => kill(child), LONGEST_RUN);
    const { code, stdout, stderr } = await child.output();
    clearTimeout(limit);
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** A word for a shell. */
  quote(word: string): string {
    return `'${word.replaceAll("'", "'\\''")}'`;
  }

  /** The tool with these arguments, as a line for a shell. */
  commandLine(args: string[]): string {
    return [...COMMAND, ...args].map(this.quote).join(" ");
  }

  /** Runs a line in a shell to its end. */
  async shell(line: string, options: RunOptions & { shell?: string } = {}): Promise<Ran> {
    const { code, stdout, stderr } = await new Deno.Command(options.shell ?? "sh", {
      args: ["-c", line],
      cwd: options.cwd ?? this.project,
      env: this.env(options.env),
      stdin: "null",
    }).output();
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
    const [workspace] = [...Deno.readDirSync(this.state)].filter(({ isDirectory, name }) =>
      isDirectory && !name.startsWith(".")
    );
    return `${this.state}/${workspace!.name}/${node}`;
  }

  /** Names of what is in a node's directory, without the lock, the logs and what is kept. */
  runtimeFiles(node: string): string[] {
    return [...Deno.readDirSync(this.nodeDir(node))].map((entry) => entry.name)
      .filter((name) => name !== "lock" && name !== "recorded.json" && !name.startsWith("server.log")).sort();
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

  /**
   * Processes of this test, its own bystanders left out: by the mark in their environment, or, since nginx and redis
   * overwrite theirs, by their working directory.
   */
  processes(): number[] {
    const bystanders = this.#bystanders.map(({ child }) => child.pid);
    return allPids().filter((pid) =>
      !bystanders.includes(pid) && (environHas(pid, `${MARK}=${this.mark}`) || worksIn(pid, this.root)) &&
      isRunning(pid)
    );
  }

  /** Processes of a node, by the environment that every server gets. */
  serversOf(node: string): number[] {
    return this.processes().filter((pid) => environHas(pid, `TOMBSTONE_NODE=${node}`));
  }

  /**
   * What every scenario must end in: one server, which `status` names and which answers; no leftover, neither file
   * nor process; every bystander untouched.
   */
  async assertOneServer(node: string): Promise<Document> {
    const status = await this.json(["status", node]);
    assertEquals([status.state, status.ready], ["running", true], JSON.stringify(status));
    assert(isRunning(status.pid), `pid ${status.pid} does not run`);
    assert(await accepts(status.port, status.host));
    assertEquals(this.runtimeFiles(node), ["node.info", "pid", "port"]);
    assertEquals(Deno.readTextFileSync(`${this.nodeDir(node)}/pid`), `${status.pid}\n`);
    const isOurs = (pid: number) =>
      readProcess(pid)?.sid === status.pid || environHas(pid, `TOMBSTONE_ATTEMPT=${status.attempt}`) ||
      environ(pid).some((entry) => entry.startsWith("TOMBSTONE_NODE=") && entry !== `TOMBSTONE_NODE=${node}`);
    // A launcher of a dead attempt that has not run yet ends by itself as soon as it does.
    const others = () => this.processes().filter((pid) => !isOurs(pid));
    await until("nothing of a dead attempt is left", () => others().length === 0, 60_000, () => others().map(describe));
    this.assertBystanders();
    return status;
  }

  /** Ends everything that carries the mark, and removes the directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    const marked = this.processes();
    // Only the tool can identify a server that shows neither mark nor directory, so the tool ends it.
    if (this.#recorded().some((pid) => isRunning(pid) && !marked.includes(pid))) {
      await this.run(["list", "--json"]).then((ran) => this.#stopAll(ran));
    }
    for (const { child } of this.#bystanders) {
      if (isRunning(child.pid)) child.kill("SIGKILL");
      await child.status;
    }
    await until("everything the test started is gone", () => {
      const left = this.processes();
      left.forEach(killPid);
      return left.length === 0;
    });
    await Deno.remove(this.root, { recursive: true });
  }

  /** The processes that the records of the nodes name. */
  #recorded(): number[] {
    const list = (dir: string) => {
      try {
        return [...Deno.readDirSync(dir)].filter((entry) => entry.isDirectory).map(({ name }) => `${dir}/${name}`);
      } catch (error) {
        if (error instanceof Error && !(error instanceof TypeError)) return []; // a test put something else there
        throw error;
      }
    };
    const pidIn = (path: string) => {
      try {
        return Deno.lstatSync(path).isFile ? Number.parseInt(Deno.readTextFileSync(path)) : NaN;
      } catch (error) {
        if (error instanceof Error && !(error instanceof TypeError)) return NaN;
        throw error;
      }
    };
    return list(this.state).flatMap(list).map((dir) => pidIn(`${dir}/pid`)).filter((pid) => pid > 0);
  }

  /** Ends all nodes that the tool knows of. */
  async #stopAll(ran: Ran): Promise<void> {
    if (ran.code !== 0) return;
    for (const { workspace, node } of JSON.parse(ran.stdout).nodes) {
      await this.run(["stop", node, "--workspace", workspace, "--force", "--quiet"]);
    }
  }
}

export function insertBeforeCommand(args: string[], ...flags: string[]): string[] {
  const at = args.indexOf("--");
  return at < 0 ? [...args, ...flags] : [...args.slice(0, at), ...flags, ...args.slice(at)];
}

/** Forges the files of a node that ran as `pid`, as if it had been started by the tool. */
export async function forgeNode(
  sandbox: Sandbox,
  node: string,
  pid: number,
  startTime: number | null,
): Promise<Document> {
  const started = await sandbox.json(["start", node, "--port", "0", "--", ...fixture()]);
  const info = JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`));
  const forged = { ...info, pid, leader_pid: pid, start_time: startTime };
  await sandbox.json(["stop", node]);
  Deno.writeTextFileSync(`${started.dir}/node.info`, JSON.stringify(forged));
  Deno.writeTextFileSync(`${started.dir}/pid`, `${pid}\n`);
  Deno.writeTextFileSync(`${started.dir}/port`, `${info.port}\n`);
  return started;
}

/**
 * The test bed: what is installed and compiled, the sessions of resident managers, and one run at a time.
 *
 * Everything that a run starts carries `BENCH_RUN` in its environment, so that what it leaves can be found, told, and
 * killed.
 *
 * @module
 */
import type { Contender } from "./contenders.ts";

const HERE = new URL(".", import.meta.url).pathname;

/** Ports below the range that the kernel takes ports of its own from. */
const PORTS = { first: 20_000, last: 31_990 };

/** A moment, in milliseconds of the monotonic clock. */
export type Moment = number;

/** Something that happened, as `helper.c` stamped it. */
interface Stamp {
  label: string;
  at: Moment;
  pid: number;
}

/** Where everything is measured. */
export class Bed {
  /** The compiled `helper.c`. */
  readonly helper: string;
  readonly #dir: string;
  readonly #tools: string;
  readonly #sessions = new Map<Contender, string>();
  #port = PORTS.first + 2 * Math.floor(Math.random() * 5000);

  /**
   * @param tools directory that keeps what is installed and compiled
   * @param dir directory of this benchmark
   */
  constructor(tools: string, dir: string) {
    this.#tools = tools;
    this.#dir = dir;
    this.helper = `${tools}/helper`;
    Deno.mkdirSync(tools, { recursive: true });
    check("cc", "cc", ["-O2", "-o", this.helper, `${HERE}helper.c`]);
  }

  /** Installs what comes from npm. Without its scripts: nobody needs a browser. */
  install(contenders: Contender[]): void {
    const packages = [...new Set(contenders.flatMap(({ npm }) => npm ?? []))];
    const installed = packages.every((name) => this.#installed(name));
    if (!installed) {
      check("npm", "npm", ["install", "--silent", "--ignore-scripts", "--prefix", this.#tools, ...packages]);
    }
  }

  #installed(name: string): boolean {
    const [, id, version] = /^(.+)@([^@]+)$/.exec(name)!;
    try {
      return JSON.parse(Deno.readTextFileSync(`${this.#tools}/node_modules/${id}/package.json`)).version === version;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Starts the managers that stay resident. */
  open(contenders: Contender[]): void {
    for (const contender of contenders.filter(({ session }) => session !== undefined)) {
      const dir = `${this.#dir}/session-${this.#sessions.size}`;
      Deno.mkdirSync(dir);
      this.#sessions.set(contender, dir);
      this.bash(contender.session!.up, dir, this.environment(dir, dir));
    }
  }

  /** Ends the resident managers, and whatever is left of anything. */
  async close(): Promise<void> {
    for (const [{ session }, dir] of this.#sessions) this.bash(session!.down, dir, this.environment(dir, dir));
    await this.killAll(this.#dir);
  }

  /** What every command gets. */
  environment(run: string, session: string): Record<string, string> {
    const keep = ["HOME", "LANG", "DENO_DIR", "TMPDIR"].map((name) => [name, Deno.env.get(name)] as const);
    return {
      ...Object.fromEntries(keep.flatMap(([name, value]) => value === undefined ? [] : [[name, value]])),
      PATH: `${this.#tools}/node_modules/.bin:${Deno.env.get("PATH")}:/usr/sbin:/sbin`,
      HELPER: this.helper,
      NPM: `${this.#tools}/node_modules`,
      BENCH_RUN: run,
      RUN: run,
      SESSION: session,
      PM2_HOME: `${session}/pm2`,
      BGPROC_DATA_DIR: `${run}/bgproc`,
      TOMBSTONE_STATE_DIR: `${run}/state`,
      NO_COLOR: "1",
    };
  }

  /** Runs something that is not timed. */
  bash(script: string, cwd: string, env: Record<string, string>): void {
    new Deno.Command("timeout", {
      args: ["30", "bash", "-c", script],
      cwd,
      env,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).outputSync();
  }

  /** A run of one contender. */
  run(contender: Contender | null): Run {
    this.#port = this.#port >= PORTS.last ? PORTS.first : this.#port + 2;
    const dir = Deno.makeTempDirSync({ dir: this.#dir, prefix: "run-" });
    Deno.mkdirSync(`${dir}/state`, { mode: 0o700 });
    const session = contender === null ? undefined : this.#sessions.get(contender);
    return new Run(this, contender, dir, session ?? dir, this.#port);
  }

  /** Processes that carry the mark of a run, or of a session. */
  marked(mark: string): number[] {
    return processes().filter((pid) => environ(pid).some((entry) => entry.startsWith(`BENCH_RUN=${mark}`)));
  }

  /** Kills a process, if it is of this benchmark. */
  killMarked(pid: number): void {
    if (isAlive(pid) && environ(pid).some((entry) => entry.startsWith(`BENCH_RUN=${this.#dir}/`))) tryKill(pid);
  }

  /** Kills everything with this mark, and waits until it is gone. */
  async killAll(mark: string): Promise<void> {
    for (let round = 0; round < 100; round++) {
      const left = this.marked(mark).filter(isAlive);
      if (left.length === 0) return;
      for (const pid of left) if (isAlive(pid)) tryKill(pid);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`Cannot end the processes of ${mark}`);
  }
}

/** One start, of one server, by one contender. */
export class Run {
  /** Directory that everything happens in. */
  readonly dir: string;
  /** The port that the server is to listen on. */
  readonly port: number;
  readonly #bed: Bed;
  readonly #contender: Contender | null;
  readonly #stamps: string;
  readonly #session: string;
  readonly #children: Deno.ChildProcess[] = [];
  #env: Record<string, string> = {};

  constructor(bed: Bed, contender: Contender | null, dir: string, session: string, port: number) {
    this.#bed = bed;
    this.#contender = contender;
    this.#session = session;
    this.dir = dir;
    this.port = port;
    this.#stamps = `${dir}/stamps`;
    Deno.writeTextFileSync(this.#stamps, "");
  }

  /**
   * Names the server and what is to run when it is ready, and prepares the contender.
   *
   * @param server command, of words without spaces
   * @param ready likewise; the default only stamps "ready"
   */
  prepare(server: string, url: string, ready = `${this.#bed.helper} stamp ${this.#stamps} ready`): void {
    this.#env = {
      ...this.#bed.environment(this.dir, this.#session),
      PORT: String(this.port),
      URL: url,
      NAME: `n${this.port}`,
      SERVER: `${this.#bed.helper} stamp ${this.#stamps} server ${server}`,
      READY: ready,
      STAMPS: this.#stamps,
    };
    if (this.#contender?.prepare !== undefined) this.#bed.bash(this.#contender.prepare, this.dir, this.#env);
  }

  /** Starts the independent observer, which stamps "accept"; resolves when it looks. */
  observe(): Promise<void> {
    return this.#watch(["observe", this.#stamps, String(this.port)]);
  }

  /** Starts to watch processes, each of which is stamped "gone" as it ends; resolves when all are watched. */
  watch(pids: number[]): Promise<void> {
    return this.#watch(["gone", this.#stamps, ...pids.map(String)]);
  }

  async #watch(args: string[]): Promise<void> {
    const child = new Deno.Command(this.#bed.helper, { args, stdout: "piped", stderr: "null" }).spawn();
    this.#children.push(child);
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
  }

  /** Runs bash between the stamps `label` and `label-end`; resolves to its exit code, `null` when time is up. */
  async span(label: string, script: string, limitMs = 30_000): Promise<number | null> {
    const span = this.begin(label, script);
    let timer;
    const late = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), limitMs));
    const code = await Promise.race([span, late]);
    clearTimeout(timer);
    return code;
  }

  /** The same, without a limit. */
  async begin(label: string, script: string): Promise<number> {
    const log = `exec >>"${this.dir}/out.log" 2>&1; `;
    const child = new Deno.Command(this.#bed.helper, {
      args: ["span", this.#stamps, label, "bash", "-c", log + script],
      cwd: this.dir,
      env: this.#env,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#children.push(child);
    return (await child.status).code;
  }

  /** The first stamp with this label, if there is one. */
  at(label: string): Moment | null {
    return this.stamps(label)[0]?.at ?? null;
  }

  /** All stamps with this label. */
  stamps(label: string): Stamp[] {
    return Deno.readTextFileSync(this.#stamps).split("\n")
      .map((line) => line.split(" "))
      .filter((words) => words.length === 3 && words[0] === label)
      .map(([, at, pid]) => ({ label, at: Number(at) / 1e6, pid: Number(pid) }));
  }

  /** Resolves when there is such a stamp, or to `false` when time is up. */
  async until(label: string, limitMs: number): Promise<boolean> {
    for (const end = performance.now() + limitMs; performance.now() < end;) {
      if (this.at(label) !== null) return true;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return false;
  }

  /** Resident memory, in MB, of what belongs to the tool: all that is marked, but for these. */
  residentMb(others: number[]): number {
    const own = [...this.#bed.marked(this.dir), ...this.#session === this.dir ? [] : this.#bed.marked(this.#session)];
    const wrappers = this.#children.map(({ pid }) => pid);
    return own.filter((pid) => !others.includes(pid) && !wrappers.includes(pid)).reduce(
      (sum, pid) => sum + rssMb(pid),
      0,
    );
  }

  /** Ends and removes everything of it. */
  async finish(): Promise<void> {
    if (this.#contender?.cleanup !== undefined) this.#bed.bash(this.#contender.cleanup, this.dir, this.#env);
    for (const child of this.#children.filter(({ pid }) => isAlive(pid))) tryKill(child.pid);
    await this.#bed.killAll(this.dir);
    // What a resident manager started carries the mark of its session.
    for (const { pid } of [...this.stamps("server"), ...this.stamps("tree")]) this.#bed.killMarked(pid);
    await Promise.all(this.#children.map(({ status }) => status));
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** Resolves when the machine has had 100 ms with little to do, or after 5 s. */
export async function untilQuiet(): Promise<void> {
  for (const end = performance.now() + 5000; performance.now() < end;) {
    const before = ticks();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const after = ticks();
    if (1 - (after.idle - before.idle) / Math.max(1, after.all - before.all) <= 0.2) return;
  }
}

function ticks(): { all: number; idle: number } {
  const fields = Deno.readTextFileSync("/proc/stat").split("\n")[0]!.split(/\s+/).slice(1, 9).map(Number);
  return { all: fields.reduce((sum, value) => sum + value, 0), idle: fields[3]! + fields[4]! };
}

function processes(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => pid > 0);
}

function environ(pid: number): string[] {
  return readProc(pid, "environ").split("\0");
}

/** Whether it runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  const stat = readProc(pid, "stat");
  return stat !== "" && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1] ?? 0) / 1024;
}

/** A file of a process; empty when there is no such process any more. */
function readProc(pid: number, file: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`);
  } catch (error) {
    if (error instanceof Error) return "";
    throw error;
  }
}

function tryKill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Runs a program that the benchmark cannot do without. */
function check(name: string, program: string, args: string[]): void {
  let output;
  try {
    output = new Deno.Command(program, { args, stdout: "null" }).outputSync();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new Error(`Cannot prepare the benchmark: ${name} is not installed`);
    }
    throw error;
  }
  if (!output.success) {
    throw new Error(`Cannot prepare the benchmark: ${name}: ${new TextDecoder().decode(output.stderr)}`);
  }
}

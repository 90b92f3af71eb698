/**
 * Killing the tool at every system call: what a command does is recorded once under strace(1), then the command is
 * run again for each recorded call with SIGKILL injected at it, and the next start must make everything good.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  COMMAND,
  exists,
  fixture,
  freePort,
  insertBeforeCommand,
  isRunning,
  kill,
  readProcess,
  Sandbox,
  until,
} from "./sandbox.ts";
import { isInstalled, type Server } from "./servers.ts";

/**
 * Calls that change processes, files or locks, and calls that look at files. Of the latter only those
 * are points that concern the test's own directories: a look into /proc changes nothing that a crash could leave.
 * strace counts them for each thread and each call, so a point is a name and a number; where two
 * threads reach it, the first one decides.
 */
const CHANGES = [
  ...["mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "fsync", "ftruncate"],
  ...["clone", "clone3", "fork", "vfork", "execve", "setsid", "chdir", "dup2", "dup3", "umask"],
  ...["kill", "pidfd_open", "pidfd_send_signal", "wait4", "waitid", "flock", "exit_group"],
];
const LOOKS = ["openat", "read", "write", "close", "lseek", "statx", "newfstatat", "access", "readlink", "getdents64"];

/** Calls at which a disk can refuse. */
export const WRITES = ["openat", "mkdir", "write", "fsync", "ftruncate", "rename", "unlink"];

/** Calls on sockets, of which a sandbox may know none; they name no file. */
const SOCKETS = ["socket", "bind", "connect", "sendto", "recvfrom", "recvmsg"];

/** Errors that a call may give, of errno(3), and the calls that are made to give them. */
export const FAULTS: Record<string, string[]> = {
  EIO: [...WRITES, "read", "getdents64", "statx", "newfstatat", "readlink", "flock"],
  ENOSPC: WRITES,
  EROFS: ["openat", "mkdir", "rename", "unlink", "ftruncate"],
  EACCES: ["openat", "mkdir", "rename", "unlink", "statx", "newfstatat", "readlink", "socket", "connect", "kill"],
  EMFILE: ["openat", "socket", "pidfd_open", "pipe2", "dup2"],
  ENOLCK: ["flock"],
  EINTR: ["flock", "openat", "read", "write", "fsync", "connect", "recvmsg"],
};

/** A moment at which a command can be killed. */
export interface Point {
  /** System call, or `"step"` for a named step of the protocol. */
  call: string;
  /** Which of the calls of that name in one thread, from 1; for a step, its name. */
  at: number | string;
}

/** A command to kill, and what must be there before it. */
export interface Scenario {
  name: string;
  /**
   * The state that the command meets: nothing, a server, or the leftovers of a start or of a run that was killed; or a
   * server, or the leftovers of a start, whose lease is over.
   */
  before: "stopped" | "running" | "interrupted" | "abandoned" | "over" | "interrupted and over";
  /**
   * The command; `start` stands for the whole start of the server, `run` for one with a short test, `up` for
   * the server in the foreground, with a TERM once it has started; `several` for a start
   * of the nodes of a `tombstone.json`: the server, after another one; `step` for the first start of a server with a port
   * that is chosen, after a step that runs once and leaves a process in the background.
   */
  command: "start" | "run" | "up" | "several" | "step" | string[];
  /** Named steps that it passes. */
  steps: string[];
}

const STARTING = ["locked", "tombstone-written", "recovered", "port-checked", "log-rotated", "spawned", "waiting"];
const COMMITTING = ["port-written", "committed", "recorded", "launch-removed", "tombstone-removed"];

/** Every command that writes. */
export const SCENARIOS: Scenario[] = [
  { name: "start", before: "stopped", command: "start", steps: [...STARTING, ...COMMITTING] },
  { name: "recovering start", before: "interrupted", command: "start", steps: [...STARTING, ...COMMITTING] },
  { name: "stop", before: "running", command: ["stop", "web"], steps: ["locked", "marked", "asked", "ended", "swept"] },
  { name: "restart", before: "running", command: ["restart", "web"], steps: [...STARTING, ...COMMITTING] },
  {
    name: "sweep",
    before: "interrupted",
    command: ["sweep", "web"],
    steps: ["locked", "tombstone-written", "recovered", "tombstone-removed"],
  },
  {
    name: "forget",
    before: "interrupted",
    command: ["forget", "web"],
    steps: ["locked", "tombstone-written", "recovered", "tombstone-removed", "released"],
  },
  {
    name: "run",
    before: "stopped",
    command: "run",
    steps: [...STARTING, ...COMMITTING, "marked", "asked", "ended", "swept"],
  },
  {
    name: "up",
    before: "stopped",
    command: "up",
    steps: [...STARTING, ...COMMITTING, "marked", "asked", "ended", "swept"],
  },
  { name: "start after a run", before: "abandoned", command: "start", steps: [...STARTING, ...COMMITTING] },
  {
    name: "sweep after a run",
    before: "abandoned",
    command: ["sweep", "web"],
    steps: ["locked", "recovered", "tombstone-removed"],
  },
  {
    name: "end of a lease",
    before: "over",
    command: ["list"],
    steps: ["locked", "marked", "asked", "recovered", "tombstone-removed"],
  },
  {
    name: "end of the lease of an interrupted start",
    before: "interrupted and over",
    command: ["list"],
    steps: ["locked", "tombstone-written", "asked", "recovered", "tombstone-removed"],
  },
  { name: "start of several", before: "stopped", command: "several", steps: [...STARTING, ...COMMITTING] },
  {
    name: "start with a step",
    before: "stopped",
    command: "step",
    steps: [...STARTING, "ended", "swept", "port-recorded", "port-claimed", ...COMMITTING],
  },
];

/** The commands that only look, and a start that finds the node running: nothing to kill, but calls that can fail. */
export const LOOKING: Scenario[] = [
  { name: "start of a running node", before: "running", command: "start", steps: [] },
  { name: "sweep of a running node", before: "running", command: ["sweep", "web"], steps: [] },
  { name: "sweep --all", before: "interrupted", command: ["sweep", "--all"], steps: [] },
  { name: "status", before: "running", command: ["status", "web"], steps: [] },
  { name: "list", before: "running", command: ["list"], steps: [] },
  { name: "wait", before: "running", command: ["wait", "web", "--timeout", "1s"], steps: [] },
  { name: "logs", before: "running", command: ["logs", "web"], steps: [] },
  { name: "doctor", before: "running", command: ["doctor"], steps: [] },
];

/** Whether this machine has strace(1). */
export const HAS_STRACE = isInstalled("strace");

/** How one point came out. */
export interface Outcome {
  /** What became of the command there; a call that this run did not make lets it finish. */
  hit: "killed" | "refused" | "finished";
  /** What was wrong afterwards; `null` if nothing was. */
  failure: string | null;
}

/** A node, and a place to kill its commands. */
export class CrashSite implements AsyncDisposable {
  readonly #sandbox: Sandbox;
  readonly #start: string[];
  readonly #run: string[];
  readonly #port: number;
  /** What `tombstone.json` holds, by the command that starts its nodes. */
  readonly #described: { several: string; step: string };

  private constructor(sandbox: Sandbox, server: Server) {
    this.#sandbox = sandbox;
    this.#port = freePort();
    const command = server.command(sandbox, this.#port);
    this.#start = ["start", "web", "--port", String(this.#port), "--", ...command];
    const nodes = { other: { command: fixture(), port: 0 }, web: { command, port: this.#port, after: ["other"] } };
    const migrate = { command: "sleep 600 & echo begun >>../order; sleep 0.1; echo done >>../order", once: true };
    const chosen = { command, port: `${this.#port}+`, after: ["migrate"] };
    this.#described = {
      several: JSON.stringify({ nodes }),
      step: JSON.stringify({ nodes: { migrate, web: chosen } }),
    };
    const serve = `exec ${command.map((word) => sandbox.quote(word)).join(" ")}`;
    this.#run = ["run", "web", "--port", String(this.#port), "--serve", serve, "--", "sh", "-c"];
  }

  /** A new one, with two bystanders that nobody may touch. */
  static async create(server: Server): Promise<CrashSite> {
    const sandbox = await Sandbox.create();
    sandbox.bystander();
    sandbox.bystander(["sleep", "601"]);
    return new CrashSite(sandbox, server);
  }

  /** The system calls of a scenario's command, in the order in which it makes them. Takes strace. */
  async points(scenario: Scenario): Promise<Point[]> {
    await this.#prepare(scenario);
    const calls = [...CHANGES, ...LOOKS].map((name) => `?${name}`);
    return readPoints(await this.#strace(scenario, ["-y", "-e", `trace=${calls.join(",")}`]), this.#sandbox.state);
  }

  /** The system calls of a scenario's command that can fail with this error: on its files, in `/proc`, on sockets. */
  async faults(scenario: Scenario, errno: string): Promise<Point[]> {
    await this.#prepare(scenario);
    const calls = FAULTS[errno]!;
    const trace = await this.#strace(scenario, [
      "-y",
      "-e",
      `trace=execve,clone,clone3,vfork,${calls.map((name) => `?${name}`).join(",")}`,
    ]);
    return readFaults(trace, this.#sandbox.state, calls);
  }

  /** Kills the scenario's command at a point, and asks the oracle. */
  async tryPoint(scenario: Scenario, point: Point): Promise<Outcome> {
    let hit: Outcome["hit"] = "finished";
    try {
      await this.#prepare(scenario);
      hit = await this.#killAt(scenario, point);
      await this.#askOracle(scenario);
      return { hit, failure: null };
    } catch (error) {
      // Whatever it was, an assertion or an error of the test's own, this point has not come out well.
      return { hit, failure: error instanceof Error ? error.message : String(error) };
    }
  }

  /**
   * Lets one call of a scenario's command fail. Whatever it then says must be so, and it says it without a stack.
   *
   * @param errno name of an error, as of errno(3)
   */
  async tryFault(scenario: Scenario, point: Point, errno: string): Promise<Outcome> {
    let hit: Outcome["hit"] = "finished";
    try {
      await this.#prepare(scenario);
      const server = scenario.before === "running" ? (await this.#sandbox.json(["status", "web"])).pid as number : null;
      const inject = `inject=${point.call}:error=${errno}:when=${point.at}`;
      const trace = await this.#strace(scenario, ["-y", "-e", `trace=${point.call}`, "-e", inject]);
      // Each thread counts for itself, and counts vary: the call of another thread may be one of the runtime's own.
      const injected = trace.split("\n").filter((line) => line.endsWith("(INJECTED)"));
      const isOurs = (line: string) => isOwnCall(line, point.call, this.#sandbox.state);
      if (injected.length > 0 && injected.every(isOurs)) {
        hit = "refused";
        await this.#checkWords(scenario, server);
      }
      await this.#askOracle(scenario);
      return { hit, failure: null };
    } catch (error) {
      return { hit, failure: error instanceof Error ? error.message : String(error) };
    }
  }

  /** @param server the server that ran before the command; `null` if none did */
  async #checkWords(scenario: Scenario, server: number | null): Promise<void> {
    const messages = await Deno.readTextFile(`${this.#sandbox.root}/stderr`);
    const result = await Deno.readTextFile(`${this.#sandbox.root}/stderr.out`);
    const said = result + messages;
    assert(!/^ {4}at |this is a bug|panicked/m.test(said), said);
    const document = JSON.parse((await this.#sandbox.run(["status", "web", "--json"])).stdout);
    const { state } = document;
    const isCalledGone = /\bis not running|: (stopped|died)\b|\b(stopped|died|interrupted) +-/.test(result);
    if (server !== null && isRunning(server)) {
      assert(!isCalledGone, `pid ${server} runs: ${said}`);
      assert(!/^stopped "web"/m.test(result), `pid ${server} runs: ${said}`);
      // A restart that fails before it has stopped anything leaves its tombstone beside the server.
      const isBegun = Array.isArray(scenario.command) && scenario.command[0] === "restart";
      assert(state === "running" || isBegun && state === "interrupted", `${state}: ${said}`);
    }
    if (scenario.command !== "start") return;
    // It has started the server, or found it running, or there is none and it tells why.
    const isStarted = /^(started )?"web"/.test(result);
    if (server === null) assertEquals(state === "running", isStarted, `${state}: ${said}`);
    if (isStarted) return;
    assert(/^Cannot .*\n(.*\n)*hint: /m.test(messages), messages);
    // What an earlier start left may still be there, since this one has told that it could not go on.
    if (scenario.before === "stopped") assertEquals(this.#sandbox.processes(), [], messages);
  }

  async #prepare({ before, command }: Scenario): Promise<void> {
    const sandbox = this.#sandbox;
    if (command === "several" || command === "step") {
      Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, this.#described[command]);
      await sandbox.json(["stop"]);
      if (command === "step") await sandbox.json(["forget"]); // so that a port is to be chosen
      return;
    }
    if (before === "running") return void await sandbox.json(this.#start);
    await sandbox.run(["stop", "web"]);
    if (before === "stopped") return;
    if (before === "abandoned") {
      // Its test command kills the run, and goes on.
      const ran = await sandbox.shell(
        `${sandbox.commandLine([...this.#run, "kill -9 $PPID; sleep 600"])} >/dev/null 2>&1`,
      );
      return assertEquals(ran.code, 137, "the run that was to be killed was not");
    }
    const owner = new Deno.Command("sleep", { args: ["600"], stdin: "null", stdout: "null", stderr: "null" }).spawn();
    const start = before === "interrupted"
      ? this.#start
      : insertBeforeCommand(this.#start, "--while-pid", String(owner.pid));
    const ran = await sandbox.spawn(start, before === "over" ? {} : { env: { TOMBSTONE_FAILPOINT: "waiting" } })
      .output();
    assert(before === "over" ? ran.success : ran.signal === "SIGKILL", "the start did not go as far as it was to");
    kill(owner);
    await owner.status;
  }

  #command({ command }: Scenario): string[] {
    if (command === "run") return [...this.#run, "sleep 0.05"];
    if (command === "up") return ["up", ...this.#start.slice(1)];
    if (command === "several" || command === "step") return ["start"];
    return command === "start" ? this.#start : command;
  }

  async #killAt(scenario: Scenario, point: Point): Promise<Outcome["hit"]> {
    if (point.call === "step") {
      const env = { TOMBSTONE_FAILPOINT: String(point.at) };
      const child = this.#sandbox.spawn(this.#command(scenario), { env });
      const { signal } = await (scenario.command === "up" ? endOnceStarted(child) : child.output());
      return signal === "SIGKILL" ? "killed" : "finished";
    }
    const inject = `inject=${point.call}:signal=KILL:when=${point.at}`;
    const trace = await this.#strace(scenario, ["-e", `trace=${point.call}`, "-e", inject]);
    return trace.includes("killed by SIGKILL") ? "killed" : "finished";
  }

  /**
   * Runs the command under strace and resolves to the trace, once the command has ended. strace follows the detached
   * server too, so it is ended then; that lets the server go.
   */
  async #strace(scenario: Scenario, flags: string[]): Promise<string> {
    const log = `${this.#sandbox.root}/trace`;
    const messages = `${this.#sandbox.root}/stderr`;
    const command = ["strace", "-f", "-q", "-I", "2", "-s", "16", "-o", log, ...flags, ...COMMAND];
    const child = new Deno.Command("sh", {
      args: ["-c", 'exec "$@" >"$0.out" 2>"$0"', messages, ...command, ...this.#command(scenario)],
      cwd: this.#sandbox.project,
      env: this.#sandbox.env(),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    hasBegun.delete(child.pid); // a number that an earlier one may have had
    let ended = false;
    const end = child.status.then(() => ended = true);
    let isAsked = scenario.command !== "up";
    while (!ended && isTracing(child.pid)) {
      // Once the command has begun, the messages are its own, not those of the run before.
      if (!isAsked && hasBegun.has(child.pid) && Deno.readTextFileSync(messages).includes(STARTED)) {
        isAsked = true;
        const command = tracedBy(child.pid);
        if (command) Deno.kill(command.pid, "SIGTERM"); // traced, so that its pid is not free
      }
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    kill(child, "SIGTERM");
    // Now and then strace waits for ever for a thread that died while it let go.
    const impatience = setTimeout(() => kill(child), 1000);
    await end;
    clearTimeout(impatience);
    return await Deno.readTextFile(log);
  }

  /** What every scenario must end in. */
  async #askOracle({ before, command }: Scenario): Promise<void> {
    if (before === "over" || before === "interrupted and over") await this.#askOfLease();
    if (command === "step") await this.#askOfStep();
    else await this.#sandbox.json(command === "several" ? ["start"] : this.#start);
    await this.#sandbox.assertOneServer("web");
    if (command !== "several") return;
    const { pid, ready } = await this.#sandbox.json(["status", "other"]);
    assertEquals([this.#sandbox.serversOf("other"), ready], [[pid], true]);
  }

  /** Whichever command comes next ends what is over, and leaves nothing of it, except files that tell nothing. */
  async #askOfLease(): Promise<void> {
    const sandbox = this.#sandbox;
    await until("it is ended", async () => {
      await sandbox.json(["list"]);
      return sandbox.serversOf("web").length === 0;
    });
    assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");
    assertEquals([...Deno.readDirSync(`${sandbox.state}/.leases`)], []);
  }

  /** A step is called done only if it is; it runs again before the server, and nothing of it or of a claim is left. */
  async #askOfStep(): Promise<void> {
    const sandbox = this.#sandbox;
    const order = () => readLines(`${sandbox.root}/order`);
    const before = order();
    const status = async () => JSON.parse((await sandbox.run(["status", "migrate", "--json"])).stdout);
    const said = await status();
    if (said.ready) assertEquals(before.at(-1), "done", JSON.stringify(said));
    const { nodes: [{ node, started, ready }] } = await sandbox.json(["start"]);
    assertEquals({ node, started, ready }, { node: "migrate", started: true, ready: true });
    assertEquals(order().slice(-2), ["begun", "done"]);
    await until("nothing of the step is left", () => sandbox.serversOf("migrate").length === 0);
    assertEquals(sandbox.runtimeFiles("migrate"), []);
    assertEquals((await status()).ready, true);
    const claims = [...Deno.readDirSync(`${sandbox.state}/.ports`)].map(({ name }) => name);
    assertEquals(claims.filter((name) => !/^\d+$/.test(name)), []);
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sandbox[Symbol.asyncDispose]();
  }
}

/** Sends TERM once the command says that its server has started, for it does not end by itself. */
async function endOnceStarted(child: Deno.ChildProcess): Promise<Deno.CommandStatus> {
  const drained = child.stdout.pipeTo(new WritableStream());
  let said = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    const before = said;
    said += text;
    if (!before.includes(STARTED) && said.includes(STARTED)) kill(child, "SIGTERM");
  }
  await drained;
  return await child.status;
}

/** What `up` says when its server is ready. */
const STARTED = 'started "web"';

/** The lines of a file; none if it is missing. */
function readLines(path: string): string[] {
  return exists(path) ? Deno.readTextFileSync(path).trimEnd().split("\n") : [];
}

/** What strace has started; `null` if there is nothing, `undefined` if strace itself has ended. */
function tracedBy(strace: number): ReturnType<typeof readProcess> | undefined {
  let children: string;
  try {
    children = Deno.readTextFileSync(`/proc/${strace}/task/${strace}/children`);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return undefined;
    throw error;
  }
  return children.split(" ").map((pid) => readProcess(Number(pid))).find((process) => process !== null) ?? null;
}

/** Whether the command that strace started still runs, or has not begun yet. */
function isTracing(strace: number): boolean {
  const command = tracedBy(strace);
  if (command === undefined) return false;
  // Before it runs the command, strace tries out on children of its own what the kernel can do.
  if (!command || command.name === "strace") return !hasBegun.has(strace);
  hasBegun.add(strace);
  return command.state !== "Z" || command.threads > 1;
}

/** Those strace processes whose command has been seen. */
const hasBegun = new Set<number>();

/** The points in a trace: the calls of the starter and of its launcher, from the first look at the state directory. */
export function readPoints(trace: string, stateDir: string): Point[] {
  const lines = trace.split("\n");
  const { threads, launchers } = findTasks(lines);
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  const looks = new Set<string>(); // since the last change
  const points: Point[] = [];
  let hasBegun = false;
  for (const line of lines) {
    const [, task, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (task === undefined || !threads.has(task) && !launchers.has(task)) continue;
    const at = (counts.get(`${task} ${call}`) ?? 0) + 1;
    counts.set(`${task} ${call}`, at);
    hasBegun ||= line.includes(stateDir) && call !== "execve";
    if (CHANGES.includes(call!)) looks.clear();
    const look = `${call} ${new RegExp(`${stateDir}[^">]*`).exec(line)?.[0]}`;
    const key = `${call} ${at}`;
    if (hasBegun && !seen.has(key) && (CHANGES.includes(call!) || line.includes(stateDir) && !looks.has(look))) {
      points.push({ call: call!, at });
    }
    seen.add(key);
    looks.add(look);
    // The second exec that succeeds makes a server of the launcher.
    if (launchers.has(task) && call === "execve" && line.endsWith(" = 0") && at > 1) launchers.delete(task);
  }
  return points;
}

/** Whether a traced call is one of the tool's own: on its files, in `/proc`, or on a socket. */
function isOwnCall(line: string, call: string, stateDir: string): boolean {
  return SOCKETS.includes(call) || call === "kill" || call === "pidfd_open" || call === "pipe2" || call === "dup2" ||
    line.includes(stateDir) || /\/proc\/(\d|self\/(ns|net|stat|status)|sys|locks|uptime)/.test(line);
}

/** The calls in a trace that can be made to fail: those of the starter's threads and of its launcher. */
function readFaults(trace: string, stateDir: string, calls: string[]): Point[] {
  const lines = trace.split("\n");
  const { threads, launchers } = findTasks(lines);
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  const places = new Map<string, number>(); // how often a call has been seen on a file
  const points: Point[] = [];
  let hasBegun = false;
  for (const line of lines) {
    const [, task, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (task === undefined || !threads.has(task) && !launchers.has(task)) continue;
    hasBegun ||= line.includes(stateDir) && call !== "execve";
    const at = (counts.get(`${task} ${call}`) ?? 0) + 1;
    counts.set(`${task} ${call}`, at);
    if (launchers.has(task) && call === "execve" && line.endsWith(" = 0") && at > 1) launchers.delete(task);
    const key = `${call} ${at}`;
    if (!hasBegun || !calls.includes(call!) || seen.has(key) || !isOwnCall(line, call!, stateDir)) continue;
    // Many looks at the same place, or at one process after the other, are one kind of point: a few of each are tried.
    const place = `${call} ${/(?:\/proc\/|<\/|"\/)[^">]*/.exec(line)?.[0]?.replace(/\d+/g, "N")}`;
    places.set(place, (places.get(place) ?? 0) + 1);
    if (places.get(place)! > MOST_ALIKE) continue;
    seen.add(key);
    points.push({ call: call!, at });
  }
  return points;
}

/** Calls on one kind of file that are tried. */
const MOST_ALIKE = 2;

/** The starter's threads, and what it forked without sharing its memory for good: launchers. */
function findTasks(lines: string[]): { threads: Set<string>; launchers: Set<string> } {
  const threads = new Set<string>();
  const launchers = new Set<string>();
  const flags = new Map<string, string>(); // of the last fork that a task began
  for (const line of lines) {
    const [, task] = /^(\d+) /.exec(line) ?? [];
    if (task === undefined) continue;
    if (threads.size === 0) threads.add(task);
    if (/^\d+ +(?:clone3?|v?fork)\(/.test(line)) flags.set(task, line);
    const child = /^\d+ +(?:<\.\.\. )?(?:clone3?|v?fork)[( ].* = (\d+)(?: |$)/.exec(line)?.[1];
    if (child === undefined || !threads.has(task)) continue;
    (flags.get(task)!.includes("CLONE_THREAD") ? threads : launchers).add(child);
  }
  return { threads, launchers };
}

/** The named steps of a scenario's command: fewer points, but on every machine. */
export function stepsOf(scenario: Scenario): Point[] {
  return scenario.steps.map((name) => ({ call: "step", at: name }));
}

/** `count` of the points, spread evenly over the whole. */
export function spread(points: Point[], count: number): Point[] {
  if (points.length <= count) return points;
  return Array.from({ length: count }, (_, index) => points[Math.floor((index + 0.5) * points.length / count)]!);
}

/**
 * One server, tried: started, its starter killed half-way, its main process killed, stopped, run against.
 *
 * @module
 */
import { type Document, exists, freePort, isRunning } from "../../tests/support/sandbox.ts";
import { differences, sumsOf } from "./files.ts";
import { run } from "./install.ts";
import type { Question, Shown } from "./shown.ts";
import { isTaken, ListenWatch } from "./listeners.ts";
import { REACHED } from "./reach.ts";
import type { Server, Site } from "./server.ts";
import { SignalWatch } from "./signals.ts";
import { Failure, mainLine, Tool } from "./tool.ts";
import { describe, kill, ownersOf, proc, Watch } from "./watch.ts";

const NODE = "server";

/** A trial of one server. */
export class Trial {
  readonly #shown: Shown = { asked: new Set(), failures: [], bootMs: null, lagMs: null };
  readonly #lags: number[] = [];
  readonly #temporary = Deno.makeTempDirSync({ prefix: "tombstone-servers-" });
  readonly #site: Site;
  readonly #watch: Watch;
  readonly #tool: Tool;
  /** Where failures are counted that a step does not name. */
  #question: Question = "start";

  constructor(readonly server: Server, dir: string, readonly random: () => number) {
    this.#site = { dir, port: freePort(), more: [freePort(), freePort(), freePort()] };
    this.#watch = new Watch(`tombstone-servers-${crypto.randomUUID()}`, dir);
    this.#tool = new Tool(this.#watch, `${this.#temporary}/state`);
  }

  /** Tries everything. Whatever happens, nothing that it started is left. */
  async whole(): Promise<Shown> {
    try {
      await this.#prepare();
      const own = this.server.own ?? [];
      const before = await sumsOf(this.#site.dir, own);
      for (
        const [question, step] of [
          ["start", () => this.#isFound()],
          ["recover", () => this.#isInterrupted()],
          ["run", () => this.#isRunAgainst()],
        ] as const
      ) {
        await this.#ask(question, step);
        await this.#clean();
      }
      this.#shown.asked.add("files");
      const changed = differences(before, await sumsOf(this.#site.dir, own));
      if (changed.length > 0) this.#fail("files", changed.slice(0, 3).join(", "));
    } finally {
      await this.end();
    }
    const sorted = this.#lags.toSorted((a, b) => a - b);
    this.#shown.lagMs = sorted[Math.floor(sorted.length / 2)] ?? null;
    return this.#shown;
  }

  /** Ends whatever runs of it, also in the middle. */
  async end(): Promise<void> {
    await this.#clean();
    if (exists(this.#temporary)) Deno.removeSync(this.#temporary, { recursive: true });
  }

  async #prepare(): Promise<void> {
    const { dir } = this.#site;
    const files = { "notes.txt": "the user's own\n", ...this.server.files?.(this.#site) };
    for (const [path, text] of Object.entries(files)) {
      const parent = `${dir}/${path}`.replace(/\/[^/]*$/, "");
      Deno.mkdirSync(parent, { recursive: true });
      Deno.writeTextFileSync(`${dir}/${path}`, text);
    }
    Deno.mkdirSync(`${dir}/empty`, { recursive: true });
    const script = this.server.prepare?.(this.#site);
    if (script === undefined) return;
    const { code, output } = await run(["sh", "-ec", script], { cwd: dir });
    if (code !== 0) throw new Error(`Cannot prepare "${this.server.name}": exit code ${code}: ${output.slice(-300)}`);
  }

  /** Puts a question; what cannot go on is its failure. */
  async #ask(question: Question, step: () => Promise<void>): Promise<void> {
    const before = this.#question;
    this.#question = question;
    this.#shown.asked.add(question);
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#fail(question, error.message);
    }
    this.#question = before;
  }

  #fail(question: Question, reason: string): void {
    this.#shown.failures.push({ question, reason });
  }

  /** Started as its manual starts it, so that the tool finds the port; then the main process gets SIGKILL. */
  async #isFound(): Promise<void> {
    const first = await this.#start(this.#startArgs(this.server.probe?.(this.#site) ?? []));
    await this.#isOneServer(first);
    await this.#ask("died", async () => {
      const old = this.#watch.look();
      kill(first.pid);
      const second = await this.#start(this.#startArgs(this.#probe()));
      this.#shown.bootMs = second.ready_ms;
      if (second.recovered?.reason !== "died") this.#fail("died", `recovered: ${second.recovered?.reason ?? null}`);
      this.#areGone("died", old);
      await this.#isOneServer(second);
      await this.#stop(second);
    });
  }

  /** The starter gets SIGKILL right after the spawn, and another one half-way. */
  async #isInterrupted(): Promise<void> {
    const args = this.#startArgs(this.#probe());
    const { signal } = await this.#tool.spawn(args, { TOMBSTONE_FAILPOINT: "spawned" }).output();
    if (signal !== "SIGKILL") throw new Failure("the starter was not killed after the spawn");
    const first = this.#tool.attempt(NODE);
    const orphans = this.#watch.look();
    const starter = this.#tool.spawn(args);
    let ended = false;
    const status = starter.status.then(() => ended = true);
    while (!ended && this.#tool.attempt(NODE) === first) await pause(2);
    // It may be at work on what the first one left, or wait for its own server.
    await pause(((this.#shown.bootMs ?? 0) + 100) * this.random());
    kill(starter.pid);
    await Promise.all([status, starter.stdout.cancel(), starter.stderr.cancel()]);
    const old = [...orphans, ...this.#watch.look()];
    const node = await this.#start(args);
    if (node.started) {
      if (node.recovered === null) this.#fail("recover", "nothing is said to have been recovered");
      this.#areGone("recover", old);
    }
    await this.#isOneServer(node);
    await this.#stop(node);
  }

  /** A test command runs against it; where it speaks HTTP, the port is found by a path. */
  async #isRunAgainst(): Promise<void> {
    const said = `${this.#temporary}/reached`;
    const { http, portless } = this.server;
    const serve = this.server.command(this.#site).map(quote).join(" ");
    const probe = http === undefined ? this.#probe() : ["--http", http];
    const reach = [Deno.execPath(), "run", "-A", "--no-config", new URL("reach.ts", import.meta.url).pathname, said];
    const args = ["run", NODE, ...this.#flags(), ...probe, "--serve", serve, "--", ...reach];
    if (http !== undefined) this.#shown.asked.add("http");
    const { code, stderr } = await this.#tool.run(args);
    if (code !== REACHED) throw new Failure(`exit code ${code}: ${mainLine(stderr)}`);
    const [answer, url] = Deno.readTextFileSync(said).split("\n");
    if (answer !== (portless ? "no address" : "reached")) this.#fail("run", answer!);
    const isRight = /^https?:/.test(url!) && url!.includes(`:${this.#site.port}`);
    if (http !== undefined && !isRight) this.#fail("http", `TOMBSTONE_URL is ${url}, the port ${this.#site.port}`);
    this.#areGone("run", this.#watch.look());
    if (isTaken(this.#site.port)) this.#fail("run", `port ${this.#site.port} is still in use`);
  }

  #probe(): string[] {
    return this.server.portless ? this.server.probe!(this.#site) : ["--port", String(this.#site.port)];
  }

  #flags(): string[] {
    const env = Object.entries(this.server.env?.(this.#site) ?? {}).flatMap((
      [key, value],
    ) => ["--env", `${key}=${value}`]);
    return [...this.server.flags?.(this.#site) ?? [], ...env];
  }

  #startArgs(probe: string[]): string[] {
    return ["start", NODE, ...this.#flags(), ...probe, "--", ...this.server.command(this.#site)];
  }

  async #start(args: string[]): Promise<Document> {
    using listens = args.includes("--port") ? await ListenWatch.begin(this.#site.port) : null;
    const node = await this.#tool.json(args);
    if (listens?.at && node.started) this.#lags.push(Date.parse(node.ready_at) - listens.at);
    return node;
  }

  /** The node is the one server that there is, and it is what it is said to be. */
  async #isOneServer(node: Document): Promise<void> {
    const tree = this.#watch.look();
    const fail = (reason: string) => this.#fail(this.#question, reason);
    if (!tree.includes(node.pid)) fail(`pid ${node.pid} is not of the server`);
    const strangers = tree.filter((pid) => ![null, node.attempt].includes(attemptOf(pid)));
    if (strangers.length > 0) fail(`of another attempt: ${strangers.map(describe).join(", ")}`);
    if (!this.server.portless) this.#isRightPort(node);
    const status = await this.#tool.json(["status", NODE]);
    if (status.pid !== node.pid || !status.ready) fail(`status: pid ${status.pid}, ready ${status.ready}`);
  }

  #isRightPort(node: Document): void {
    this.#shown.asked.add("port");
    const { port } = this.#site;
    if (node.port !== port) {
      this.#fail("port", `${node.port} instead of ${port}`);
    }
    const owners = ownersOf(port);
    const tree = this.#watch.look();
    const strangers = owners.filter((pid) => !tree.includes(pid) && isRunning(pid));
    if (owners.length === 0) this.#fail("port", `nobody listens on ${port}`);
    if (strangers.length > 0) this.#fail("port", `a stranger listens: ${strangers.map(describe).join(", ")}`);
  }

  async #stop(node: Document): Promise<void> {
    const tree = this.#watch.look();
    await using signals = await SignalWatch.begin(tree, `${this.#temporary}/signals`);
    const { nodes: [stopped] } = await this.#tool.json(["stop", NODE]);
    const ending = await signals.end();
    this.#areGone("gone", tree);
    this.#areGone("gone", this.#watch.look());
    this.#shown.asked.add("asked").add("gone");
    if (isTaken(this.#site.port)) this.#fail("gone", `port ${this.#site.port} is still in use`);
    const killed: number[] = stopped.killed ?? [];
    if (killed.length > 0) this.#fail("asked", `killed by the tool, as it says: ${killed.join(", ")}`);
    const unsaid = (ending?.killed ?? []).filter((pid) => !killed.includes(pid));
    if (unsaid.length > 0) this.#fail("asked", `killed, and it is not said: ${unsaid.join(", ")}`);
    const { farewell } = this.server;
    const log = farewell === undefined ? "" : Deno.readTextFileSync(this.server.logFile?.(this.#site) ?? node.log);
    if (farewell !== undefined && !farewell.test(log)) this.#fail("asked", `its log has no ${farewell}`);
    if (ending?.asked.length === 0 && farewell === undefined) this.#fail("asked", "nobody got a signal that asks");
  }

  #areGone(question: Question, pids: number[]): void {
    const left = this.#watch.still(pids);
    if (left.length > 0) this.#fail(question, `left: ${left.map(describe).join(", ")}`);
  }

  /** Nothing is left for the next step, whatever came of this one. */
  async #clean(): Promise<void> {
    if (this.#watch.look().length > 0) await this.#tool.run(["stop", NODE, "--force", "--quiet"]);
    await this.#watch.endAll();
  }
}

function attemptOf(pid: number): string | null {
  return /(?:^|\0)TOMBSTONE_ATTEMPT=([^\0]*)/.exec(proc(`${pid}/environ`))?.[1] ?? null;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * The benchmark: `deno task bench [--check] [--save] [RUNS]`.
 *
 * In one interleaved run it takes an empty script, `start`, `status` and `stop` for several servers, and prints medians
 * and 95th percentiles, with the ratio to the empty script:
 *
 * - readiness lag: the tool's result is on stdout, minus the first connection that an independent observer got;
 * - overhead of start: from the call to its exit, minus the server's own boot (its exec to the first connection).
 *
 * With `--save`, the ratios go into `tools/bench.json`; with `--check`, it fails if one is above 1.5 times what stands
 * there. Ratios, since milliseconds are those of a machine.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

const flags = parseArgs(Deno.args, { string: ["_"], boolean: ["check", "save"] });
const RUNS = Number(flags._[0] ?? 12);
const SAVED = new URL("./bench.json", import.meta.url);

/** How much worse than saved a ratio may be. */
const TOLERANCE = 1.5;

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const COMMAND = (Deno.env.get("TOMBSTONE_CMD") ?? `${Deno.execPath()} run -A ${ROOT}/main.ts`).split(/\s+/);
const FIXTURE = `${ROOT}/tests/fixtures/server.js`;

const dir = Deno.makeTempDirSync({ prefix: "tombstone-bench-" });
const env = { TOMBSTONE_STATE_DIR: `${dir}/state`, NO_COLOR: "1" };
Deno.writeTextFileSync(`${dir}/empty.ts`, "");

const now = () => performance.timeOrigin + performance.now();

/** The servers that are installed; `{port}` is replaced. */
const SERVERS: Record<string, string[]> = Object.fromEntries(
  Object.entries({
    "Node http": [
      "node",
      "-e",
      'require("http").createServer((_, r) => r.end()).listen(+process.argv[1], "127.0.0.1")',
      "{port}",
    ],
    "python3": ["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1"],
    "redis": ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", ""],
    "after 1 s": ["node", FIXTURE, "delay=1000"],
  }).filter(([name, [program]]) => isInstalled(program!) || console.log(`${name}: not installed`)),
);

function isInstalled(program: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).outputSync().success;
}

/** Times of a whole process, in milliseconds: until its first output, and until its exit. */
async function run(command: string[]): Promise<{ begun: number; told: number; ended: number; code: number }> {
  const begun = now();
  const child = new Deno.Command(command[0]!, { args: command.slice(1), cwd: dir, env, stdin: "null", stdout: "piped" })
    .spawn();
  let told = NaN;
  for await (const _ of child.stdout) told = Number.isNaN(told) ? now() : told;
  const { code } = await child.status;
  return { begun, told, ended: now(), code };
}

const figures = new Map<string, number[]>();
const record = (name: string, value: number) => figures.set(name, [...figures.get(name) ?? [], value]);

/** Takes every figure once, of one server. */
async function once(name: string, server: string[], port: number): Promise<void> {
  const stamp = `${dir}/stamp`;
  const observer = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", `${ROOT}/tools/observe.ts`, String(port)],
    stdout: "piped",
  }).spawn();
  const reader = observer.stdout.pipeThrough(new TextDecoderStream()).getReader();
  await reader.read();
  // Under the eyes of the same observer, which takes some of a core.
  const empty = await run([Deno.execPath(), "run", "-A", `${dir}/empty.ts`]);
  record("empty script", empty.ended - empty.begun);
  // bash has the time without a fork, so the stamp costs the server next to nothing.
  const stamped = ["bash", "-c", 'printf %s "$EPOCHREALTIME" >"$0"; exec "$@"', stamp, ...server];
  const started = await run([...COMMAND, "start", "bench", "--port", String(port), "--", ...stamped]);
  if (started.code !== 0) throw new Error(`start exited with ${started.code}`);
  const accepted = Number((await reader.read()).value);
  await observer.status;
  const executed = Number(Deno.readTextFileSync(stamp)) * 1000;
  record(`lag: ${name}`, started.told - accepted);
  record(`start: ${name}`, (started.ended - started.begun) - (accepted - executed));
  const status = await run([...COMMAND, "status", "bench"]);
  record("status", status.ended - status.begun);
  if (toolProcesses() !== 0) throw new Error("a process of the tool is resident");
  const stopped = await run([...COMMAND, "stop", "bench"]);
  record("stop", stopped.ended - stopped.begun);
}

/** Processes of the tool that are left, by the state directory in their environment; the server is none. */
function toolProcesses(): number {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => {
    try {
      const environ = Deno.readTextFileSync(`/proc/${Number(name)}/environ`);
      return environ.includes(`TOMBSTONE_STATE_DIR=${dir}/state`) && !environ.includes("TOMBSTONE_ATTEMPT=");
    } catch (error) {
      if (error instanceof Error && !(error instanceof TypeError)) return false;
      throw error;
    }
  }).length;
}

function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

/** Compares with what was saved; the exit code. A server that is not installed here is passed over. */
function check(ratios: Record<string, number>, saved: Record<string, number>): number {
  const worse = Object.entries(saved).filter(([name, ratio]) => (ratios[name] ?? 0) > ratio * TOLERANCE);
  for (const [name, ratio] of worse) {
    console.log(
      `FAILED: ${name} takes ${
        ratios[name]
      } times an empty script, ${ratio} was saved, ${TOLERANCE} times that is allowed`,
    );
  }
  const compared = Object.keys(saved).filter((name) => name in ratios).length;
  console.log(`${compared} figures compared, ${worse.length} worse`);
  return worse.length === 0 && compared > 0 ? 0 : 1;
}

try {
  let port = 21_000 + Math.floor(Math.random() * 8000);
  for (let round = 0; round <= RUNS; round++) {
    for (const [name, server] of Object.entries(SERVERS)) {
      port++;
      await once(name, server.map((word) => word.replace("{port}", String(port))), port);
    }
    if (round === 0) figures.clear(); // a warm-up
  }
  const base = quantile(figures.get("empty script")!, 0.5);
  const ratios: Record<string, number> = {};
  console.log(`${RUNS} runs; ${COMMAND.join(" ")}`);
  console.log(`| figure | median ms | p95 ms | median / empty script |`);
  console.log(`| --- | --- | --- | --- |`);
  for (const [name, values] of [...figures].sort(([a], [b]) => a.localeCompare(b))) {
    const median = quantile(values, 0.5);
    ratios[name] = Number((median / base).toFixed(2));
    console.log(`| ${name} | ${median.toFixed(1)} | ${quantile(values, 0.95).toFixed(1)} | ${ratios[name]} |`);
  }
  console.log("resident afterwards: no process of the tool");
  if (flags.save) Deno.writeTextFileSync(SAVED, JSON.stringify(ratios, null, 2) + "\n");
  if (flags.check) Deno.exitCode = check(ratios, JSON.parse(Deno.readTextFileSync(SAVED)));
} finally {
  await new Deno.Command(COMMAND[0]!, { args: [...COMMAND.slice(1), "stop", "bench", "--quiet"], cwd: dir, env })
    .output();
  Deno.removeSync(dir, { recursive: true });
}

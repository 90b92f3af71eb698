/**
 * Measures commands that scan all nodes, with many nodes: `deno task many [--servers N] [NODES...]`.
 *
 * Forges nodes of every kind, a sweep has something to do for six of ten, and prints time, time per node and peak
 * memory of each command. Then starts real servers (redis), and stops them by one command.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { forgeMany } from "../tests/support/many.ts";

const flags = parseArgs(Deno.args, { string: ["_", "servers"], default: { servers: "200" } });
const COUNTS = flags._.length > 0 ? flags._.map(Number) : [1000, 10_000];
const SERVERS = Number(flags.servers);
const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const COMMAND = (Deno.env.get("TOMBSTONE_CMD") ?? `${Deno.execPath()} run -A ${ROOT}/main.ts`).split(/\s+/);

const dir = Deno.makeTempDirSync({ prefix: "tombstone-many-" });
const env = { TOMBSTONE_STATE_DIR: `${dir}/state`, NO_COLOR: "1" };

interface Measured {
  ms: number;
  peakMb: number;
  bytes: number;
  code: number;
}

/** Runs the tool to its end. */
async function measure(args: string[]): Promise<Measured> {
  const begun = performance.now();
  const child = new Deno.Command(COMMAND[0]!, {
    args: [...COMMAND.slice(1), ...args],
    cwd: dir,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let bytes = 0;
  let peakMb = 0;
  const look = () => {
    try {
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      peakMb = Math.max(peakMb, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
    } catch (error) {
      if (!(error instanceof Error) || error instanceof TypeError) throw error; // it has ended
    }
  };
  const timer = setInterval(look, 5);
  for await (const chunk of child.stdout) bytes += chunk.length;
  const { code } = await child.status;
  clearInterval(timer);
  return { ms: performance.now() - begun, peakMb, bytes, code };
}

/** The `node.info` of a node that was really started. */
async function pattern(): Promise<Record<string, unknown>> {
  await measure(["start", "pattern", "--port", "0", "--", "perl", `${ROOT}/tests/fixtures/server.pl`]);
  const [workspace] = [...Deno.readDirSync(`${dir}/state`)];
  const info = JSON.parse(Deno.readTextFileSync(`${dir}/state/${workspace!.name}/pattern/node.info`));
  await measure(["stop", "pattern"]);
  clear();
  return info;
}

function clear(): void {
  for (const { name } of Deno.readDirSync(`${dir}/state`)) Deno.removeSync(`${dir}/state/${name}`, { recursive: true });
}

function report(count: number, command: string[], { ms, peakMb, code }: Measured): void {
  const row = [
    count,
    command.join(" "),
    (ms / 1000).toFixed(2),
    Math.round(ms * 1000 / count),
    Math.round(peakMb),
    code,
  ];
  console.log(`| ${row.join(" | ")} |`);
}

/** Commands over forged nodes. */
async function forged(count: number): Promise<void> {
  const real = new Deno.Command("sleep", { args: ["3600"], stdin: "null", stdout: "null", stderr: "null" }).spawn();
  try {
    forgeMany(`${dir}/state`, count, await pattern(), real.pid);
    const sweep = ["sweep", "--all"];
    for (const command of [["list"], ["list", "--json"], ["status", "--all"], [...sweep, "--dry-run"], sweep, sweep]) {
      report(count, command, await measure(command));
    }
    clear();
  } finally {
    real.kill("SIGKILL");
    await real.status;
  }
}

/** Real servers, started in a loop, then stopped by one command. */
async function servers(count: number): Promise<void> {
  const begun = performance.now();
  const server = ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", ""];
  let failed = 0;
  for (let number = 0; number < count; number++) {
    const { code } = await measure(["start", `s${number}`, "--port", "0", "--", ...server]);
    if (code !== 0) failed++;
  }
  console.log(`${count} servers: started in ${((performance.now() - begun) / 1000).toFixed(2)} s, ${failed} failed`);
  for (const command of [["list"], ["status"], ["stop", "--all"], ["list"]]) {
    report(count, command, await measure(command));
  }
}

try {
  console.log("| nodes | command | s | µs a node | peak MB | exit code |");
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const count of COUNTS) await forged(count);
  if (SERVERS > 0) await servers(SERVERS);
} finally {
  await measure(["stop", "--all", "--quiet"]);
  Deno.removeSync(dir, { recursive: true });
}

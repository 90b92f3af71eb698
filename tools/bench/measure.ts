/**
 * The figures, one run each.
 *
 * @module
 */
import { type Bed, isAlive, type Run, untilQuiet } from "./bed.ts";
import type { Contender } from "./contenders.ts";

/** A server to start; `{port}` is replaced. */
export interface Server {
  /** As in the tables. */
  name: string;
  /** Words without spaces. */
  command: string;
  /** Whether it speaks HTTP. */
  http: boolean;
}

/** One figure of one run. `null`: what should have happened did not. */
export interface Sample {
  /** Whose. */
  contender: string;
  /** Which. */
  figure: string;
  /** Milliseconds, or MB for the memory. */
  value: number | null;
  /** What there is to say beside the number. */
  remark?: string;
}

/** Longest wait for the report of a server that exits at once, in milliseconds. */
const CRASH_LIMIT = 3000;

/** The servers of the comparison. */
export function servers(helper: string): Server[] {
  return [
    { name: "instant", command: `${helper} late {port} 0`, http: true },
    { name: "Node http", command: `node ${new URL("http.js", import.meta.url).pathname} {port}`, http: true },
    { name: "python3", command: "python3 -m http.server {port} --bind 127.0.0.1", http: true },
    { name: "redis", command: "redis-server --port {port} --bind 127.0.0.1 --save --appendonly no", http: false },
    { name: "after 1 s", command: `${helper} late {port} 1000`, http: true },
  ];
}

/** What an empty script takes, under the eyes of the same observer. */
export async function measureEmpty(bed: Bed, script: string): Promise<Sample[]> {
  const run = bed.run(null);
  try {
    run.prepare("true", "");
    await untilQuiet();
    await run.observe();
    await run.span("empty", `exec ${script}`);
    return [{ contender: "empty script", figure: "whole", value: between(run, "empty", "empty-end") }];
  } finally {
    await run.finish();
  }
}

/**
 * Readiness lag and overhead with a server, and the time of `status`.
 *
 * - lag: from the first connection that the observer got to the exec of what is to run when the server is ready
 * - overhead: from the call to that exec, minus the server's own boot, which is its exec to its first connection
 */
export async function measureStart(bed: Bed, contender: Contender, server: Server): Promise<Sample[]> {
  const run = bed.run(contender);
  try {
    const url = `${server.http ? "http://" : "tcp:"}127.0.0.1:${run.port}`;
    run.prepare(server.command.replaceAll("{port}", String(run.port)), url);
    await untilQuiet();
    await run.observe();
    await run.span("up", contender.up);
    const [accepted, ready] = [run.at("accept"), run.at("ready")];
    const lag = accepted === null || ready === null ? null : ready - accepted;
    const boot = between(run, "server", "accept");
    const whole = between(run, "up", "ready");
    const overhead = whole === null || boot === null ? null : whole - boot;
    const samples: Sample[] = [
      { contender: contender.name, figure: `lag: ${server.name}`, value: lag },
      { contender: contender.name, figure: `overhead: ${server.name}`, value: overhead },
    ];
    if (contender.status !== undefined) {
      await untilQuiet();
      await run.span("status", contender.status);
      samples.push({ contender: contender.name, figure: "status", value: between(run, "status", "status-end") });
    }
    if (contender.down !== undefined) await run.span("down", contender.down, 15_000);
    return samples;
  } finally {
    await run.finish();
  }
}

/** How long after a server has exited at once the tool says so, with an exit code that is not 0. */
export async function measureCrash(bed: Bed, contender: Contender): Promise<Sample> {
  const run = bed.run(contender);
  const sample = { contender: contender.name, figure: "crash" };
  try {
    run.prepare(`${bed.helper} crash ${run.dir}/stamps`, `http://127.0.0.1:${run.port}`);
    await untilQuiet();
    const code = await run.span("up", contender.up, CRASH_LIMIT);
    if (code === null) return { ...sample, value: null, remark: "never" };
    if (run.at("ready") !== null) return { ...sample, value: null, remark: "it says ready" };
    if (code === 0) return { ...sample, value: null, remark: "exit code 0" };
    return { ...sample, value: between(run, "crash", "up-end") };
  } finally {
    await run.finish();
  }
}

/**
 * The stop of `sh`, its child `node`, and that one's worker; and the memory before it.
 *
 * - resident: what belongs to the tool while the server runs
 * - stop: from the call to the return; of a tool that runs a test, from the end of the test
 * - stop after the tree: how long after the end of the last of the three it returned
 */
export async function measureStop(bed: Bed, contender: Contender): Promise<Sample[]> {
  const run = bed.run(contender);
  const { name } = contender;
  try {
    const tree = new URL("tree.sh", import.meta.url).pathname;
    // A test that goes on until it is told to end: the tree is looked at meanwhile.
    const hold = 'read _ <"$RUN/go"\nexec "$HELPER" stamp "$STAMPS" down\n';
    const script = `#!/bin/sh\necho "holder 0 $$" >>"$STAMPS"\n"$HELPER" stamp "$STAMPS" ready\n`;
    Deno.writeTextFileSync(`${run.dir}/hold`, contender.down === undefined ? script + hold : script, { mode: 0o700 });
    run.prepare(`${tree} ${run.dir}/stamps ${run.port}`, `http://127.0.0.1:${run.port}`, `${run.dir}/hold`);
    bed.bash(`mkfifo "$RUN/go"`, run.dir, bed.environment(run.dir, run.dir));
    await untilQuiet();
    const up = run.begin("up", contender.up);
    if (!await run.until("ready", 20_000)) {
      return [{ contender: name, figure: "stop", value: null, remark: "not ready" }];
    }
    if (contender.down !== undefined) await up;
    const pids = run.stamps("tree").map(({ pid }) => pid);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const resident = run.residentMb([...pids, ...run.stamps("holder").map(({ pid }) => pid)]);
    await run.watch(pids);
    await untilQuiet();
    if (contender.down === undefined) {
      Deno.writeTextFileSync(`${run.dir}/go`, "");
      await up;
    } else await run.span("down", contender.down, 15_000);
    const returned = run.at(contender.down === undefined ? "up-end" : "down-end");
    const asked = run.at("down");
    await new Promise((resolve) => setTimeout(resolve, 500));
    const left = run.stamps("tree").filter(({ pid }) => isAlive(pid)).length;
    const end = Math.max(...run.stamps("gone").map(({ at }) => at));
    const stop = returned === null || asked === null ? null : returned - asked;
    const remark = left === 0 ? {} : { remark: `${left} of 3 left` };
    return [
      { contender: name, figure: "resident", value: resident },
      { contender: name, figure: "stop", value: stop, ...remark },
      {
        contender: name,
        figure: "stop after the tree",
        value: left > 0 || returned === null ? null : returned - end,
        ...remark,
      },
    ];
  } finally {
    await run.finish();
  }
}

function between(run: Run, from: string, to: string): number | null {
  const [begun, ended] = [run.at(from), run.at(to)];
  return begun === null || ended === null ? null : ended - begun;
}

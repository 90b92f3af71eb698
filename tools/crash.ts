/**
 * Kills every command at every one of its system calls and asks each time whether the next start makes it good:
 * `deno task crash [--server nginx|redis|node] [--jobs N] [SCENARIO...]`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { CrashSite, HAS_STRACE, type Point, type Scenario, SCENARIOS } from "../tests/support/crash_points.ts";
import { chooseServer } from "../tests/support/servers.ts";

const flags = parseArgs(Deno.args, { string: ["server", "jobs", "_"], default: { jobs: "2" } });
const server = chooseServer(flags.server);
const chosen = SCENARIOS.filter(({ name }) => flags._.length === 0 || flags._.includes(name));

/** Counts of one scenario. */
interface Tally {
  points: number;
  killed: number;
  failures: string[];
}

async function tryAll(scenario: Scenario): Promise<Tally> {
  const tally: Tally = { points: 0, killed: 0, failures: [] };
  const queue: Point[] = [];
  {
    await using site = await CrashSite.create(server);
    queue.push(...await site.points(scenario));
  }
  const work = async () => {
    await using site = await CrashSite.create(server);
    for (let point: Point | undefined; (point = queue.shift()) !== undefined;) {
      const { hit, failure } = await site.tryPoint(scenario, point);
      tally.points++;
      if (hit === "killed") tally.killed++;
      if (failure !== null) {
        tally.failures.push(`${scenario.name}, ${point.call} ${point.at}`);
        console.log(`FAILED: ${scenario.name}, killed at ${point.call} ${point.at} (${hit}): ${failure}`);
      }
    }
  };
  await Promise.all(Array.from({ length: Number(flags.jobs) }, work));
  return tally;
}

console.log(`killing ${server.name}'s commands ${HAS_STRACE ? "at every system call" : "at named steps (no strace)"}`);
const begun = performance.now();
const seconds = () => Math.round((performance.now() - begun) / 1000);
const total: Tally = { points: 0, killed: 0, failures: [] };
for (const scenario of chosen) {
  const { points, killed, failures } = await tryAll(scenario);
  console.log(`${scenario.name}: ${points} points, killed at ${killed}, ${failures.length} failed (${seconds()} s)`);
  total.points += points;
  total.killed += killed;
  total.failures.push(...failures);
}
console.log(
  `${total.points} points, killed at ${total.killed}, ${total.failures.length} failed, ${seconds()} s` +
    total.failures.map((failure) => `\n  ${failure}`).join(""),
);
Deno.exitCode = total.failures.length === 0 ? 0 : 1;

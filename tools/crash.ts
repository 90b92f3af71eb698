/**
 * Kills every command at every one of its system calls, and lets every write of a start fail; asks each time whether
 * the next start makes it good:
 * `deno task crash [--server nginx|redis|node] [--jobs N] [SCENARIO...]`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import {
  CrashSite,
  HAS_STRACE,
  type Outcome,
  type Point,
  type Scenario,
  SCENARIOS,
  stepsOf,
  WRITES,
} from "../tests/support/crash_points.ts";
import { chooseServer } from "../tests/support/servers.ts";

const flags = parseArgs(Deno.args, { string: ["server", "jobs", "_"], default: { jobs: "2" } });
const server = chooseServer(flags.server);
const chosen = SCENARIOS.filter(({ name }) => flags._.length === 0 || flags._.includes(name));

if (chosen.length === 0) {
  const names = SCENARIOS.map(({ name }) => `"${name}"`).join(", ");
  throw new Error(`Cannot kill "${flags._.join(" ")}": expected one of ${names}`);
}

/** Counts of one scenario. */
interface Tally {
  points: number;
  hit: number;
  failures: string[];
}

/** Tries every point of a scenario, several at a time. */
async function tryAll(
  scenario: Scenario,
  isMeant: (point: Point) => boolean,
  attempt: (site: CrashSite, point: Point) => Promise<Outcome>,
): Promise<Tally> {
  const tally: Tally = { points: 0, hit: 0, failures: [] };
  const queue = stepsOf(scenario).filter(isMeant);
  if (HAS_STRACE) {
    await using site = await CrashSite.create(server);
    queue.push(...(await site.points(scenario)).filter(isMeant));
  }
  const work = async () => {
    await using site = await CrashSite.create(server);
    for (let point: Point | undefined; (point = queue.shift()) !== undefined;) {
      const { hit, failure } = await attempt(site, point);
      tally.points++;
      if (hit !== "finished") tally.hit++;
      if (failure !== null) tally.failures.push(`${point.call} ${point.at} (${hit}): ${failure}`);
    }
  };
  await Promise.all(Array.from({ length: Number(flags.jobs) }, work));
  return tally;
}

/** Errors that a disk gives at a write. */
const ERRORS = ["ENOSPC", "EIO", "EROFS"];

console.log(
  `killing ${server.name}'s commands ${
    HAS_STRACE ? "at every system call" : "at named steps, since there is no strace"
  }`,
);
const begun = performance.now();
const seconds = () => Math.round((performance.now() - begun) / 1000);
const total: Tally = { points: 0, hit: 0, failures: [] };

function report(name: string, { points, hit, failures }: Tally): void {
  console.log(`${name}: ${points} points, hit ${hit}, ${failures.length} failed (${seconds()} s)`);
  for (const failure of failures) console.log(`FAILED: ${name}, ${failure}`);
  total.points += points;
  total.hit += hit;
  total.failures.push(...failures);
}

for (const scenario of chosen) {
  report(scenario.name, await tryAll(scenario, () => true, (site, point) => site.tryPoint(scenario, point)));
}
for (const error of HAS_STRACE && flags._.length === 0 ? ERRORS : []) {
  const isWrite = (point: Point) => WRITES.includes(point.call);
  const [start] = SCENARIOS;
  report(`start with ${error}`, await tryAll(start!, isWrite, (site, point) => site.tryFault(point, error)));
}
console.log(`${total.points} points, hit ${total.hit}, ${total.failures.length} failed, ${seconds()} s`);
Deno.exitCode = total.failures.length === 0 && total.hit > 0 ? 0 : 1;

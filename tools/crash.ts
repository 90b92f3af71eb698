/**
 * Kills every command at every one of its system calls, or with `--errors` lets one call after the other fail; asks each
 * time whether what it says is so, and whether the next start makes it good:
 * `deno task crash [--server nginx|redis|node] [--jobs N] [--errors] [SCENARIO...]`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import {
  CrashSite,
  FAULTS,
  HAS_STRACE,
  LOOKING,
  type Outcome,
  type Point,
  type Scenario,
  SCENARIOS,
  stepsOf,
} from "../tests/support/crash_points.ts";
import { chooseServer } from "../tests/support/servers.ts";

const flags = parseArgs(Deno.args, { string: ["server", "jobs", "_"], boolean: ["errors"], default: { jobs: "2" } });
const server = chooseServer(flags.server);
const all = flags.errors ? [...SCENARIOS, ...LOOKING] : SCENARIOS;
const chosen = all.filter(({ name }) => flags._.length === 0 || flags._.includes(name));

if (chosen.length === 0) {
  const names = all.map(({ name }) => `"${name}"`).join(", ");
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
  find: (site: CrashSite) => Promise<Point[]>,
  attempt: (site: CrashSite, point: Point) => Promise<Outcome>,
): Promise<Tally> {
  const tally: Tally = { points: 0, hit: 0, failures: [] };
  const queue: Point[] = [];
  {
    await using site = await CrashSite.create(server);
    queue.push(...await find(site));
  }
  const work = async () => {
    for (let point = queue.shift(); point !== undefined;) {
      await using site = await CrashSite.create(server);
      for (let failure: string | null = null; failure === null && point !== undefined; point = queue.shift()) {
        const outcome = await attempt(site, point);
        failure = outcome.failure;
        tally.points++;
        if (outcome.hit !== "finished") tally.hit++;
        if (failure !== null) tally.failures.push(`${point.call} ${point.at} (${outcome.hit}): ${failure}`);
      }
      // A failure may have left what the next point would stumble over, so that gets a new place.
    }
  };
  await Promise.all(Array.from({ length: Number(flags.jobs) }, work));
  return tally;
}

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

/** Kills the command at its named steps, and where there is strace at its system calls. */
async function killAtAll(scenario: Scenario): Promise<void> {
  const points = async (site: CrashSite) => [...stepsOf(scenario), ...HAS_STRACE ? await site.points(scenario) : []];
  report(scenario.name, await tryAll(points, (site, point) => site.tryPoint(scenario, point)));
}

/** Lets each call fail in each of the ways that it can. */
async function failAtAll(scenario: Scenario): Promise<void> {
  for (const errno of Object.keys(FAULTS)) {
    const tally = await tryAll(
      (site) => site.faults(scenario, errno),
      (site, point) => site.tryFault(scenario, point, errno),
    );
    report(`${scenario.name}, ${errno}`, tally);
  }
}

if (flags.errors && !HAS_STRACE) throw new Error("Cannot let calls fail: there is no strace");
const places = HAS_STRACE ? "at every system call" : "at named steps, since there is no strace";
console.log(
  flags.errors ? `letting calls of ${server.name}'s commands fail` : `killing ${server.name}'s commands ${places}`,
);
for (const scenario of chosen) await (flags.errors ? failAtAll(scenario) : killAtAll(scenario));
console.log(`${total.points} points, hit ${total.hit}, ${total.failures.length} failed, ${seconds()} s`);
Deno.exitCode = total.failures.length === 0 && total.hit > 0 ? 0 : 1;

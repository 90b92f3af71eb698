/** A spread of what `deno task crash` and `deno task soak` do in full. */
import { assert, assertEquals } from "@std/assert";
import { CrashSite, type Point, type Scenario, SCENARIOS, spread, stepsOf } from "./support/crash_points.ts";
import { chooseServer, installed } from "./support/servers.ts";
import { soak } from "./support/soak.ts";
import { byTier, costly, inTurn, TIER } from "./support/tier.ts";

/** System calls of each scenario that are tried here; all of them together are more than 60. */
const POINTS = 8;

/**
 * Kills that must succeed. Another run of a command does not make each call again that was recorded, the less so on a busy
 * machine, so further calls are tried until there are that many.
 */
const KILLS = POINTS / 2;

const server = chooseServer();
const hasStrace = installed("strace", "strace");
if (TIER === "fast") console.log("skipped: kills at system calls are of the full tier (deno task test:full)");

/** Kills at each of the points; a call that another run does not make lets the command finish. */
async function killAtAll(site: CrashSite, scenario: Scenario, points: Point[]): Promise<number> {
  let killed = 0;
  for (const point of points) {
    const { hit, failure } = await site.tryPoint(scenario, point);
    assertEquals(failure, null, `${scenario.name}, ${point.call} ${point.at}`);
    if (hit === "killed") killed++;
  }
  return killed;
}

for (const [number, scenario] of SCENARIOS.entries()) {
  Deno.test(`${scenario.name}, killed at its named steps: the next start makes it good`, async () => {
    await using site = await CrashSite.create(server);
    const steps = inTurn(stepsOf(scenario), 6, number); // other steps for each scenario, so that all of them are tried
    assertEquals(await killAtAll(site, scenario, steps), steps.length);
  });

  Deno.test({
    name: `${scenario.name}, killed at system calls: the next start makes it good`,
    ignore: !hasStrace || TIER === "fast",
    async fn() {
      await using site = await CrashSite.create(server);
      const points = await site.points(scenario);
      const first = spread(points, POINTS);
      assertEquals(first.length, POINTS);
      let killed = await killAtAll(site, scenario, first);
      const others = points.filter((point) => !first.includes(point));
      for (const point of spread(others, 2 * POINTS)) {
        if (killed >= KILLS) break;
        killed += await killAtAll(site, scenario, [point]);
      }
      assert(killed >= KILLS, `killed at ${killed} points only`);
    },
  });
}

costly("random kills of starters, sweepers and servers: the next start makes it good", async () => {
  const seed = Math.floor(Math.random() * 1e9);
  const wanted = byTier({ fast: 3, full: 15 });
  const { rounds, failures } = await soak(server, { seed, rounds: wanted });
  assertEquals([rounds, failures], [wanted, []], `deno task soak --seed ${seed} --rounds ${wanted} repeats it`);
});

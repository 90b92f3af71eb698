/** A spread of what `deno task crash` and `deno task soak` do in full. */
import { assert, assertEquals } from "@std/assert";
import { CrashSite, HAS_STRACE, SCENARIOS, spread } from "./support/crash_points.ts";
import { chooseServer } from "./support/servers.ts";
import { soak } from "./support/soak.ts";

/** Points of each scenario; all of them together are more than 60. */
const POINTS = 13;

const server = chooseServer();

for (const scenario of SCENARIOS) {
  Deno.test(`${scenario.name}, killed at ${HAS_STRACE ? "system calls" : "named steps"}: the next start makes it good`, async () => {
    await using site = await CrashSite.create(server);
    const points = await site.points(scenario);
    assert(points.length >= (HAS_STRACE ? POINTS : scenario.steps.length), `only ${points.length} points`);
    let killed = 0;
    for (const point of spread(points, POINTS)) {
      const { hit, failure } = await site.tryPoint(scenario, point);
      assertEquals(failure, null, `${point.call} ${point.at}`);
      if (hit === "killed") killed++;
    }
    // A call that another run did not make lets the command finish; that must stay the exception.
    assert(killed >= Math.min(POINTS, points.length) / 2, `killed at ${killed} points only`);
  });
}

Deno.test("random kills of starters, sweepers and servers: the next start makes it good", async () => {
  const seed = Math.floor(Math.random() * 1e9);
  const { rounds, failures } = await soak(server, { seed, rounds: 15 });
  assertEquals([rounds, failures], [15, []], `deno task soak --seed ${seed} --rounds 15 repeats it`);
});

/** Steps of tombstone.json: `"once": true`. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Document, exists, fixture, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

function describe(sandbox: Sandbox, nodes: Record<string, unknown>): void {
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
}

const web = { command: fixture(), port: 0, after: ["migrate"] };

costly(
  "a step runs at each start, after its dependencies and before its dependents, and leaves no process",
  async () => {
    await using sandbox = await Sandbox.create();
    const command = 'echo "db at $TOMBSTONE_DB_PORT"; echo ran >>../order';
    describe(sandbox, { web, migrate: { command, once: true, after: ["db"] }, db: { command: fixture(), port: 0 } });
    const first = await sandbox.run(["start"]);
    assertEquals(first.code, 0, first.stderr);
    assertMatch(first.stdout, /^started "db" .*\nran "migrate" in \d+ ms\nstarted "web" .*\n$/);
    const { nodes } = await sandbox.json(["start"]);
    const migrate = nodes.find(({ node }: Document) => node === "migrate");
    const { state, ready, once, started, pid } = migrate;
    assertEquals({ state, ready, once, started, pid }, {
      state: "stopped",
      ready: true,
      once: true,
      started: true,
      pid: null,
    });
    assertEquals(Deno.readTextFileSync(`${sandbox.project}/../order`), "ran\nran\n");
    assertEquals(sandbox.runtimeFiles("migrate"), []);
    assertMatch((await sandbox.json(["logs", "migrate"])).lines[0], /^db at \d+$/);
    const status = await sandbox.run(["status"]);
    assertEquals(status.code, 0, status.stdout); // a step that is done is as it should be
    assertStringIncludes(status.stdout, "a step, done");
    assertEquals((await sandbox.run(["wait"])).code, 0);
    assertEquals((await sandbox.json(["start", "migrate"])).started, true);
    assertEquals((await sandbox.run(["restart"])).code, 0);
    assertEquals(Deno.readTextFileSync(`${sandbox.project}/../order`), "ran\nran\nran\nran\n");
    assertEquals((await sandbox.run(["stop"])).code, 0);
    assertEquals(sandbox.processes(), []);
  },
);

Deno.test("a failed step ends the start with its exit code and last lines, and the earlier nodes are stopped", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    web,
    migrate: { command: "echo no such table; exit 3", once: true, after: ["db"] },
    db: { command: fixture(), port: 0 },
  });
  const { code, stderr } = await sandbox.run(["start"]);
  assertEquals(code, 1);
  assertMatch(stderr, /Cannot start "migrate": the step exited with code 3 after \d+ ms/);
  assertStringIncludes(stderr, "no such table");
  assertEquals(sandbox.processes(), []);
  const status = await sandbox.json(["status"], { code: 1 });
  assertEquals(status.nodes.map(({ node, state }: Document) => [node, state]), [
    ["web", "stopped"],
    ["migrate", "failed"],
    ["db", "stopped"],
  ]);
  describe(sandbox, { web, migrate: { command: "sleep 600", once: true, timeout: "300ms" } });
  const late = await sandbox.run(["start"]);
  assertEquals(late.code, 124);
  assertStringIncludes(late.stderr, "not ready within 300 ms, it has not exited yet");
  assertEquals(sandbox.processes(), []);
});

Deno.test("a start killed while a step runs: the next one ends what is left of it, and runs it again", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { web, migrate: { command: "[ -e done ] || { touch begun; exec sleep 600; }", once: true } });
  const starter = sandbox.spawn(["start"]);
  await until("the step runs", () => exists(`${sandbox.project}/begun`));
  starter.kill("SIGKILL");
  await starter.output();
  const left = sandbox.processes();
  assertEquals(left.length, 1);
  assertEquals((await sandbox.json(["status", "migrate"], { code: 1 })).state, "interrupted");
  Deno.writeTextFileSync(`${sandbox.project}/done`, "");
  const { nodes } = await sandbox.json(["start"]);
  const migrate = nodes.find(({ node }: Document) => node === "migrate");
  assertEquals([migrate.recovered.reason, migrate.recovered.pids], ["interrupted-start", left]);
  assertEquals(left.filter(isRunning), []);
  await sandbox.assertOneServer("web");
});

costly("after a start was killed at any point around the end of a step, the next one succeeds", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { migrate: { command: "sleep 600 & sleep 0.1", once: true } });
  for (const point of ["spawned", "waiting", "ended", "swept", "recorded", "launch-removed"]) {
    const killed = await sandbox.run(["start"], { env: { TOMBSTONE_FAILPOINT: point } });
    assertEquals(killed.code, 137, point);
    assertEquals(killed.stdout, "", point); // it is called done only when it counts as done
    const again = await sandbox.run(["start"]);
    assertEquals(again.code, 0, `${point}: ${again.stderr}`);
    assertEquals(sandbox.runtimeFiles("migrate"), [], point);
    assertEquals(sandbox.processes(), [], point);
  }
});

Deno.test("a start killed between the exit of a step and its record: what the step left in the background is ended", async () => {
  await using sandbox = await Sandbox.create();
  const command = "[ -e go ] || { sleep 600 & echo $! >pid; echo $$ >leader; until [ -e go ]; do sleep 0.01; done; }";
  describe(sandbox, { migrate: { command, once: true } });
  const pidIn = (name: string) => {
    const path = `${sandbox.project}/${name}`;
    return exists(path) ? Number(Deno.readTextFileSync(path)) : 0;
  };
  const starter = sandbox.spawn(["start"]);
  await until("the step runs", () => pidIn("leader") > 0);
  starter.kill("SIGSTOP");
  Deno.writeTextFileSync(`${sandbox.project}/go`, "");
  await until("the step has exited", () => !isRunning(pidIn("leader")));
  starter.kill("SIGKILL");
  await starter.output();
  assertEquals(sandbox.processes(), [pidIn("pid")]);
  const { recovered } = await sandbox.json(["start", "migrate"]);
  assertEquals([recovered.reason, recovered.pids], ["interrupted-start", [pidIn("pid")]]);
  assertEquals(sandbox.processes(), []);
});

costly("a step that was done once is not called so after a start of it that was killed or failed", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { migrate: { command: "! [ -e broken ]", once: true } });
  const seen = async () => {
    const { state, ready, reason } = JSON.parse((await sandbox.run(["status", "migrate", "--json"])).stdout);
    return { state, ready, reason };
  };
  const done = { state: "stopped", ready: true, reason: "a step, done" };
  const notDone = { state: "stopped", ready: false, reason: "a step, not done" };
  for (const next of ["sweep", "stop"]) {
    await sandbox.json(["start"]);
    assertEquals(await seen(), done);
    await sandbox.json(["stop"]);
    assertEquals(await seen(), done);
    assertEquals((await sandbox.run(["start"], { env: { TOMBSTONE_FAILPOINT: "spawned" } })).code, 137);
    await sandbox.json([next, "migrate"]);
    assertEquals(await seen(), notDone, next);
    assertEquals((await sandbox.run(["wait", "migrate", "--timeout", "100ms"])).code, 124);
    await sandbox.json(["start"]);
    Deno.writeTextFileSync(`${sandbox.project}/broken`, "");
    await sandbox.json(["start"], { code: 1 });
    await sandbox.json([next, "migrate"]);
    assertEquals(await seen(), notDone, next);
    Deno.removeSync(`${sandbox.project}/broken`);
  }
});

Deno.test("processes that a step leaves in the background are ended and reported", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { migrate: { command: "sleep 600 & echo $! >pid", once: true } });
  const { code, stderr } = await sandbox.run(["start"]);
  assertEquals(code, 0);
  assertMatch(stderr, /ended what "migrate" left behind: pid \d+/);
  assertEquals(isRunning(Number(Deno.readTextFileSync(`${sandbox.project}/pid`))), false);
});

Deno.test("run: a step runs before the test, and its exit does not count as the death of a server", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { web, migrate: { command: "echo migrated", once: true } });
  const ran = await sandbox.run(["run", "--fail-fast", "--", "sleep", "0.5"]);
  assertEquals(ran.code, 0, ran.stderr);
  assertStringIncludes(ran.stderr, 'ran "migrate"');
  assertEquals(sandbox.processes(), []);
});

Deno.test("settings of servers are refused in a step", async () => {
  await using sandbox = await Sandbox.create();
  for (const [name, value] of [["port", 0], ["pid_file", "pid"], ["probes", { http: "/" }]]) {
    describe(sandbox, { migrate: { command: "true", once: true, [name as string]: value } });
    const { code, stderr } = await sandbox.run(["start"]);
    assertEquals(code, 2);
    assertStringIncludes(
      stderr,
      `of node "migrate" in tombstone.json with "once": a step is not a server: it is done when it exits`,
    );
  }
});

/** The settings that a node keeps after its end: start and restart need no command. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists, fixture, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

Deno.test("start and restart start a stopped node as before, and need no command", async () => {
  await using sandbox = await Sandbox.create();
  const cwd = `${sandbox.project}/app`;
  Deno.mkdirSync(cwd);
  const flags = ["--port", "0", "--cwd", "app", "--stop-signal", "INT", "--log-keep", "7", "--exclude", "postgres"];
  const first = await sandbox.json(["start", "web", ...flags, "--", ...fixture("say=hello {port}")]);
  await sandbox.json(["stop", "web"]);
  const stopped = await sandbox.json(["status", "web"], { code: 3 });
  assertEquals([stopped.state, stopped.command, stopped.cwd], ["stopped", first.command, cwd]);
  for (const command of ["start", "restart"]) {
    const again = await sandbox.json([command, "web"]);
    assertEquals([again.started, again.port, again.cwd, again.command], [true, first.port, cwd, first.command]);
    assertEquals((await sandbox.json(["logs", "web"])).lines, [`hello ${first.port}`]);
    const { stop, log, exclude } = JSON.parse(Deno.readTextFileSync(`${again.dir}/node.info`));
    assertEquals([stop.signal, log.keep, exclude], ["SIGINT", 7, ["postgres"]]);
    assertEquals((await sandbox.json(["start", "web"])).started, false, "it runs");
    await sandbox.json(["stop", "web"]);
  }
  // Without a name: every node that was ever started.
  await sandbox.json(["start", "api", "--no-probe", "--", "sleep", "600"]);
  await sandbox.json(["stop"]);
  const { nodes } = await sandbox.json(["start"]);
  assertEquals(nodes.map(({ node, started }: { node: string; started: boolean }) => [node, started]), [
    ["api", true],
    ["web", true],
  ]);
  await sandbox.json(["stop"]);
  assertEquals((await sandbox.json(["start", "web", "api"])).nodes.length, 2);
});

costly("what is kept is of the last start that committed; of one that never did, it is what was tried", async () => {
  await using sandbox = await Sandbox.create();
  const good = fixture("say=good");
  await sandbox.json(["start", "web", "--port", "0", "--", ...good]);
  await sandbox.json(["stop", "web"]);
  await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("exit=3")], { code: 1 });
  assertEquals((await sandbox.json(["start", "web"])).command, good);
  await sandbox.json(["stop", "web"]);
  await sandbox.json(["start", "api", "--port", "0", "--", ...fixture("exit=3")], { code: 1 });
  assertEquals((await sandbox.json(["start", "api"], { code: 1 })).error.kind, "server-exited");
  // The next start replaces anything in the file's place.
  const dir = sandbox.nodeDir("web");
  for (const text of ["", "garbage", "[]", '{"schema":2}', '{"schema":1,"settings":{"command":7}}']) {
    Deno.writeTextFileSync(`${dir}/recorded.json`, text);
    assertEquals((await sandbox.json(["start", "web"], { code: 2 })).error.kind, "usage", text);
    assertEquals((await sandbox.json(["restart", "web"], { code: 3 })).error.kind, "nothing-there", text);
  }
  Deno.removeSync(`${dir}/recorded.json`);
  Deno.mkdirSync(`${dir}/recorded.json/inside`, { recursive: true });
  await sandbox.json(["start", "web", "--port", "0", "--", ...good]);
  await sandbox.json(["stop", "web"]);
  assertEquals((await sandbox.json(["start", "web"])).command, good);
});

costly("a starter killed anywhere around its commit leaves a node that starts again as it was", async () => {
  await using sandbox = await Sandbox.create();
  const command = fixture("say=hello");
  for (const step of ["committed", "recorded", "launch-removed", "tombstone-removed"]) {
    const start = ["start", step, "--port", "0", "--", ...command];
    await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: step } }).output();
    assertEquals(exists(`${sandbox.nodeDir(step)}/recorded.json`), true);
    await sandbox.json(["stop", step]);
    assertEquals((await sandbox.json(["start", step])).command, command, step);
    await sandbox.json(["stop", step]);
  }
  // The same if the server died, or the machine rebooted, before a stop.
  const start = ["start", "web", "--port", "0", "--", ...command];
  await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: "committed" } }).output();
  const { pid } = await sandbox.json(["status", "web"]);
  Deno.kill(pid, "SIGKILL");
  await until("it is gone", () => !isRunning(pid));
  await sandbox.json(["sweep", "web"]);
  assertEquals((await sandbox.json(["start", "web"])).command, command);
  await sandbox.json(["stop", "web"]);
  await sandbox.json(["start", "web"]);
  for (const step of ["ended", "swept"]) {
    await sandbox.spawn(["stop", "web"], { env: { TOMBSTONE_FAILPOINT: step } }).output();
    assertEquals((await sandbox.json(["start", "web"])).command, command, step);
  }
});

costly("values of variables are not kept: they come from the caller, and a missing one is named", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--env", "TOKEN=secret", "--env", "MODE=fast", "--", ...fixture()];
  const { dir } = await sandbox.json(start);
  await sandbox.json(["stop", "web"]);
  assert(!Deno.readTextFileSync(`${dir}/recorded.json`).includes("secret"));
  for (const command of ["start", "restart"]) {
    const { error } = await sandbox.json([command, "web"], { code: 2, env: { MODE: "slow" } });
    assertStringIncludes(error.message, `Cannot ${command} "web": it was started with --env TOKEN,`);
    assertEquals(error.hint, `tombstone ${command} web --env TOKEN=VALUE`);
    const { pid } = await sandbox.json([command, "web", "--env", "TOKEN=other"], { env: { MODE: "slow" } });
    const environ = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
    assert(environ.includes("TOKEN=other") && environ.includes("MODE=slow"));
    await sandbox.json(["stop", "web"]);
  }
  const { error } = await sandbox.json(["start", "web", "--port", "1"], { code: 2 });
  assertStringIncludes(error.message, 'Cannot use --port without a command: "web" starts as it was last started');
  assertStringIncludes(error.hint, "tombstone start web --port 1 -- perl ");
  assertEquals((await sandbox.json(["start", "nobody"], { code: 2 })).error.kind, "usage");
  const two = (await sandbox.json(["start", "web", "nobody"], { code: 3 })).error;
  assertStringIncludes(two.message, 'Cannot start "nobody": no command is recorded for it');
});

costly("described and recorded nodes can be named together; a deleted directory is an error", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/gone`);
  await sandbox.json(["start", "old", "--no-probe", "--cwd", "gone", "--", "sleep", "600"]);
  await sandbox.json(["start", "api", "--no-probe", "--", "sleep", "600"]);
  await sandbox.json(["stop"]);
  const nodes = { web: { command: fixture(), port: 0 } };
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
  const both = await sandbox.json(["start", "api", "web"]);
  assertEquals(both.nodes.map(({ node }: { node: string }) => node), ["web", "api"]);
  assertEquals(
    (await sandbox.json(["restart", "api", "web"])).nodes.map(({ started }: { started: boolean }) => started),
    [
      true,
      true,
    ],
  );
  Deno.removeSync(`${sandbox.project}/gone`);
  for (const command of ["start", "restart"]) {
    const { error } = await sandbox.json([command, "old"], { code: 2 });
    assertStringIncludes(error.message, `its directory "${sandbox.project}/gone" is gone`);
  }
  const { error } = await sandbox.json(["start", "wbe"], { code: 2 });
  assertStringIncludes(error.hint, 'did you mean "web"?');
});

costly(
  "status ignores stopped nodes without a description in its exit code, and later lists only their names",
  async () => {
    await using sandbox = await Sandbox.create();
    await sandbox.json(["start", "web", "--no-probe", "--", "sleep", "600"]);
    for (const node of ["old", "older"]) {
      await sandbox.json(["start", node, "--no-probe", "--", "sleep", "600"]);
      await sandbox.json(["stop", node]);
    }
    const status = await sandbox.run(["status"]);
    assertEquals(status.code, 0, status.stdout);
    assertEquals(status.stdout.split("\n").length, 5);
    const longAgo = new Date(Date.now() - 25 * 3600 * 1000);
    for (const node of ["old", "older", "web"]) Deno.utimeSync(sandbox.nodeDir(node), longAgo, longAgo);
    const later = await sandbox.run(["status"]);
    assertEquals([later.code, later.stdout.trimEnd().split("\n").slice(2)], [0, [
      "stopped more than a day ago: old, older",
    ]]);
    const list = (await sandbox.run(["list"])).stdout.trimEnd().split("\n");
    assertEquals(list.length, 3);
    assertStringIncludes(list[2]!, "/old, ");
    assertEquals((await sandbox.json(["status"])).nodes.length, 3, "in JSON there are all");
    // A described one counts, no matter when it was stopped.
    const nodes = { old: { command: ["sleep", "600"], probes: { none: true } } };
    Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
    const described = await sandbox.run(["status"]);
    assertEquals(described.code, 3);
    assertStringIncludes(described.stdout, "\nstopped more than a day ago: older\n");
    await sandbox.json(["stop", "web"]);
    Deno.removeSync(`${sandbox.project}/tombstone.json`);
    assertEquals((await sandbox.run(["status"])).code, 3, "nothing runs");
  },
);

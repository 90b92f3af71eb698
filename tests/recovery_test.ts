/** The scenario that everything comes from: a start dies half-way, and the next one cleans up and succeeds. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { launch } from "../lib/process/launcher.ts";
import { system } from "../lib/os/system.ts";
import { removeFile } from "../lib/state/durable.ts";
import { nodeDir } from "../lib/state/node_dir.ts";
import { TombstoneError } from "../lib/errors.ts";
import { accepts, fixture, freePort, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

Deno.test("sweep removes node.info, port, pid and starting", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("child")]);
  Deno.kill(started.pid, "SIGKILL");
  Deno.writeTextFileSync(`${started.dir}/starting`, "");
  Deno.writeTextFileSync(`${started.dir}/.port.12345678.tmp`, "12");
  assertEquals(sandbox.runtimeFiles("web"), [".port.12345678.tmp", "node.info", "pid", "port", "starting"]);

  const plan = await sandbox.json(["sweep", "web", "--dry-run"]);
  assertEquals(plan.nodes[0].recovered.files.toSorted(), [
    ".port.12345678.tmp",
    "node.info",
    "pid",
    "port",
    "starting",
  ]);
  assertEquals(plan.nodes[0].recovered.pids, sandbox.serversOf("web"));
  assertEquals(sandbox.runtimeFiles("web").length, 5);

  const swept = await sandbox.json(["sweep", "web"]);
  assertEquals(swept.nodes[0].action, "swept");
  assertEquals(swept.nodes[0].recovered.reason, "interrupted-start");
  assertEquals(swept.nodes[0].recovered.files.toSorted(), [
    ".port.12345678.tmp",
    "node.info",
    "pid",
    "port",
    "starting",
  ]);
  assertEquals(sandbox.runtimeFiles("web"), []);
  assertEquals(sandbox.processes(), []);
});

Deno.test("sweep is idempotent when the files are missing", async () => {
  await using sandbox = await Sandbox.create();
  const never = await sandbox.json(["sweep", "web"]);
  assertEquals(never.nodes[0].action, "nothing");
  await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  assertEquals((await sandbox.json(["sweep", "web"])).nodes[0].action, "running");
  await sandbox.assertOneServer("web");
  await sandbox.json(["stop", "web"]);
  for (let round = 0; round < 2; round++) {
    const again = await sandbox.json(["sweep", "web"]);
    assertEquals(again.nodes[0].action, "nothing");
    assertEquals(again.nodes[0].recovered, null);
  }
  Deno.removeSync(sandbox.nodeDir("web"), { recursive: true });
  assertEquals((await sandbox.json(["sweep", "web"])).nodes[0].action, "nothing");
});

Deno.test("removing a missing file is not an error; any other failure names the file", async () => {
  await using sandbox = await Sandbox.create();
  const file = `${sandbox.project}/file`;
  assertEquals(removeFile(file), false);
  Deno.writeTextFileSync(file, "");
  assertEquals(removeFile(file), true);
  Deno.writeTextFileSync(file, "");
  Deno.mkdirSync(`${sandbox.project}/dir/full`, { recursive: true });
  for (const path of [`${file}/below`, `${sandbox.project}/dir`, "/proc/self/stat"]) {
    let caught: unknown;
    try {
      removeFile(path);
    } catch (error) {
      caught = error;
    }
    assert(caught instanceof TombstoneError, path);
    assertStringIncludes((caught as TombstoneError).message, `Cannot remove "${path}": `);
    assertEquals((caught as TombstoneError).exitCode, 4);
  }
  assert(Deno.statSync(`${sandbox.project}/dir/full`).isDirectory);

  // Through the command: a declared file that has become a directory is named, and not removed.
  const declared = `${sandbox.project}/tmp.pid`;
  const started = await sandbox.json(
    ["start", "web", "--port", "0", "--sweep-file", declared, "--", ...fixture()],
  );
  Deno.kill(started.pid, "SIGKILL");
  Deno.mkdirSync(`${declared}/precious`, { recursive: true });
  const swept = await sandbox.run(["sweep", "web"]);
  assertEquals(swept.code, 0, swept.stderr);
  assertStringIncludes(swept.stderr, `left "${declared}" alone: it is a directory`);
  assert(Deno.statSync(`${declared}/precious`).isDirectory);
  Deno.removeSync(declared, { recursive: true });
});

/** Every point that a start passes, and how far the next start must find that it came. */
const POINTS = [
  ["before the spawn", "tombstone-written", "before-spawn"],
  ["before the spawn", "recovered", "before-spawn"],
  ["before the spawn", "port-checked", "before-spawn"],
  ["before the spawn", "log-rotated", "before-spawn"],
  ["during the spawn", "spawned", null], // the launcher may or may not have recorded itself
  ["while waiting", "waiting", "spawned"],
  ["after port", "port-written", "spawned"],
  ["between node.info and the removal of starting", "committed", "committed"],
  ["between node.info and the removal of starting", "launch-removed", "committed"],
  ["after the removal of starting", "tombstone-removed", "committed"],
] as const;

costly(
  "start recovers when its starter is killed before, during and after the spawn, while waiting, and between node.info and the removal of starting",
  async (test) => {
    for (const [when, point, progress] of POINTS) {
      await test.step(`${when} (${point})`, async () => {
        await using sandbox = await Sandbox.create();
        sandbox.bystander();
        const declared = `${sandbox.project}/declared.pid`;
        const port = String(freePort());
        const args = [
          "start",
          "web",
          "--port",
          port,
          "--sweep-file",
          declared,
          "--",
          ...fixture("child", `write=${declared}`),
        ];
        const killed = await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: point } }).output();
        assertEquals(killed.signal, "SIGKILL");
        const isCommitted = progress === "committed";
        const before = await sandbox.json(["status", "web"], { code: isCommitted ? 0 : 1 });
        assertEquals(before.state, isCommitted ? "running" : "interrupted");

        const started = await sandbox.json(args);
        if (isCommitted) {
          assertEquals([started.started, started.pid, started.recovered], [false, before.pid, null]);
        } else {
          assertEquals(started.recovered.reason, "interrupted-start");
          assertEquals(started.recovered.attempt, before.attempt);
          assertEquals(started.recovered.starter, Number(/pid (\d+)/.exec(before.reason)![1]));
          if (progress !== null) assertEquals(started.recovered.progress, progress);
          assertEquals(started.started, true);
        }
        // The server and its child of its own session, and nobody else.
        await until("the child runs", () => sandbox.serversOf("web").length >= 2);
        const servers = sandbox.serversOf("web");
        assertEquals(servers.length, 2);
        assert(servers.includes(started.pid));
        for (const pid of servers) {
          assertStringIncludes(Deno.readTextFileSync(`/proc/${pid}/environ`), `TOMBSTONE_ATTEMPT=${started.attempt}`);
        }
        assertEquals(sandbox.runtimeFiles("web"), ["node.info", "pid", "port"]);
        assert(await accepts(Number(port)));
        sandbox.assertBystanders();
        await sandbox.json(["stop", "web"]);
        assertEquals(sandbox.runtimeFiles("web"), []);
        assertEquals(sandbox.processes(), []);
        assertEquals([...Deno.readDirSync(sandbox.project)], []);
      });
    }
  },
);

Deno.test("a launcher whose tombstone was taken over ends before anything of the user's runs", async () => {
  await using sandbox = await Sandbox.create();
  const dir = nodeDir(sandbox.state, "workspace", "web");
  Deno.mkdirSync(dir.path, { recursive: true, mode: 0o700 });
  const attempt = crypto.randomUUID();
  const nodeFiles = `${sandbox.project}/ran`;
  const run = () =>
    launch(dir, {
      attempt,
      command: ["touch", nodeFiles],
      cwd: sandbox.project,
      env: sandbox.env(),
      drop: [],
      inherit: "all",
      port: null,
      input: "none",
    });
  for (const tombstone of ["", "{}", `{"schema":1,"attempt":"${crypto.randomUUID()}"}\n`, null]) {
    if (tombstone === null) Deno.removeSync(dir.starting);
    else Deno.writeTextFileSync(dir.starting, tombstone);
    const launched = run();
    await until("the launcher has ended", () => launched.exitStatus !== null);
    assertEquals(system.launcher.failureOf(launched.exitStatus!.code), "superseded");
    assertEquals([...Deno.readDirSync(sandbox.project)], []);
    const left = [...Deno.readDirSync(dir.path)].map((entry) => entry.name).filter((name) => name !== "server.log");
    assertEquals(left, tombstone === null ? [] : ["starting"]); // the log is opened before the tombstone is read
  }
  Deno.writeTextFileSync(dir.starting, `{"schema":1,"attempt":"${attempt}","starter_pid":1}\n`);
  const launched = run();
  await until("the command has run", () => launched.exitStatus !== null);
  assertEquals(launched.exitStatus!.code, 0);
  assert(Deno.statSync(nodeFiles).isFile);
});

Deno.test("a replacement that died before its tombstone was in place leaves nothing beside the running node", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture()];
  const started = await sandbox.json(args);
  for (const command of [args, ["sweep", "web"]]) {
    Deno.writeTextFileSync(`${started.dir}/.starting.${crypto.randomUUID()}.tmp`, '{"schema":1,"att');
    Deno.writeTextFileSync(`${started.dir}/launch.${crypto.randomUUID()}`, "");
    await sandbox.json(command);
    assertEquals((await sandbox.assertOneServer("web")).pid, started.pid);
  }
});

Deno.test("a server that died is swept, its orphans included", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture("child")];
  const first = await sandbox.json(args);
  Deno.kill(first.pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(first.pid));
  const status = await sandbox.json(["status", "web"], { code: 1 });
  assertEquals(status.state, "died");
  assertEquals(status.pid, null);
  const orphans = sandbox.serversOf("web");
  assertEquals(orphans.length, 1);
  const second = await sandbox.run(args);
  assertEquals(second.code, 0);
  assertMatch(
    second.stderr,
    /^recovered "web" from a server that died \(attempt .*committed\): ended pid \d+; removed port, pid, node.info\n$/,
  );
  assertEquals(isRunning(orphans[0]!), false);
});

Deno.test("a starter that died between commit and clean-up, and its server after it: swept as died", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture()];
  await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "committed" } }).output();
  const { pid } = await sandbox.json(["status", "web"]);
  Deno.kill(pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(pid));
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "died");
  const started = await sandbox.json(args);
  assertEquals([started.recovered.reason, started.recovered.progress], ["died", "committed"]);
  assert(started.recovered.files.includes("starting"));
  await sandbox.assertOneServer("web");
});

Deno.test("a server that exits later is told as died, with its last words in the log", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture("until=end", "exit=9", "say=bye")];
  const started = await sandbox.json(args);
  Deno.writeTextFileSync(`${sandbox.project}/end`, "");
  await until("it has exited", () => !isRunning(started.pid));
  const status = await sandbox.run(["status", "web"]);
  assertEquals(status.code, 1);
  assertMatch(status.stdout, new RegExp(`^web: died, pid ${started.pid} is gone\\b`));
  assertEquals((await sandbox.json(["logs", "web"])).lines, ["bye"]);
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].recovered.reason, "died");
});

/** The scenario that everything comes from: a start dies half-way, and the next one cleans up and succeeds. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { launch, LAUNCHER_EXIT } from "../lib/process/launcher.ts";
import { removeFile } from "../lib/state/durable.ts";
import { nodeDir } from "../lib/state/node_dir.ts";
import { TombstoneError } from "../lib/errors.ts";
import {
  accepts,
  allPids,
  type Document,
  fixture,
  freePort,
  isRunning,
  readProcess,
  Sandbox,
  until,
} from "./support/sandbox.ts";

/** Forges the files of a node that ran as `pid`, as if it had been started by the tool. */
async function forgeNode(sandbox: Sandbox, node: string, pid: number, startTime: number): Promise<Document> {
  const started = await sandbox.json(["start", node, "--port", "0", "--", ...fixture()]);
  const info = JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`));
  const forged = { ...info, pid, session_pid: pid, start_time: startTime };
  await sandbox.json(["stop", node]);
  Deno.writeTextFileSync(`${started.dir}/node.info`, JSON.stringify(forged));
  Deno.writeTextFileSync(`${started.dir}/pid`, `${pid}\n`);
  Deno.writeTextFileSync(`${started.dir}/port`, `${info.port}\n`);
  return started;
}

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
  const { error } = await sandbox.json(["sweep", "web"], { code: 4 });
  assertStringIncludes(error.message, `"${declared}"`);
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

Deno.test(
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
        const killed = await sandbox.spawn(args, { env: { TOMBSTONE_KILL_AT: point } }).output();
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

function killIfRunning(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended by itself
  }
}

Deno.test("start recovers when its starter is killed from outside at random moments", async () => {
  await using sandbox = await Sandbox.create();
  sandbox.bystander();
  const port = String(freePort());
  const args = ["start", "web", "--port", port, "--", ...fixture("child")];
  for (let round = 0; round < 12; round++) {
    const starter = sandbox.spawn(args);
    const output = starter.output();
    await Promise.race([output, new Promise((resolve) => setTimeout(resolve, 10 * round))]);
    killIfRunning(starter);
    await output;
    if (round % 3 === 2) await sandbox.json(args);
  }
  const started = await sandbox.json(args);
  await until("only the server and its child are left", () => sandbox.serversOf("web").length === 2);
  assert(sandbox.serversOf("web").includes(started.pid));
  assertEquals(sandbox.runtimeFiles("web"), ["node.info", "pid", "port"]);
  sandbox.assertBystanders();
});

Deno.test("a launcher whose tombstone was taken over ends before anything of the user's runs", async () => {
  await using sandbox = await Sandbox.create();
  const dir = nodeDir(sandbox.state, "workspace", "web");
  Deno.mkdirSync(dir.path, { recursive: true, mode: 0o700 });
  const attempt = crypto.randomUUID();
  const evidence = `${sandbox.project}/ran`;
  const run = () =>
    launch(dir, {
      attempt,
      command: ["touch", evidence],
      cwd: sandbox.project,
      env: sandbox.env(),
      inherit: "all",
      port: null,
    });
  for (const tombstone of ["", "{}", `{"schema":1,"attempt":"${crypto.randomUUID()}"}\n`, null]) {
    if (tombstone === null) Deno.removeSync(dir.starting);
    else Deno.writeTextFileSync(dir.starting, tombstone);
    const launched = run();
    await until("the launcher has ended", () => launched.ended !== null);
    assertEquals(launched.ended!.code, LAUNCHER_EXIT.superseded);
    assertEquals([...Deno.readDirSync(sandbox.project)], []);
    assertEquals([...Deno.readDirSync(dir.path)].map((entry) => entry.name), tombstone === null ? [] : ["starting"]);
  }
  Deno.writeTextFileSync(dir.starting, `{"schema":1,"attempt":"${attempt}","starter_pid":1}\n`);
  const launched = run();
  await until("the command has run", () => launched.ended !== null);
  assertEquals(launched.ended!.code, 0);
  assert(Deno.statSync(evidence).isFile);
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

Deno.test("two starts at once run one server", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture("delay=50")];
  for (let round = 0; round < 3; round++) {
    const both = await Promise.all([sandbox.json(args), sandbox.json(args)]);
    assertEquals(both[0].pid, both[1].pid);
    assertEquals(both.filter((started) => started.started).length, 1);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
  }
});

Deno.test("eight starts at once run one server, and all report it", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture()];
  const all = await Promise.all(Array.from({ length: 8 }, () => sandbox.json(args)));
  assertEquals(new Set(all.map((started) => started.pid)).size, 1);
  assertEquals(all.filter((started) => started.started).length, 1);
  await sandbox.assertOneServer("web");
});

Deno.test("a recycled pid is never signalled", async (test) => {
  await test.step("node.info and pid name a living stranger with another start time", async () => {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander();
    const { start } = readProcess(stranger)!;
    await forgeNode(sandbox, "web", stranger, start - 1);
    const status = await sandbox.json(["status", "web"], { code: 1 });
    assertEquals(status.state, "died");
    assertEquals((await sandbox.json(["sweep", "web"])).nodes[0].recovered.pids, []);
    sandbox.assertBystanders();

    await forgeNode(sandbox, "web", stranger, start - 1);
    assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, false);
    sandbox.assertBystanders();

    await forgeNode(sandbox, "web", stranger, start - 1);
    const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
    assertEquals(started.recovered.reason, "died");
    assertEquals(started.recovered.pids, []);
    await sandbox.assertOneServer("web");
  });

  await test.step("the same pid and start time, but of another boot", async () => {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander();
    const { dir } = await forgeNode(sandbox, "web", stranger, readProcess(stranger)!.start);
    const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
    Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, boot_id: crypto.randomUUID() }));
    const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
    assertEquals(started.recovered.reason, "rebooted");
    await sandbox.assertOneServer("web");
  });

  await test.step("the launch record of an interrupted start names a living stranger", async () => {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander();
    const args = ["start", "web", "--port", "0", "--", ...fixture()];
    await sandbox.spawn(args, { env: { TOMBSTONE_KILL_AT: "waiting" } }).output();
    const dir = sandbox.nodeDir("web");
    const { attempt } = JSON.parse(Deno.readTextFileSync(`${dir}/starting`));
    for (const pid of sandbox.serversOf("web")) Deno.kill(pid, "SIGKILL");
    await until("the server is gone", () => sandbox.serversOf("web").length === 0);
    const stat = Deno.readTextFileSync(`/proc/${stranger}/stat`).trim();
    const boot = Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
    const fields = stat.split(" ");
    const recycled = [...fields.slice(0, 21), Number(fields[21]) - 1, ...fields.slice(22)].join(" ");
    for (const record of [`${boot} ${recycled}\n`, `${crypto.randomUUID()} ${stat}\n`, `${stranger}\n`, "", "\0\xff"]) {
      for (const command of [["sweep", "web"], ["stop", "web"], args]) {
        Deno.writeTextFileSync(`${dir}/starting`, JSON.stringify({ schema: 1, attempt }) + "\n");
        Deno.writeTextFileSync(`${dir}/launch.${attempt}`, record);
        await sandbox.json(command);
        sandbox.assertBystanders();
      }
      await sandbox.assertOneServer("web");
      await sandbox.json(["stop", "web"]);
    }
  });

  await test.step("the pid file of a daemon names a process that is older than the launcher or younger than the file", async () => {
    await using sandbox = await Sandbox.create();
    const older = sandbox.bystander();
    const pidFile = `${sandbox.project}/server.pid`;
    const args = ["start", "web", "--no-probe", "--timeout", "300ms", "--pid-file", pidFile, "--"];
    const ran = await sandbox.run([...args, "sh", "-c", `echo ${older} > ${pidFile}`]);
    assertEquals(ran.code, 124);
    assertStringIncludes(ran.stderr, "its process is not known yet");
    sandbox.assertBystanders();

    const killed = sandbox.spawn([...args, ...fixture(`daemon=${pidFile}`)], { env: { TOMBSTONE_KILL_AT: "waiting" } });
    await killed.output();
    const daemon = Number(Deno.readTextFileSync(pidFile));
    Deno.kill(daemon, "SIGKILL");
    await until("the daemon is gone", () => !isRunning(daemon));
    const younger = sandbox.bystander();
    const before = Deno.statSync(pidFile).mtime!;
    Deno.writeTextFileSync(pidFile, `${younger}\n`);
    // As if the pid had come round: the file is as old as it was, the process is not.
    Deno.utimeSync(pidFile, before, new Date(before.getTime() - 1000));
    const swept = await sandbox.json(["sweep", "web"]);
    assertEquals(swept.nodes[0].recovered.pids, []);
    sandbox.assertBystanders();
  });

  await test.step("the id of a thread, 1, own parent, and nonsense", async () => {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander(["node", "-e", "setInterval(() => {}, 1e9)"]);
    await until("it has threads", () => [...Deno.readDirSync(`/proc/${stranger}/task`)].length > 1);
    const thread = [...Deno.readDirSync(`/proc/${stranger}/task`)].map(({ name }) => Number(name)).find((id) =>
      id !== stranger
    )!;
    const stat = Deno.readTextFileSync(`/proc/${stranger}/task/${thread}/stat`);
    const threadStart = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    for (
      const [pid, start] of [[thread, threadStart], [1, 0], [0, 0], [-1, 0], [2 ** 31, 0], [Deno.pid, 0], [1.5, 0]]
    ) {
      await forgeNode(sandbox, "web", pid!, start!);
      const swept = await sandbox.json(["sweep", "web"]);
      assertEquals(swept.nodes[0].recovered.pids, [], String(pid));
      sandbox.assertBystanders();
    }
  });
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
  await sandbox.spawn(args, { env: { TOMBSTONE_KILL_AT: "committed" } }).output();
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
  const args = ["start", "web", "--port", "0", "--", ...fixture("after=200", "exit=9", "say=bye")];
  const started = await sandbox.json(args);
  await until("it has exited", () => !isRunning(started.pid));
  const status = await sandbox.run(["status", "web"]);
  assertEquals([status.code, status.stdout], [1, `web: died, pid ${started.pid} is gone\n`]);
  assertEquals((await sandbox.json(["logs", "web"])).lines, ["bye"]);
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].recovered.reason, "died");
});

Deno.test("links and directories in the place of lock and log are replaced, never written through", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--", ...fixture("say=hello")];
  const { dir } = await sandbox.json(args);
  await sandbox.json(["stop", "web"]);
  const precious = `${sandbox.project}/precious`;
  Deno.writeTextFileSync(precious, "do not touch");
  for (const name of ["lock", "server.log", "server.log.1", "starting", "pid", "port", "node.info"]) {
    Deno.removeSync(dir, { recursive: true });
    Deno.mkdirSync(dir, { mode: 0o700 });
    Deno.symlinkSync(precious, `${dir}/${name}`);
    await sandbox.json(args);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(Deno.readTextFileSync(precious), "do not touch", name);
    removeFile(`${dir}/${name}`);
    Deno.mkdirSync(`${dir}/${name}/full`, { recursive: true });
    await sandbox.json(args);
    await sandbox.json(["stop", "web"]);
  }
});

Deno.test("a double-forked grandchild in its own session is found by its environment; a cleared one is left alone", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("child", "clean-child")]);
  const clean = allPids().find((pid) => readProcess(pid)?.ppid === started.pid && !sandbox.processes().includes(pid))!;
  Deno.kill(started.pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(started.pid));
  await sandbox.json(["sweep", "web"]);
  assertEquals(sandbox.processes(), []);
  assert(isRunning(clean), "a process without any proof was ended");
  Deno.kill(clean, "SIGKILL");
});

Deno.test("state of another host or pid namespace is refused with exit 4, and --force forgets it", async () => {
  for (const change of [{ host_id: "another" }, { pid_namespace: "pid:[1]" }]) {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander();
    const { dir } = await forgeNode(sandbox, "web", stranger, readProcess(stranger)!.start);
    const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
    Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, ...change }));
    const args = ["start", "web", "--port", "0"];
    for (const command of [["stop", "web"], ["sweep", "web"], [...args, "--", ...fixture()]]) {
      const { error } = await sandbox.json(command, { code: 4 });
      assertEquals(error.kind, "foreign-state");
      assertStringIncludes(error.hint, "--force");
    }
    assertEquals((await sandbox.json(["status", "web"], { code: 4 })).state, "unknown");
    const all = await sandbox.json(["sweep", "--all"], { code: 4 });
    assertEquals(all.nodes[0].action, "refused");
    await sandbox.json([...args, "--force", "--", ...fixture()]);
    await sandbox.assertOneServer("web");
  }
});

Deno.test("a state directory deleted while the server runs does not lead to a second one on its port", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const args = ["start", "web", "--port", String(port), "--", ...fixture()];
  const started = await sandbox.json(args);
  Deno.removeSync(sandbox.state, { recursive: true });
  assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");
  const { error } = await sandbox.json(args, { code: 5 });
  assertEquals(error.owner_pid, started.pid);
});

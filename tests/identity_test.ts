/** Who is who: recycled pids, thread ids, forged records, zombies. Nothing that is not proven ours is signalled. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COMMAND, fixture, forgeNode, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { canUnshare, PidNamespace } from "./support/namespace.ts";
import { costly, TIER } from "./support/tier.ts";

costly("a recycled pid is never signalled", async (test) => {
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
    await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "waiting" } }).output();
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
    const startFor = (timeout: string, command: string[]) => [
      ...["start", "web", "--no-probe", "--timeout", timeout, "--pid-file", pidFile, "--"],
      ...command,
    ];
    const ran = await sandbox.run(startFor("1s", ["sh", "-c", `echo ${older} > ${pidFile}; exec sleep 600`]));
    assertEquals(ran.code, 124);
    assertStringIncludes(ran.stderr, "its process is not known yet");
    sandbox.assertBystanders();

    const killed = sandbox.spawn(startFor("30s", fixture(`daemon=${pidFile}`)), {
      env: { TOMBSTONE_FAILPOINT: "waiting" },
    });
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

const canIsolate = await canUnshare();

Deno.test({
  name: "a pid that the kernel has really given to a stranger is not signalled, not by any command",
  ignore: TIER === "fast" || !canIsolate,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using namespace = await PidNamespace.create(sandbox, "reaps");
    const port = String(freePort());
    const start = ["start", "web", "--port", port, "--", ...fixture()];
    const killServer = async (pid: number) => {
      await namespace.run(["kill", "-9", String(pid)]);
      for (let tries = 0; await namespace.stateOf(pid) !== null; tries++) {
        assert(tries < 100, "the server is not reaped");
      }
    };
    for (const command of [["status", "web"], ["stop", "web"], ["sweep", "web"], ["restart", "web"], start]) {
      const { pid } = await namespace.json(start);
      await killServer(pid);
      await namespace.spawnAs(pid);
      const stranger = await namespace.startOf(pid);
      assert(stranger !== null);
      const told = await namespace.json(command, command[0] === "status" ? 1 : 0);
      if (command[0] === "status") assertEquals(told.state, "died");
      await namespace.json(start);
      assertEquals(await namespace.startOf(pid), stranger, command.join(" "));
      await namespace.json(["stop", "web"]);
      assertEquals(await namespace.startOf(pid), stranger, command.join(" "));
      await killServer(pid);
    }
    // The same for a server of which only the launch record tells.
    const recorded = `cat ${sandbox.nodeDir("web")}/launch.* | cut -d" " -f2`;
    for (const command of [["sweep", "web"], start]) {
      await namespace.run(["env", "TOMBSTONE_FAILPOINT=waiting", ...COMMAND, ...start]);
      const pid = Number((await namespace.run(["sh", "-c", recorded])).stdout);
      await killServer(pid);
      await namespace.spawnAs(pid);
      const stranger = await namespace.startOf(pid);
      assert(stranger !== null);
      await namespace.json(command);
      assertEquals(await namespace.startOf(pid), stranger, command.join(" "));
      await namespace.json(["stop", "web"]);
      await killServer(pid);
    }
  },
});

Deno.test({
  name: "under a pid 1 that never reaps: a killed server is dead at once, stop returns, start works",
  ignore: !canIsolate,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using namespace = await PidNamespace.create(sandbox, "never reaps");
    const start = ["start", "web", "--port", String(freePort()), "--", ...fixture("child")];
    const first = await namespace.json(start);
    await namespace.run(["kill", "-9", String(first.pid)]);
    await until("it is a zombie", async () => await namespace.stateOf(first.pid) === "Z");
    assertEquals((await namespace.json(["status", "web"], 1)).state, "died");
    const second = await namespace.json(start);
    assertEquals([second.recovered.reason, second.started], ["died", true]);
    const stopped = await namespace.json(["stop", "web", "--quiet"]);
    assertEquals(stopped.nodes[0].stopped, true);
    assertEquals(await namespace.stateOf(second.pid), "Z");
    assertEquals((await namespace.json(start)).started, true);
    assertEquals((await namespace.json(["restart", "web"])).started, true);
  },
});

const isRoot = Deno.uid() === 0;
if (!isRoot) console.log("skipped: a process of another user takes root (run the tests as root)");

Deno.test({
  name: "another user's process is not signalled, whatever the records say",
  ignore: !isRoot,
  async fn() {
    await using sandbox = await Sandbox.create();
    const nobody = sandbox.bystander(["setpriv", "--reuid=65534", "--clear-groups", "sleep", "600"]);
    await until("it is nobody's", () => readProcess(nobody)?.name === "sleep");
    for (const start of [readProcess(nobody)!.start - 1, 0, null]) {
      for (const command of ["stop", "sweep"]) {
        await forgeNode(sandbox, "web", nobody, start);
        await sandbox.json([command, "web"]);
        sandbox.assertBystanders();
      }
    }
  },
});

Deno.test("a server whose name looks like the fields of /proc/PID/stat is followed, stopped, and not confused", async () => {
  await using sandbox = await Sandbox.create();
  const strange = `${sandbox.project}/a) R 1 (b`;
  Deno.symlinkSync(
    new TextDecoder().decode(new Deno.Command("sh", { args: ["-c", "command -v perl"] }).outputSync().stdout).trim(),
    strange,
  );
  const stranger = sandbox.bystander([strange, "-e", "sleep"]);
  const args = ["start", "web", "--port", "0", "--", strange, ...fixture("child").slice(1)];
  const started = await sandbox.json(args);
  assertEquals(readProcess(started.pid)!.name, "a) R 1 (b");
  assertEquals((await sandbox.json(args)).started, false);
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
  assertEquals(sandbox.processes(), []);
  await forgeNode(sandbox, "web", stranger, readProcess(stranger)!.start - 1);
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, false);
  sandbox.assertBystanders();
});

Deno.test("a server that replaces itself by exec stays the node", async () => {
  await using sandbox = await Sandbox.create();
  const script = `trap 'exec ${fixture().join(" ")}' USR1; echo here; while :; do sleep 0.02; done`;
  const args = ["start", "web", "--no-probe", "--", "sh", "-c", script];
  const started = await sandbox.json(args, { env: { PORT: String(freePort()) } });
  Deno.kill(started.pid, "SIGUSR1");
  await until("it has become another program", () => readProcess(started.pid)?.name === "perl");
  assertEquals((await sandbox.json(["status", "web"])).pid, started.pid);
  assertEquals((await sandbox.json(args)).started, false);
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
  assertEquals(sandbox.processes(), []);
});

Deno.test({
  name: "a process that cannot be read is not taken for dead: exit 4, and no second server",
  ignore: !installed("strace", "strace"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const start = ["start", "web", "--port", "0", "--", ...fixture()];
    const { pid } = await sandbox.json(start);
    for (const command of [start, ["status", "web"], ["stop", "web"], ["sweep", "web"]]) {
      // As if this process had too many files open, each time that it looks at the server.
      const inject = ["-P", `/proc/${pid}/stat`, "-e", "trace=openat", "-e", "inject=openat:error=EMFILE"];
      const strace = ["strace", "-f", "-q", "-I", "2", "-o", `${sandbox.root}/trace`, ...inject];
      // strace would follow a second server for ever.
      const { code, stderr } = await new Deno.Command("timeout", {
        args: ["20", ...strace, ...COMMAND, ...command],
        cwd: sandbox.project,
        env: sandbox.env(),
      }).output();
      const message = new TextDecoder().decode(stderr);
      assertEquals(code, 4, `${command.join(" ")}: ${message}`);
      assertStringIncludes(message, `Cannot read "/proc/${pid}/stat"`);
      assertEquals((await sandbox.assertOneServer("web")).pid, pid);
    }
  },
});

Deno.test("a signal goes to the process that was looked at, whatever happens to its number", {
  ignore: Deno.build.os !== "linux",
}, async (test) => {
  const { signalByHandle, untilOneEnds } = await import("../lib/os/linux/pidfd.ts");
  const sleeper = () => new Deno.Command("sleep", { args: ["60"] }).spawn();

  await test.step("not sent when it is another one", async () => {
    const child = sleeper();
    assertEquals(signalByHandle(child.pid, "SIGKILL", () => false), false);
    assert(isRunning(child.pid));
    assertEquals(signalByHandle(child.pid, "SIGINT", () => true), true);
    assertEquals((await child.status).signal, "SIGINT");
  });

  await test.step("not sent to a number whose process has ended", async () => {
    const child = sleeper();
    Deno.kill(child.pid, "SIGKILL");
    await child.status;
    assertEquals(signalByHandle(child.pid, "SIGTERM", () => true), null);
  });

  await test.step("its end wakes the waiter", async () => {
    const [one, other] = [sleeper(), sleeper()];
    const woken = untilOneEnds([one.pid, other.pid], 30_000)!;
    Deno.kill(one.pid, "SIGKILL");
    await woken;
    assert(isRunning(other.pid));
    await untilOneEnds([other.pid], 5)!; // time is up
    Deno.kill(other.pid, "SIGKILL");
    await Promise.all([one.status, other.status]);
    assertEquals(untilOneEnds([one.pid], 30_000), null);
  });
});

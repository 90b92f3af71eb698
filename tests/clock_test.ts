/** Clocks that are set, reboots, other hosts and other pid namespaces. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describeRecovery } from "../lib/cli/describe.ts";
import { exists, fixture, forgeNode, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { TIER } from "./support/tier.ts";
import { canUnshare, PidNamespace } from "./support/namespace.ts";
import { installed } from "./support/servers.ts";

/** libfaketime(1) lies to a program about the wall clock; the monotonic clock stays as it is. */
const FAKETIME = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketime.so.1`;

/** A wall clock that can be set for everything that a test runs. */
class Clock {
  readonly #path: string;

  constructor(sandbox: Sandbox) {
    this.#path = `${sandbox.root}/clock`;
    this.set("+0");
  }

  get env(): Record<string, string> {
    return {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: this.#path,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
  }

  set(offset: string): void {
    Deno.writeTextFileSync(this.#path, `${offset}\n`);
  }
}

const hasFaketime = installed("faketime", "faketime");
const YEAR = ["-365d", "+365d"];

Deno.test({
  name: "the clock set a year back or forth during the wait: the start goes on, and what it recorded holds",
  ignore: TIER === "fast" || !hasFaketime,
  async fn() {
    for (const offset of YEAR) {
      await using sandbox = await Sandbox.create();
      const clock = new Clock(sandbox);
      const env = clock.env;
      const gate = `${sandbox.project}/go`;
      const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${fixture("child").join(" ")}`;
      const args = [
        "start",
        "web",
        "--port",
        String(freePort()),
        "--timeout",
        "20s",
        "--json",
        "--",
        "sh",
        "-c",
        script,
      ];
      const starter = sandbox.spawn(args, { env });
      await until("the server runs", () => sandbox.serversOf("web").length > 0);
      clock.set(offset);
      const now = await new Deno.Command("date", { args: ["+%Y"], env }).output();
      assert(Number(new TextDecoder().decode(now.stdout)) !== new Date().getFullYear(), "the clock has not been set");
      Deno.writeTextFileSync(gate, "");
      const { code, stdout } = await starter.output();
      const started = JSON.parse(new TextDecoder().decode(stdout));
      assertEquals(code, 0, JSON.stringify(started));
      assert(started.ready_ms >= 0 && started.ready_ms < 60_000, String(started.ready_ms));
      assert(Math.abs(Date.parse(started.started_at) - Date.parse(started.ready_at)) > 300 * 86_400_000);
      await sandbox.assertOneServer("web");
      assertEquals((await sandbox.json(["status", "web"], { env })).state, "running");
      assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
      assertEquals(sandbox.processes(), []);
    }
  },
});

Deno.test({
  name: "the clock set a year back or forth: a deadline neither comes early nor fails to come",
  ignore: !hasFaketime,
  async fn() {
    for (const offset of YEAR) {
      await using sandbox = await Sandbox.create();
      const clock = new Clock(sandbox);
      const args = ["start", "web", "--port", String(freePort()), "--timeout", "1500ms", "--json", "--"];
      const starter = sandbox.spawn([...args, ...fixture("delay=60000")], { env: clock.env });
      await until("the server runs", () => sandbox.serversOf("web").length > 0);
      const begun = performance.now();
      clock.set(offset);
      const { code } = await starter.output();
      assertEquals(code, 124);
      assert(performance.now() - begun > 1000, "the deadline came early");
      assertEquals(sandbox.processes(), []);
    }
  },
});

Deno.test({
  name: "the clock set a year back or forth: a daemon without environment is still proven by its pid file",
  ignore: !hasFaketime || !installed("perl", "perl-base"),
  async fn() {
    for (const offset of YEAR) {
      await using sandbox = await Sandbox.create();
      const clock = new Clock(sandbox);
      const pidFile = `${sandbox.project}/server.pid`;
      const server = [
        "sh",
        "-c",
        `env -i setsid perl -e 'open F, ">", "${pidFile}"; print F $$; close F; sleep 600' &`,
      ];
      const args = ["start", "web", "--no-probe", "--pid-file", pidFile, "--", ...server];
      await sandbox.spawn(args, { env: { ...clock.env, TOMBSTONE_FAILPOINT: "spawned" } }).output();
      await until("the daemon has written its pid", () => exists(pidFile) && Deno.readTextFileSync(pidFile) !== "");
      const daemon = Number(Deno.readTextFileSync(pidFile));
      clock.set(offset);
      const swept = await sandbox.json(["sweep", "web"], { env: clock.env });
      assertEquals(swept.nodes[0].recovered.pids, [daemon], offset);
      assertEquals(isRunning(daemon), false);
    }
  },
});

Deno.test("after a reboot every recorded process is gone, whoever has its pid now", async () => {
  await using sandbox = await Sandbox.create();
  const stranger = sandbox.bystander();
  const args = ["start", "web", "--port", "0", "--", ...fixture()];
  const { dir } = await forgeNode(sandbox, "web", stranger, readProcess(stranger)!.start);
  const rewrite = (file: string) => {
    const record = JSON.parse(Deno.readTextFileSync(`${dir}/${file}`));
    Deno.writeTextFileSync(`${dir}/${file}`, JSON.stringify({ ...record, boot_id: crypto.randomUUID() }));
  };
  rewrite("node.info");
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "died");
  assertEquals((await sandbox.json(args)).recovered.reason, "rebooted");
  await sandbox.assertOneServer("web");
  await sandbox.json(["stop", "web"]);

  // Power was lost in the middle of a start.
  await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "waiting" } }).output();
  for (const pid of sandbox.processes()) Deno.kill(pid, "SIGKILL");
  rewrite("starting");
  const attempt = JSON.parse(Deno.readTextFileSync(`${dir}/starting`)).attempt;
  const stat = Deno.readTextFileSync(`/proc/${stranger}/stat`);
  Deno.writeTextFileSync(`${dir}/launch.${attempt}`, `${crypto.randomUUID()} ${stat}`);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "interrupted");
  const started = await sandbox.json(args);
  assertEquals([started.recovered.reason, started.recovered.pids], ["interrupted-start", []]);
  await sandbox.assertOneServer("web");
});

Deno.test({
  name: "from within another pid namespace nothing can be judged: exit 4, and --force forgets it",
  ignore: !await canUnshare(),
  async fn() {
    await using sandbox = await Sandbox.create();
    await using namespace = await PidNamespace.create(sandbox, "reaps");
    const outside = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
    const start = ["start", "web", "--port", "0"];
    for (const command of [["stop", "web"], ["sweep", "web"], ["restart", "web"], [...start, "--", ...fixture()]]) {
      const { error } = await namespace.json(command, 4);
      assertEquals(error.kind, "foreign-state", command.join(" "));
      assertStringIncludes(error.message, "another pid namespace");
    }
    assert(isRunning(outside.pid));
    const inside = await namespace.json([...start, "--force", "--", ...fixture()]);
    assertEquals(inside.started, true);
    assert(isRunning(outside.pid), "what cannot be judged is not ended");
    assertEquals([inside.recovered.reason, inside.recovered.pids], ["elsewhere", []]);
    const told = describeRecovery("web", inside.recovered);
    assertStringIncludes(told, "state of another host or namespace");
    assertStringIncludes(told, "): its processes were left alone; removed ");
    await namespace.json(["stop", "web"]);
    Deno.kill(outside.pid, "SIGKILL");
  },
});

Deno.test("state of another host is refused with exit 4, and --force forgets it", async () => {
  await using sandbox = await Sandbox.create();
  const stranger = sandbox.bystander();
  const { dir } = await forgeNode(sandbox, "web", stranger, readProcess(stranger)!.start);
  const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
  Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, host_id: "another" }));
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
});

Deno.test("state of a pid namespace that has ended is swept, and the process that has its number here lives", async () => {
  await using sandbox = await Sandbox.create();
  const stranger = sandbox.bystander();
  const { dir } = await forgeNode(sandbox, "web", stranger, readProcess(stranger)!.start);
  const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
  Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, pid_namespace: "pid:[1]" }));
  const { nodes } = await sandbox.json(["stop", "web"]);
  assertEquals([nodes[0].stopped, nodes[0].pids], [false, []]);
  assertEquals(sandbox.runtimeFiles("web"), []);
  sandbox.assertBystanders();
});

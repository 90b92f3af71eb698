/** The back end through ps, forced on Linux: identity, liveness, groups and descendants without /proc. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parsePs } from "../lib/os/posix/ps.ts";
import { fixture, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

const ps = { TOMBSTONE_PLATFORM: "ps" };
const ignore = !installed("ps", "procps");

Deno.test("parsePs() reads the columns of Linux and macOS and passes over the rest", () => {
  const text = `
    1     0     1 Ss   Sun Nov  2 08:04:56 2026 /sbin/launchd
 4312  4300  4312 S+   Sun Nov 22 08:04:56 2026 my server
  977     1   977 Z    Mon Jan  5 23:59:59 2026 (sleep)
garbage
`;
  assertEquals(parsePs(text), [
    { pid: 1, ppid: 0, pgid: 1, sid: null, isAlive: true, isStopped: false, startTime: 1793606696, name: "launchd" },
    {
      pid: 4312,
      ppid: 4300,
      pgid: 4312,
      sid: null,
      isAlive: true,
      isStopped: false,
      startTime: 1795334696,
      name: "my server",
    },
    {
      pid: 977,
      ppid: 1,
      pgid: 977,
      sid: null,
      isAlive: false,
      isStopped: false,
      startTime: 1767657599,
      name: "(sleep)",
    },
  ]);
  assertEquals(new Date(1795334696 * 1000).toISOString(), "2026-11-22T08:04:56.000Z");
});

Deno.test({
  name: "ps back end: start, status, join, stop of a tree",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const wrapped = ["sh", "-c", `${fixture().join(" ")}; true`];
    const args = ["start", "web", "--port", String(port), "--", ...wrapped];
    const started = await sandbox.json(args, { env: ps });
    const status = await sandbox.json(["status", "web"], { env: ps });
    assertEquals([status.state, status.ready, status.pid], ["running", true, started.pid]);
    const info = JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`));
    assert(Math.abs(info.start_time - Date.now() / 1000) < 60, "seconds since 1970");
    assertEquals((await sandbox.json(args, { env: ps })).started, false);
    assertEquals(sandbox.serversOf("web").length, 2);
    await sandbox.json(["stop", "web"], { env: ps });
    assertEquals(sandbox.processes(), []);
  },
});

Deno.test({
  name: "ps back end: an interrupted start is recovered, a recycled pid is never signalled",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander();
    const port = String(freePort());
    const args = ["start", "web", "--port", port, "--", ...fixture()];
    await sandbox.spawn(args, { env: { ...ps, TOMBSTONE_FAILPOINT: "waiting" } }).output();
    const [orphan] = sandbox.serversOf("web");
    const started = await sandbox.json(args, { env: ps });
    assertEquals(started.recovered.pids, [orphan]);
    assertEquals(sandbox.serversOf("web"), [started.pid]);

    await sandbox.json(["stop", "web"], { env: ps });
    const again = await sandbox.json(args, { env: ps });
    const info = JSON.parse(Deno.readTextFileSync(`${again.dir}/node.info`));
    Deno.kill(again.pid, "SIGKILL");
    await until("it is gone", () => !isRunning(again.pid));
    // The stranger is younger than the record says.
    const forged = { ...info, pid: stranger, leader_pid: stranger, start_time: info.start_time - 100 };
    Deno.writeTextFileSync(`${again.dir}/node.info`, JSON.stringify(forged));
    assertEquals((await sandbox.json(["status", "web"], { env: ps, code: 1 })).state, "died");
    assertEquals((await sandbox.json(["stop", "web"], { env: ps })).nodes[0].stopped, false);
    sandbox.assertBystanders();
  },
});

Deno.test({
  name: "ps back end: says what it cannot do",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const ran = await sandbox.run(["start", "web", "--", ...fixture()], { env: ps });
    assertEquals(ran.code, 2);
    assertStringIncludes(ran.stderr, "does not tell which ports a process listens on");
    assertStringIncludes(ran.stderr, "--port N");
    const started = await sandbox.run(["start", "web", "--port", "0", "--verbose", "--", ...fixture()], { env: ps });
    assertStringIncludes(started.stderr, "cannot prove that the listener is the node's own");
  },
});

Deno.test({
  name: "ps back end: probes, a run, a signal to it, and a run whose server dies",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const flags = ["--port", "0", "--http", "/", "--log", "hello", "--exec", "true"];
    const serve = fixture("http", "say=hello").join(" ");
    const test =
      "fetch(process.env.TOMBSTONE_URL).then((r) => r.text()).then((t) => process.exit(/^pid \\d+/.test(t) ? 7 : 1))";
    const ran = await sandbox.run(["run", "web", "--serve", `exec ${serve}`, ...flags, "--", "node", "-e", test], {
      env: ps,
    });
    assertEquals(ran.code, 7, ran.stderr);
    assertEquals(sandbox.processes(), []);

    const child = sandbox.spawn(["run", "web", "--serve", serve, ...flags, "--", "sleep", "600"], { env: ps });
    await until("the test runs", () => sandbox.processes().some((pid) => readProcess(pid)?.name === "sleep"));
    child.kill("SIGTERM");
    assertEquals((await child.output()).code, 143);
    assertEquals(sandbox.processes(), []);

    const dying = ["run", "web", "--serve", `${serve} after=100 exit=9`, ...flags, "--fail-fast", "--", "sleep", "600"];
    const dead = await sandbox.run(dying, { env: ps });
    assertEquals(dead.code, 1, dead.stderr);
    assertStringIncludes(dead.stderr, "has died");
    assertEquals(sandbox.processes(), []);

    const socket = await sandbox.json(["start", "web", "--unix", "s", "--", ...fixture("unix=s")], { env: ps });
    Deno.kill(socket.pid, "SIGKILL");
    await until("it is gone", () => !isRunning(socket.pid));
    assertEquals(
      (await sandbox.json(["sweep", "web"], { env: ps })).nodes[0].recovered.files.includes(`${sandbox.project}/s`),
      true,
    );
    const { error } = await sandbox.json(["start", "web", "--notify", "--", "sleep", "600"], { env: ps, code: 1 });
    assertEquals(error.kind, "unsupported");
  },
});

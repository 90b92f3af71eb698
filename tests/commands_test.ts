/** stop, restart, status, list, logs, wait and sweep. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { accepts, fixture, freePort, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

Deno.test("stop ends a server that ignores TERM after the stop timeout, its tree and its port", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(
    ["start", "web", "--port", "0", "--stop-timeout", "300ms", "--", ...fixture("ignore-term", "child")],
  );
  const stopped = await sandbox.json(["stop", "web"]);
  assertEquals(stopped.nodes[0].stopped, true);
  assertEquals(sandbox.processes(), []);
  assertEquals(await accepts(started.port), false);
  assertEquals(sandbox.runtimeFiles("web"), []);
});

Deno.test("stop sends the stop signal to a shell's foreground child too", async () => {
  await using sandbox = await Sandbox.create();
  // The shell cannot run its trap before its child has ended (POSIX 2.11).
  const script = `trap 'echo trapped; exit 0' TERM; ${fixture().join(" ")}; echo unreachable`;
  await sandbox.json(["start", "web", "--port", "0", "--stop-timeout", "60s", "--", "bash", "-c", script]);
  const begun = performance.now();
  await sandbox.json(["stop", "web"]);
  assert(performance.now() - begun < 30_000);
  assertEquals((await sandbox.json(["logs", "web"])).lines.at(-1), "trapped");
});

Deno.test("stop ends a server that is stopped (SIGSTOP)", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "web", "--port", "0", "--stop-timeout", "60s", "--", ...fixture()]);
  Deno.kill(started.pid, "SIGSTOP");
  await sandbox.json(["stop", "web"]);
  assertEquals(isRunning(started.pid), false);
});

Deno.test("stop of what does not run is no error; two stops at once are none either", async () => {
  await using sandbox = await Sandbox.create();
  const never = await sandbox.run(["stop", "web"]);
  assertEquals([never.code, never.stdout], [0, '"web" is not running\n']);
  assertEquals(await sandbox.json(["stop", "--all"]), { nodes: [] });
  await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  const both = await Promise.all([sandbox.json(["stop", "web"]), sandbox.json(["stop", "web"])]);
  assertEquals(both.map((done) => done.nodes[0].stopped).toSorted(), [false, true]);
});

Deno.test("stop --all stops every node of the workspace; a failing stop command falls back to the signal", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "a", "--port", "0", "--stop-command", "exit 3", "--", ...fixture()]);
  await sandbox.json(["start", "b", "--no-probe", "--", "sleep", "600"]);
  const stopped = await sandbox.run(["stop", "--all"]);
  assertEquals(stopped.code, 0);
  assertMatch(stopped.stdout, /^stopped "a" \(pid \d+\)\nstopped "b" \(pid \d+\)\n$/);
  assertStringIncludes(stopped.stderr, 'the stop command of "a" exited with 3; sending SIGTERM instead');
  assertEquals(sandbox.processes(), []);
});

Deno.test("--exclude leaves processes of that name alone", async () => {
  await using sandbox = await Sandbox.create();
  Deno.copyFileSync("/bin/sleep", `${sandbox.project}/shared-daemon`);
  const script = `setsid ${sandbox.project}/shared-daemon 600 & exec ${fixture().join(" ")}`;
  const started = await sandbox.json([
    "start",
    "web",
    "--port",
    "0",
    "--exclude",
    "shared-daemon",
    "--",
    "sh",
    "-c",
    script,
  ]);
  const excluded = sandbox.serversOf("web").filter((pid) => pid !== started.pid);
  assertEquals(excluded.length, 1);
  await sandbox.json(["stop", "web"]);
  assertEquals(sandbox.serversOf("web"), excluded);
  // The node itself is not excluded, whatever its name.
  const sleeper = await sandbox.json(["start", "sleeper", "--no-probe", "--exclude", "sleep", "--", "sleep", "600"]);
  await sandbox.json(["stop", "sleeper"]);
  assertEquals(isRunning(sleeper.pid), false);
});

Deno.test("a node started from inside another one outlives it", async () => {
  await using sandbox = await Sandbox.create();
  const outer = await sandbox.json(["start", "outer", "--no-probe", "--", "sh", "-c", "sleep 600 & wait"]);
  const environ = Object.fromEntries(
    Deno.readTextFileSync(`/proc/${outer.pid}/environ`).split("\0").filter(Boolean).map((entry) =>
      entry.split(/=(.*)/s)
    ),
  );
  const inner = await sandbox.json(["start", "inner", "--port", "0", "--", ...fixture()], {
    env: { TOMBSTONE_ATTEMPT: environ.TOMBSTONE_ATTEMPT! },
  });
  await sandbox.json(["stop", "outer"]);
  assert(isRunning(inner.pid));
  await sandbox.json(["stop", "inner"]);
  assertEquals(sandbox.processes(), []);
});

Deno.test("restart uses the recorded command, and asks for variables whose values it does not know", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const first = await sandbox.json(
    ["start", "web", "--port", String(port), "--env", "TOKEN=secret", "--", ...fixture("say=recorded")],
  );
  const refused = await sandbox.json(["restart", "web"], { code: 2 });
  assertStringIncludes(refused.error.message, "--env TOKEN");
  assert(isRunning(first.pid), "nothing is lost");
  const second = await sandbox.json(["restart", "web", "--env", "TOKEN=other"]);
  assert(second.pid !== first.pid);
  assertEquals(second.port, port);
  assertEquals((await sandbox.json(["logs", "web"])).lines, ["recorded"]);
  assertStringIncludes(Deno.readTextFileSync(`/proc/${second.pid}/environ`), "TOKEN=other");
  Deno.kill(second.pid, "SIGKILL");
  await until("it is gone", () => !isRunning(second.pid));
  assertEquals((await sandbox.json(["restart", "web"], { env: { TOKEN: "third" } })).recovered.reason, "died");
  await sandbox.assertOneServer("web");
  assertEquals((await sandbox.json(["restart", "nobody"], { code: 3 })).error.kind, "nothing-there");
});

costly("a restart killed half-way is made good by the next restart", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  for (const point of ["tombstone-written", "recovered", "spawned", "committed"]) {
    await sandbox.spawn(["restart", "web"], { env: { TOMBSTONE_FAILPOINT: point } }).output();
    await sandbox.json(["restart", "web"]);
    await sandbox.assertOneServer("web");
  }
});

Deno.test("status and list: exit codes, table and JSON", async () => {
  await using sandbox = await Sandbox.create();
  assertEquals((await sandbox.run(["status"])).code, 3);
  assertEquals((await sandbox.run(["list"])).stdout, "no nodes\n");
  assertEquals((await sandbox.run(["status", "web"])).stdout, "web: stopped\n");
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  assertMatch(
    (await sandbox.run(["status", "web"])).stdout,
    new RegExp(`^web: running, pid ${started.pid}, 127.0.0.1:${started.port}, up \\d+s, log 0 B\n$`),
  );
  const dead = await sandbox.json(["start", "dead", "--no-probe", "--", "sleep", "600"]);
  Deno.kill(dead.pid, "SIGKILL");
  await until("it is gone", () => !isRunning(dead.pid));
  const table = await sandbox.run(["status"]);
  assertEquals(table.code, 1);
  const lines = table.stdout.trimEnd().split("\n");
  assertMatch(lines[0]!, /^NODE +STATE +PID +ADDRESS +UPTIME +LOG$/);
  assertMatch(lines[1]!, new RegExp(`^dead +died +- +- +- +0 B +pid ${dead.pid} is gone$`));
  assertMatch(lines[2]!, new RegExp(`^web +running +${started.pid} +127.0.0.1:${started.port} +\\d+s +0 B$`));
  const list = await sandbox.json(["list"]);
  assertEquals(list.nodes.map(({ node, state }: { node: string; state: string }) => [node, state]), [
    ["dead", "died"],
    ["web", "running"],
  ]);
  assertMatch((await sandbox.run(["list"])).stdout, /^WORKSPACE +NODE +STATE/);
  assertEquals((await sandbox.run(["status", "web", "--quiet"])).stdout, "");
});

Deno.test("status says starting while a start is at work, and wait returns when it is done", async () => {
  await using sandbox = await Sandbox.create();
  const gate = `${sandbox.project}/go`;
  const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${fixture().join(" ")}`;
  const starter = sandbox.spawn(["start", "web", "--port", "0", "--", "sh", "-c", script]);
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  const during = await sandbox.json(["status", "web"], { code: 3 });
  assertEquals(during.state, "starting");
  assertStringIncludes(during.reason, `pid ${starter.pid}`);
  const locked = await sandbox.json(["stop", "web", "--lock-timeout", "150ms"], { code: 6 });
  assertStringIncludes(locked.error.message, `pid ${starter.pid} (`);
  assertStringIncludes(locked.error.message, "start web --port 0");
  const early = await sandbox.json(["wait", "web", "--timeout", "100ms"], { code: 124 });
  assertStringIncludes(early.error.message, "it is starting");
  const waiting = sandbox.json(["wait", "web"]);
  Deno.writeTextFileSync(gate, "");
  const [ready] = await Promise.all([waiting, starter.output()]);
  assertEquals(ready.state, "running");
  await sandbox.assertOneServer("web");
});

Deno.test("wait does not wait for what nobody will bring up", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--no-probe", "--alive-for", "30s", "--", ...fixture("exit=1")], { code: 1 });
  const failed = await sandbox.json(["wait", "web"], { code: 1 });
  assertEquals([failed.error.kind, failed.error.state], ["server-exited", "failed"]);
  assertStringIncludes(failed.error.message, "it has failed");
  assertStringIncludes(failed.error.message, "exited with code 1");
});

Deno.test("logs: the last 200 lines, all lines, the last N, the previous start's, --follow", async () => {
  await using sandbox = await Sandbox.create();
  assertEquals((await sandbox.run(["logs", "web"])).code, 3);
  const script = "for i in $(seq 1 2000); do echo line $i; done; exec sleep 600";
  await sandbox.json(["start", "web", "--no-probe", "--", "sh", "-c", script]);
  const plain = await sandbox.run(["logs", "web"]);
  assertEquals(plain.stdout.split("\n")[0], "line 1801");
  assertEquals(plain.stderr, '"web": 1800 earlier lines left out; tombstone logs web -n all shows them\n');
  const all = await sandbox.run(["logs", "web", "-n", "all"]);
  assertEquals([all.stdout.split("\n").length, all.stderr], [2001, ""]);
  assertEquals((await sandbox.run(["logs", "web", "-n", "2"])).stdout, "line 1999\nline 2000\n");
  assertEquals((await sandbox.run(["logs", "web", "-n", "0"])).stdout, "");
  assertEquals((await sandbox.json(["logs", "web", "--lines", "1"])).lines, ["line 2000"]);

  const follower = sandbox.spawn(["logs", "web", "-f", "-n", "1"]);
  let seen = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const bytes of follower.stdout) seen += decoder.decode(bytes);
  })();
  await until("the last line is shown", () => seen.includes("line 2000\n"));
  Deno.writeTextFileSync(`${sandbox.nodeDir("web")}/server.log`, "appended\n", { append: true });
  await until("the new line is shown", () => seen.includes("appended\n"));
  await sandbox.json([
    "start",
    "web",
    "--replace",
    "--no-probe",
    "--",
    "sh",
    "-c",
    "echo second start; exec sleep 600",
  ]);
  await until("the new log is followed", () => seen.includes("second start\n"));
  assertEquals(seen, "line 2000\nappended\nsecond start\n");
  follower.kill("SIGINT");
  await reading;
  await follower.status;
  await follower.stderr.cancel();
  assertEquals((await sandbox.run(["logs", "web", "--previous", "-n", "1"])).stdout, "appended\n");
});

Deno.test("sweep --all passes over what runs and what is being started", async () => {
  await using sandbox = await Sandbox.create();
  const gate = `${sandbox.project}/go`;
  await sandbox.json(["start", "lives", "--port", "0", "--", ...fixture()]);
  const dead = await sandbox.json(["start", "dead", "--no-probe", "--", "sleep", "600"]);
  Deno.kill(dead.pid, "SIGKILL");
  await until("it is gone", () => !isRunning(dead.pid));
  const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${fixture().join(" ")}`;
  const starter = sandbox.spawn(["start", "slow", "--port", "0", "--", "sh", "-c", script]);
  await until("the server runs", () => sandbox.serversOf("slow").length > 0);
  const swept = await sandbox.json(["sweep", "--all"]);
  assertEquals(swept.nodes.map(({ node, action }: { node: string; action: string }) => [node, action]), [
    ["dead", "swept"],
    ["lives", "running"],
    ["slow", "locked"],
  ]);
  Deno.writeTextFileSync(gate, "");
  assertEquals((await starter.output()).code, 0);
  await sandbox.assertOneServer("lives");
  await sandbox.assertOneServer("slow");
});

Deno.test("stop reports who keeps the port when that is not provably the node's", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  await sandbox.json(["start", "web", "--port", String(port), "--no-probe", "--", "sleep", "600"]);
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const { error } = await sandbox.json(["stop", "web"], { code: 1 });
  assertEquals(error.kind, "stop-failed");
  assertEquals(error.owner_pid, Deno.pid);
  listener.close();
  assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");
});

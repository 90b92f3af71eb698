import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { accepts, COMMAND, fixture, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

Deno.test("start returns when the server is ready, and status names it", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const started = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture("delay=100")]);
  assertEquals(started.state, "running");
  assertEquals(started.started, true);
  assertEquals(started.ready, true);
  assertEquals(started.port, port);
  assertEquals(started.host, "127.0.0.1");
  assertEquals(started.recovered, null);
  assert(started.ready_ms >= 100);
  const status = await sandbox.assertOneServer("web");
  assertEquals(status.pid, started.pid);
  assertEquals(status.attempt, started.attempt);
  assertEquals(readProcess(started.pid)!.sid, started.pid);
  assertEquals(Deno.readTextFileSync(`${started.dir}/port`), `${port}\n`);
});

Deno.test("start tells people one line on stdout and nothing on stderr", async () => {
  await using sandbox = await Sandbox.create();
  const ran = await sandbox.run(["start", "web", "--port", "0", "--", ...fixture()]);
  assertMatch(ran.stdout, /^started "web" \(pid \d+\) on 127\.0\.0\.1:\d+ in \d+ ms\n$/);
  assertEquals(ran.stderr, "");
  const again = await sandbox.run(["start", "web", "--port", "0", "--", ...fixture()]);
  assertMatch(again.stdout, /^"web" is already running \(pid \d+\) on 127\.0\.0\.1:\d+\n$/);
  assertEquals(again.code, 0);
});

Deno.test("node.info holds what the format promises, and no value of the environment", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(
    ["start", "web", "--port", "0", "--env", "SECRET=hunter2-value", "--", ...fixture()],
  );
  const text = Deno.readTextFileSync(`${started.dir}/node.info`);
  const info = JSON.parse(text);
  assertEquals(info.schema, 1);
  assertEquals(info.node_name, "web");
  assertEquals(info.pid, started.pid);
  assertEquals(info.start_time, readProcess(started.pid)!.start);
  assertEquals(info.port, started.port);
  assertEquals(info.bind_addr, "127.0.0.1");
  assertEquals(info.boot_id, Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim());
  assertEquals(info.pid_namespace, Deno.readLinkSync("/proc/self/ns/pid"));
  assertEquals(info.workspace, started.workspace);
  assertEquals(info.stop, { signal: "SIGTERM", timeout_ms: 10000, command: null });
  assert(!text.includes("hunter2-value"));
  assertStringIncludes(Deno.readTextFileSync(`/proc/${started.pid}/environ`), "SECRET=hunter2-value");
  assertEquals(Deno.statSync(started.dir).mode! & 0o777, 0o700);
  assertEquals(Deno.statSync(`${started.dir}/node.info`).mode! & 0o777, 0o600);
  assertEquals(Deno.statSync(started.log).mode! & 0o777, 0o600);
});

Deno.test("the server gets its node's names, its port and /dev/null, and none of the caller's descriptors", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const args = ["start", "job", "--no-probe", "--port", String(port), "--json", "--", "sleep", "600"];
  // A pipe on descriptors 3, 9 and 12: if the server kept one, reading it to its end would never return.
  const shell = new Deno.Command("bash", {
    args: ["-c", 'out=$("$@" 3>&1 9>&1 12>&1) && echo "$out"', "bash", ...COMMAND, ...args],
    cwd: sandbox.project,
    env: sandbox.env(),
    stdout: "piped",
  });
  const output = await shell.output();
  const started = JSON.parse(new TextDecoder().decode(output.stdout));
  const environ = Deno.readTextFileSync(`/proc/${started.pid}/environ`).split("\0");
  assert(environ.includes(`PORT=${port}`));
  assert(environ.includes("TOMBSTONE_NODE=job"));
  assert(environ.includes(`TOMBSTONE_WORKSPACE=${started.workspace}`));
  assert(environ.includes(`TOMBSTONE_ATTEMPT=${started.attempt}`));
  const descriptors = [...Deno.readDirSync(`/proc/${started.pid}/fd`)].map(({ name }) => name).sort()
    .map((fd) => [fd, Deno.readLinkSync(`/proc/${started.pid}/fd/${fd}`)]);
  assertEquals(descriptors, [["0", "/dev/null"], ["1", started.log], ["2", started.log], ["9", started.log]]);
});

Deno.test("--port 0 chooses a port below the ephemeral range and passes it as $PORT and {port}", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("port={port}")]);
  assert(started.port >= 10_000 && started.port < 32_768, String(started.port));
  assert(await accepts(started.port));
  assertStringIncludes(Deno.readTextFileSync(`/proc/${started.pid}/environ`), `PORT=${started.port}`);
  const restarted = await sandbox.json(["restart", "web"]);
  assertEquals(restarted.port, started.port);
  assert(restarted.pid !== started.pid);
});

Deno.test("without a probe, the port that the node's own tree listens on is discovered", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const direct = await sandbox.json(["start", "direct", "--", ...fixture(`port=${port}`)]);
  assertEquals(direct.port, port);
  // Behind a shell that stays the main process, so the listener is a child's.
  const other = freePort();
  const wrapped = await sandbox.json(
    ["start", "wrapped", "--", "sh", "-c", `${fixture(`port=${other}`).join(" ")}; true`],
  );
  assertEquals(wrapped.port, other);
  assertEquals(readProcess(wrapped.pid)!.name, "sh");
});

costly("--port-file gives port and nonce, and an old file does not make a start ready", async () => {
  await using sandbox = await Sandbox.create();
  const file = `${sandbox.project}/server.port`;
  const stranger = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  Deno.writeTextFileSync(file, `${(stranger.addr as Deno.NetAddr).port}\nold\n`);
  const started = await sandbox.json(
    ["start", "web", "--port-file", file, "--", ...fixture("delay=100", `port-file=${file}`, "nonce=abc123")],
  );
  assert(started.port !== (stranger.addr as Deno.NetAddr).port);
  stranger.close();
  assertEquals(JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`)).nonce, "abc123");
  assertEquals(Deno.readTextFileSync(`${started.dir}/port`), `${started.port}\nabc123\n`);
  await sandbox.assertOneServer("web");

  Deno.writeTextFileSync(file, `${started.port}\nother\n`);
  const status = await sandbox.json(["status", "web"], { code: 1 });
  assertEquals(status.state, "stale");
  assertStringIncludes(status.reason, "nonce");
  Deno.writeTextFileSync(file, `${started.port}\nabc123\n`);
  await sandbox.json(["stop", "web"]);
  assertEquals([...Deno.readDirSync(sandbox.project)], []);
});

Deno.test("--no-probe is ready when the process has survived --alive-for", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "job", "--no-probe", "--alive-for", "300ms", "--", "sleep", "600"]);
  assert(started.ready_ms >= 300);
  assertEquals(started.port, null);
  const failed = await sandbox.run(["start", "short", "--no-probe", "--alive-for", "30s", "--", ...fixture("exit=4")]);
  assertEquals(failed.code, 1);
  assertStringIncludes(failed.stderr, "exited with code 4");
});

Deno.test("a server that exits at once is reported with its code and its last 20 lines", async () => {
  await using sandbox = await Sandbox.create();
  const script = "for i in $(seq 1 30); do echo line $i; done; echo to stderr >&2; exit 7";
  const failed = await sandbox.run(["start", "web", "--port", String(freePort()), "--", "sh", "-c", script]);
  assertEquals(failed.code, 1);
  assertMatch(failed.stderr, /^Cannot start "web": the server exited with code 7 after \d+ ms\n/);
  assertStringIncludes(failed.stderr, "  | line 12\n");
  assertStringIncludes(failed.stderr, "  | to stderr\n");
  assert(!failed.stderr.includes("line 11\n"));
  assertMatch(failed.stderr, /\nhint: tombstone logs web\n$/);
  const error =
    (await sandbox.json(["start", "web", "--no-probe", "--alive-for", "30s", "--", "sh", "-c", script], { code: 1 }))
      .error;
  assertEquals(error.kind, "server-exited");
  assertEquals(error.exit_status, 7);
  assertEquals(error.log_tail.length, 20);
  const status = await sandbox.json(["status", "web"], { code: 1 });
  assertEquals(status.state, "failed");
  assertStringIncludes(status.reason, "exited with code 7");
  assertEquals(sandbox.processes(), []);
  assertEquals(sandbox.runtimeFiles("web"), ["starting"]);
});

Deno.test("a server that dies by a signal during the start is reported with the signal, long before the deadline", async () => {
  await using sandbox = await Sandbox.create();
  const error = (await sandbox.json(
    ["start", "web", "--port", String(freePort()), "--", "sh", "-c", "sleep 0.05; kill -SEGV $$"],
    { code: 1 },
  )).error;
  assertEquals(error.exit_signal, "SIGSEGV");
  assert(error.after_ms < 30_000);
});

Deno.test("a start that is not ready in time exits 124 and leaves nothing running", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const ran = await sandbox.run(
    ["start", "web", "--port", String(port), "--timeout", "300ms", "--", ...fixture("delay=60000", "child")],
  );
  assertEquals(ran.code, 124);
  assertStringIncludes(ran.stderr, `nothing accepts connections on port ${port}`);
  assertEquals(sandbox.processes(), []);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "failed");
  // A failed start is no obstacle, and nothing that needs to be recovered from.
  const started = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()]);
  assertEquals(started.recovered, null);
  await sandbox.assertOneServer("web");
});

Deno.test("a running node is reported, another command is named, --replace replaces it", async () => {
  await using sandbox = await Sandbox.create();
  const first = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("say=one")]);
  const again = await sandbox.run(["start", "web", "--port", "0", "--", ...fixture("say=two")]);
  assertEquals(again.code, 1);
  assertStringIncludes(
    again.stderr,
    `Cannot start "web": it already runs, pid ${first.pid}, with another command (perl `,
  );
  assertStringIncludes(again.stderr, "--replace");
  const second = await sandbox.json(["start", "web", "--port", "0", "--replace", "--", ...fixture("say=two")]);
  assertEquals(second.started, true);
  assert(second.pid !== first.pid);
  assertEquals(isRunning(first.pid), false);
  await sandbox.assertOneServer("web");
});

Deno.test("a running node whose probes fail is waited for, then named with --replace", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const started = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()]);
  Deno.kill(started.pid, "SIGSTOP");
  // A stopped process still has its listener, but one that moved away does not: forge the recorded port.
  const path = `${started.dir}/node.info`;
  const info = JSON.parse(Deno.readTextFileSync(path));
  Deno.writeTextFileSync(path, JSON.stringify({ ...info, probes: [{ ...info.probes[0], port: freePort() }] }));
  assertEquals((await sandbox.json(["status", "web"])).ready, false);
  const ran = await sandbox.run(["start", "web", "--port", String(port), "--timeout", "200ms", "--", ...fixture()]);
  assertEquals(ran.code, 124);
  assertStringIncludes(ran.stderr, "--replace");
  assert(isRunning(started.pid));
  const replaced = await sandbox.json(["start", "web", "--port", String(port), "--replace", "--", ...fixture()]);
  assert(replaced.pid !== started.pid);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`${signal} to the starter ends the server too and exits ${code}`, async () => {
    await using sandbox = await Sandbox.create();
    const child = sandbox.spawn([
      "start",
      "web",
      "--port",
      String(freePort()),
      "--",
      ...fixture("delay=60000", "child"),
    ]);
    await until("server and child run", () => sandbox.serversOf("web").length >= 2);
    child.kill(signal);
    const ended = await child.output();
    assertEquals(ended.code, code);
    assertEquals(sandbox.processes(), []);
    const hint = /^hint: tombstone (\w+) (\w+); /m.exec(new TextDecoder().decode(ended.stderr))!.slice(1);
    assertEquals(hint, ["status", "web"]);
    const status = await sandbox.json(hint, { code: 1 });
    assertEquals(status.state, "failed");
    assertStringIncludes(status.reason, signal);
  });
}

Deno.test("--pid-file follows a server that daemonises itself", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const pidFile = `${sandbox.project}/server.pid`;
  const started = await sandbox.json(
    ["start", "web", "--port", String(port), "--pid-file", pidFile, "--", ...fixture(`daemon=${pidFile}`, "delay=50")],
  );
  assertEquals(started.pid, Number(Deno.readTextFileSync(pidFile)));
  assertEquals(Deno.readTextFileSync(`${started.dir}/pid`), `${started.pid}\n`);
  await sandbox.json(["stop", "web"]);
  assertEquals(isRunning(started.pid), false);
  assertEquals([...Deno.readDirSync(sandbox.project)], []);

  // Without it, what the daemon has inherited tells whose it is.
  const adopted = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture(`daemon=${pidFile}`)]);
  assertEquals(adopted.pid, Number(Deno.readTextFileSync(pidFile)));
  await sandbox.json(["stop", "web"]);
  assertEquals(isRunning(adopted.pid), false);
});

Deno.test("--clear-env keeps PATH, HOME, LANG, LC_*, TERM and TMPDIR", async () => {
  await using sandbox = await Sandbox.create();
  const env = { GONE: "1", LC_TIME: "C", TMPDIR: "/tmp", TERM: "dumb", LANG: "C", HOME: sandbox.root };
  const started = await sandbox.json(
    ["start", "web", "--no-probe", "--clear-env", "--env", "KEPT=1", "--", "sleep", "600"],
    { env },
  );
  const names = Deno.readTextFileSync(`/proc/${started.pid}/environ`).split("\0").map((entry) => entry.split("=")[0]);
  for (const name of ["PATH", "HOME", "LANG", "LC_TIME", "TERM", "TMPDIR", "KEPT", "TOMBSTONE_NODE"]) {
    assert(names.includes(name), name);
  }
  assert(!names.includes("GONE"));
  await sandbox.json(["stop", "web"]);
});

Deno.test("--cwd, --env and --sweep-file reach the server; swept files are gone after stop", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/app`);
  const pidFile = `${sandbox.project}/app/server.pid`;
  Deno.writeTextFileSync(pidFile, "99999\n");
  const script = "test ! -e server.pid || exit 9; pwd; echo $GREETING; echo $$ > server.pid; exec sleep 600";
  const args = ["--cwd", "app", "--env", "GREETING=hello=world", "--sweep-file", "app/server.pid", "--no-probe"];
  const started = await sandbox.json(["start", "web", ...args, "--", "sh", "-c", script]);
  const { lines } = await sandbox.json(["logs", "web"]);
  assertEquals(lines, [`${sandbox.project}/app`, "hello=world"]);
  assertEquals(Deno.readTextFileSync(pidFile), `${started.pid}\n`);
  await sandbox.json(["stop", "web"]);
  assertEquals([...Deno.readDirSync(`${sandbox.project}/app`)], []);
});

/** `tombstone run`: a server for the time of one test command. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists, fixture, freePort, isRunning, Sandbox, until, untilCheckedAgain } from "./support/sandbox.ts";
import { installed, isInstalled } from "./support/servers.ts";
import { costly } from "./support/tier.ts";

const SERVE = fixture().join(" ");
const run = (
  test: string,
  ...flags: string[]
) => ["run", "web", "--serve", SERVE, "--port", "0", ...flags, "--", "sh", "-c", test];

Deno.test("run starts, tests with the port, stops, and passes the exit code through", async () => {
  await using sandbox = await Sandbox.create();
  const connect =
    'const s = require("net").connect(process.env.PORT).on("data", (d) => { console.log(String(d)); process.exit(7) })';
  const ran = await sandbox.run([
    ...run("", "--serve", SERVE).slice(0, 6),
    "--show-log",
    "never",
    "--",
    "node",
    "-e",
    connect,
  ]);
  assertEquals(ran.code, 7, ran.stderr);
  assertMatch(ran.stdout, /^pid \d+\n\n$/);
  assertMatch(ran.stderr, /^started "web" \(pid \d+\) on 127\.0\.0\.1:\d+ in \d+ ms\nstopped "web"\n$/);
  assertEquals(sandbox.processes(), []);
  assertEquals(sandbox.runtimeFiles("web"), []);
  const filled = await sandbox.run(
    run('test {port} = "$PORT" && test "$TOMBSTONE_URL" = 127.0.0.1:{port}', "--quiet"),
  );
  assertEquals(filled, { code: 0, stdout: "", stderr: "" });
});

Deno.test("run joins a node that already runs, and does not stop it", async () => {
  await using sandbox = await Sandbox.create();
  const { pid } = await sandbox.json(["start", "web", "--port", "0", "--", "sh", "-c", SERVE]);
  const ran = await sandbox.run(run("exit 3"));
  assertEquals(ran.code, 3);
  assertStringIncludes(ran.stderr, `"web" is already running (pid ${pid})`);
  assertEquals((await sandbox.assertOneServer("web")).pid, pid);
});

Deno.test("run passes the terminal's input on, and the signal that a test dies of", async () => {
  await using sandbox = await Sandbox.create();
  const piped = `echo hello | ${sandbox.commandLine(run("cat", "--quiet"))}`;
  assertEquals((await sandbox.shell(piped)).stdout, "hello\n");
  assertEquals((await sandbox.run(run("kill -9 $$"))).code, 137);
});

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]] as const) {
  Deno.test(`${signal} to run reaches the test first; then everything is stopped`, async () => {
    await using sandbox = await Sandbox.create();
    const name = signal.slice(3);
    const server = `trap 'echo server >>order; exit 0' TERM; ${SERVE} & while :; do wait; done`;
    const test = `trap 'echo test >>order; exit 0' ${name}; touch ready; while :; do sleep 0.02; done`;
    const child = sandbox.spawn(["run", "web", "--serve", server, "--port", "0", "--", "sh", "-c", test]);
    await until("the test runs", () => exists(`${sandbox.project}/ready`));
    child.kill(signal);
    assertEquals((await child.output()).code, code);
    assertEquals(Deno.readTextFileSync(`${sandbox.project}/order`), "test\nserver\n");
    assertEquals(sandbox.processes(), []);
    assertEquals(sandbox.runtimeFiles("web"), []);
  });
}

Deno.test("a signal at any moment of a run leaves nothing: while it starts, as its test begins, while it stops", async () => {
  await using sandbox = await Sandbox.create();
  const slow =
    `trap 'touch stopping; until test -e leave; do sleep 0.02; done; exit 0' TERM; ${SERVE} & while :; do wait; done`;
  const started = () => exists(sandbox.state) && sandbox.serversOf("web").length > 0;
  const moments: [string, () => boolean][] = [
    ["it starts", started],
    // The first sign of the test command is its process, before it has run anything.
    ["the test begins", () => sandbox.processes().some(isTest)],
    ["it stops", () => exists(`${sandbox.project}/stopping`)],
  ];
  for (const [moment, condition] of moments) {
    for (const name of ["stopping", "leave"]) {
      if (exists(`${sandbox.project}/${name}`)) Deno.removeSync(`${sandbox.project}/${name}`);
    }
    const test = moment === "it stops" ? "true" : "sleep 600";
    const child = sandbox.spawn(["run", "web", "--serve", slow, "--port", "0", "--", "sh", "-c", `: mark; ${test}`]);
    await until(moment, condition);
    child.kill("SIGTERM");
    Deno.writeTextFileSync(`${sandbox.project}/leave`, "");
    assertEquals((await child.output()).code, 143, moment);
    assertEquals(sandbox.processes(), [], moment);
    const status = await sandbox.json(["status", "web"], { code: moment === "it starts" ? 1 : 3 });
    assertEquals(status.state, moment === "it starts" ? "failed" : "stopped");
    await sandbox.run(["sweep", "web"]);
  }
});

/** Whether this is the test command, as soon as it has become that. */
function isTest(pid: number): boolean {
  try {
    return /^[^\0]*sh\0-c\0: mark/.test(Deno.readTextFileSync(`/proc/${pid}/cmdline`));
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return false; // it has ended meanwhile
    throw error;
  }
}

costly(
  "a test that ignores the signal is killed with all it started, after the stop timeout or the second signal",
  async () => {
    await using sandbox = await Sandbox.create();
    const test = "trap 'touch asked' TERM; setsid sleep 600 & touch ready; while :; do sleep 0.02; done";
    for (const [timeout, signals] of [["300ms", 1], ["60s", 2]] as const) {
      const child = sandbox.spawn(run(test, "--stop-timeout", timeout));
      const ready = `${sandbox.project}/ready`;
      await until("the test runs", () => exists(ready));
      Deno.removeSync(ready);
      const asked = `${sandbox.project}/asked`;
      if (exists(asked)) Deno.removeSync(asked);
      const begun = performance.now();
      child.kill("SIGTERM");
      if (signals === 2) {
        // One that comes within half a second would be ignored as an echo of the first.
        await until("the first has come", () => exists(asked) && performance.now() - begun > 600);
        child.kill("SIGTERM");
      }
      assertEquals((await child.output()).code, 143);
      assert(performance.now() - begun < 30_000);
      assertEquals(sandbox.processes(), []);
    }
  },
);

Deno.test("a signal repeated at once is ignored: npm passes on the Ctrl-C that both have got", async () => {
  await using sandbox = await Sandbox.create();
  const end = "touch asked; while [ ! -e go ]; do sleep 0.02; done; touch ended; exit 7";
  const test = `trap '${end}' TERM; touch ready; while :; do sleep 0.02; done`;
  const there = (file: string) => exists(`${sandbox.project}/${file}`);
  for (let tries = 1;; tries++) {
    const child = sandbox.spawn(run(test));
    await until("the test runs", () => there("ready"));
    child.kill("SIGTERM");
    const begun = performance.now();
    await until("the first has come", () => there("asked"));
    child.kill("SIGTERM");
    const wasAtOnce = performance.now() - begun < 250; // if the machine was busy for longer, nothing is asserted
    await untilCheckedAgain(child);
    Deno.writeTextFileSync(`${sandbox.project}/go`, "");
    assertEquals((await child.output()).code, 143);
    if (wasAtOnce) return assert(there("ended"), "it could end by itself");
    assert(tries < 20, "this machine is too busy");
    for (const file of ["ready", "asked", "ended", "go"]) {
      if (there(file)) Deno.removeSync(`${sandbox.project}/${file}`);
    }
  }
});

Deno.test({
  name: "Ctrl-C at a terminal reaches the test once, and the terminal is the test's",
  ignore: !installed("script", "bsdutils"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const test =
      "test -t 0 && echo tty; trap 'echo got >>signals' INT; touch ready; while ! test -e end; do sleep 0.02; done";
    const terminal = new Deno.Command("script", {
      args: ["-q", "-e", "-c", sandbox.commandLine(run(test)), `${sandbox.root}/typescript`],
      cwd: sandbox.project,
      env: sandbox.env(),
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    await until("the test runs", () => exists(`${sandbox.project}/ready`));
    const keys = terminal.stdin.getWriter();
    await keys.write(new Uint8Array([3]));
    await until("the signal has come", () => exists(`${sandbox.project}/signals`));
    Deno.writeTextFileSync(`${sandbox.project}/end`, "");
    const { code, stdout } = await terminal.output();
    await keys.close();
    assertEquals(code, 130);
    assertStringIncludes(new TextDecoder().decode(stdout), "tty");
    assertEquals(Deno.readTextFileSync(`${sandbox.project}/signals`), "got\n");
    assertEquals(sandbox.processes(), []);
  },
});

Deno.test("a server that dies while the test runs is told at once with its last lines; the test decides", async () => {
  await using sandbox = await Sandbox.create();
  const serve = `${SERVE} say=last-words until=over exit=9`;
  const flags = ["--serve", serve, "--port", "0"];
  const child = sandbox.spawn([
    "run",
    "web",
    ...flags,
    "--",
    "sh",
    "-c",
    "touch over; while ! test -e end; do sleep 0.02; done; exit 5",
  ]);
  let told = "";
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  await until("it is told", async () => {
    told += (await reader.read()).value ?? "";
    return told.includes("hint:");
  });
  assertMatch(
    told,
    /Cannot keep "web" for the test: its server, pid \d+, has died\nthe last lines of its log:\n {2}\| last-words\n/,
  );
  Deno.writeTextFileSync(`${sandbox.project}/end`, "");
  assertEquals((await child.status).code, 5);
  await Promise.all([reader.cancel(), child.stdout.cancel()]);
  assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");

  Deno.removeSync(`${sandbox.project}/over`);
  const fast = await sandbox.run([
    "run",
    "web",
    ...flags,
    "--fail-fast",
    "--",
    "sh",
    "-c",
    "setsid sleep 600 & touch over; sleep 601",
  ]);
  assertEquals(fast.code, 1);
  assertStringIncludes(fast.stderr, "has died");
  assertEquals(sandbox.processes(), []);
});

for (const next of ["start", "run", "sweep", "stop", "restart"]) {
  Deno.test(`a run that is killed: the next ${next} ends its server and what is left of its test`, async () => {
    await using sandbox = await Sandbox.create();
    const bystander = sandbox.bystander();
    const child = sandbox.spawn(run("setsid sleep 600 & touch ready; sleep 601"));
    await until("the test runs", () => exists(`${sandbox.project}/ready`));
    child.kill("SIGKILL");
    await child.status; // its output does not end, since the test has inherited it
    await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
    const { pid } = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/node.info`));
    const left = sandbox.processes();
    assert(left.includes(pid) && left.length >= 3, JSON.stringify(left));
    const start = ["start", "web", "--port", "0", "--", ...fixture()];
    const args = next === "start" ? start : next === "run" ? run("true") : [next, "web"];
    const done = await sandbox.json(args);
    const recovered = done.nodes === undefined ? done.recovered : done.nodes[0].recovered;
    assertEquals([recovered.reason, recovered.progress], ["interrupted-run", "committed"]);
    for (const pid of left) assert(recovered.pids.includes(pid) || !isRunning(pid), String(pid));
    assertEquals(left.filter(isRunning), []);
    if (next === "start" || next === "restart") await sandbox.assertOneServer("web");
    else assertEquals([sandbox.processes(), sandbox.runtimeFiles("web")], [[], []]);
    assert(isRunning(bystander));
  });
}

Deno.test("a run inside another run's test, killed though it has run a step: the outer one ends what is left of its test", async () => {
  await using sandbox = await Sandbox.create();
  const nodes = { web: { command: fixture(), port: 0 }, migrate: { command: "true", once: true, after: ["web"] } };
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
  const left = "setsid sleep 600 >/dev/null 2>&1 & kill -9 $PPID; sleep 601";
  const inner = sandbox.commandLine(["run", "--", "sh", "-c", left]);
  const ran = await sandbox.run(["run", "web", "--", "sh", "-c", `${inner}; echo the inner one ended with $? >&2`]);
  assertStringIncludes(ran.stderr, 'ran "migrate"');
  assertStringIncludes(ran.stderr, "the inner one ended with 137");
  assertMatch(ran.stderr, /ended what the test left behind: pid \d+/);
  assertEquals(sandbox.processes(), []);
});

costly("a run that is killed at any step of its start is followed by one that succeeds", async () => {
  await using sandbox = await Sandbox.create();
  for (
    const step of ["tombstone-written", "spawned", "waiting", "port-written", "committed", "tombstone-removed", "ended"]
  ) {
    const killed = await sandbox.run(run("true"), { env: { TOMBSTONE_FAILPOINT: step } });
    assertEquals(killed.code, 137, step);
    const ran = await sandbox.run(run("exit 4"));
    assertEquals(ran.code, 4, `${step}: ${ran.stderr}`);
    assertEquals([sandbox.processes(), sandbox.runtimeFiles("web")], [[], []], step);
  }
});

Deno.test("a run whose server cannot be started does not test", async () => {
  await using sandbox = await Sandbox.create();
  const test = ["--", "touch", "tested"];
  const dead = await sandbox.json(["run", "--serve", "echo oh no; exit 3", "--port", "0", ...test], { code: 1 });
  assertStringIncludes(dead.error.message, "the server exited with code 3");
  assertEquals(dead.error.log_tail, ["oh no"]);
  await sandbox.json(["run", "--serve", "sleep 600", "--port", "0", "--timeout", "200ms", ...test], { code: 124 });
  const port = freePort();
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  await sandbox.json(["run", "--serve", SERVE, "--port", String(port), ...test], { code: 5 });
  listener.close();
  assert(!exists(`${sandbox.project}/tested`));
  const missing = await sandbox.json(["run", "--serve", "touch served", "--no-probe", "--", "no-such-test"], {
    code: 127,
  });
  assertStringIncludes(missing.error.message, 'Cannot find "no-such-test"');
  assert(!exists(`${sandbox.project}/served`));
  for (const args of [["run", "--", "true"], ["run", "--serve", "x"], ["run", "--serve", "x", "--"]]) {
    await sandbox.json(args, { code: 2 });
  }
  assertEquals(sandbox.processes(), []);
});

costly("a node that the test restarts is still the run's; one that somebody starts anew is not", async () => {
  await using sandbox = await Sandbox.create();
  // Neither a restart nor a stop by the test is a death of the server.
  for (const command of [["restart", "web"], ["stop", "web"]]) {
    const wait = "touch done; until test -e leave; do sleep 0.02; done";
    const own = sandbox.spawn(run(`${sandbox.commandLine(command)} && { ${wait}; }`, "--fail-fast"));
    const output = own.output();
    const [done, leave] = [`${sandbox.project}/done`, `${sandbox.project}/leave`];
    await until("the test has done it", () => exists(done));
    await untilCheckedAgain(own);
    Deno.writeTextFileSync(leave, "");
    const { code, stderr } = await output;
    const said = new TextDecoder().decode(stderr);
    assertEquals(code, 0, said);
    assert(!said.includes("has died"), said);
    for (const file of [done, leave]) Deno.removeSync(file);
    assertEquals(sandbox.processes(), []);
  }
  const other = ["start", "web", "--port", "0", "--replace", "--", ...fixture()];
  const ran = await sandbox.run(run(sandbox.commandLine(other)));
  assertEquals(ran.code, 0, ran.stderr);
  assertStringIncludes(ran.stderr, '"web" was started again meanwhile, and keeps running');
  await sandbox.assertOneServer("web");
});

Deno.test("two runs at once: one starts, the other joins and is told so; each has its own exit code", async () => {
  await using sandbox = await Sandbox.create();
  const first = sandbox.spawn(run("touch ready; while ! test -e end; do sleep 0.02; done; exit 1"));
  await until("the test runs", () => exists(`${sandbox.project}/ready`));
  const second = await sandbox.run(run("exit 2"));
  assertEquals(second.code, 2);
  assertMatch(second.stderr, /warning: "web" ends with pid \d+ \(run or up\), which started it/);
  Deno.writeTextFileSync(`${sandbox.project}/end`, "");
  assertEquals((await first.output()).code, 1);
  assertEquals(sandbox.processes(), []);
});

Deno.test("run --json: stdout is one document, the test's own output goes to stderr", async () => {
  await using sandbox = await Sandbox.create();
  const ran = await sandbox.run([...run("echo hello; exit 6", "--json")]);
  assertEquals(ran.code, 6);
  assertStringIncludes(ran.stderr, "hello\n");
  const document = JSON.parse(ran.stdout);
  assertEquals(
    [document.state, document.started, document.stopped, document.server_died, document.test.exit_code],
    ["stopped", true, true, false, 6],
  );
  assertEquals(document.test.command, ["sh", "-c", "echo hello; exit 6"]);
});

Deno.test({
  name:
    "run asks a server that overwrites its environment to end at the end of the test, and takes it for none of the test's",
  ignore: !isInstalled("redis-server"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const serve = `exec redis-server --port ${port} --bind 127.0.0.1 --save ''`;
    const args = ["run", "web", "--port", String(port), "--serve", serve];
    const { stopped, killed, test } = await sandbox.json([...args, "--", "true"]);
    assertEquals([stopped, killed, test.ended], [true, [], []]);
    assertEquals(sandbox.processes(), []);
  },
});

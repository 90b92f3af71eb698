/** What a stop does and says: everybody is asked before anybody is killed, and nobody is called ended who lives. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { allPids, exists, fixture, isRunning, killPid, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { isInstalled } from "./support/servers.ts";
import { costly } from "./support/tier.ts";

const SERVER = fixture().join(" ");

/** A server that says what it is asked, takes its time to end, and ends badly when it is asked twice. */
const polite = (ms: number) => `
  require("net").createServer().listen(process.env.PORT, "127.0.0.1");
  let asked = 0;
  process.on("SIGTERM", () => {
    if (asked++ > 0) { console.log("asked twice"); process.exit(9); }
    console.log("draining");
    setTimeout(() => { console.log("drained"); process.exit(0); }, ${ms});
  });`;

/** A parent of that server; what it does about TERM is up to the test. */
const parent = (ms: number, onTerm: string) => `
  const child = require("child_process").spawn(process.execPath, ["-e", ${
  JSON.stringify(polite(ms))
}], { stdio: "inherit" });
  child.on("exit", () => process.exit(0));
  process.on("SIGTERM", () => { ${onTerm} });`;

const logOf = async (sandbox: Sandbox) =>
  (await sandbox.json(["logs", "web"])).lines.filter((line: string) => line !== "");

/** Pids of processes whose command line is this, blanks between the words. */
function pidsOf(commandLine: string): number[] {
  return allPids().filter((pid) => {
    try {
      return isRunning(pid) &&
        Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() === commandLine;
    } catch (error) {
      if (error instanceof Error && !(error instanceof TypeError)) return false; // it has ended
      throw error;
    }
  });
}

/** A duration for `sleep` that no other test uses, so that its process is found by it. */
const unique = () => `${1000 + Math.random() * 8000}`;

costly(
  "who was once proven the node's is ended, also when all that proved him is gone: stop, restart, stop after a kill",
  async () => {
    await using sandbox = await Sandbox.create();
    const seconds = unique();
    const server = ["sh", "-c", `env -i setsid sleep ${seconds} & exec ${SERVER}`];
    const start = ["start", "web", "--port", "0", "--", ...server];
    for (const end of [["stop", "web"], ["restart", "web"]]) {
      await sandbox.json(start);
      await until("the child runs", () => pidsOf(`sleep ${seconds}`).length === 1);
      const [child] = pidsOf(`sleep ${seconds}`);
      const document = await sandbox.json(end);
      assertEquals(isRunning(child!), false, end.join(" "));
      if (end[0] === "stop") assert(document.nodes[0].pids.includes(child), "it is told");
      await sandbox.json(["stop", "web"]);
      assertEquals(pidsOf(`sleep ${seconds}`), []);
    }
    // The first stop is killed after the signal to the main process; its successor has only the record.
    for (const next of [["stop", "web"], ["sweep", "web"], ["start", "web", "--port", "0", "--", ...fixture()]]) {
      const { pid } = await sandbox.json(start);
      await until("the child runs", () => pidsOf(`sleep ${seconds}`).length === 1);
      const killed = await sandbox.run(["stop", "web"], { env: { TOMBSTONE_FAILPOINT: "asked" } });
      assertEquals(killed.code, 137);
      await until("the main process has ended", () => !isRunning(pid));
      assertEquals(pidsOf(`sleep ${seconds}`).length, 1);
      await sandbox.json(next);
      assertEquals(pidsOf(`sleep ${seconds}`), [], next.join(" "));
      await sandbox.json(["stop", "web"]);
    }
  },
);

Deno.test("a start that fails ends a child that has cleared its environment and left the session", async () => {
  await using sandbox = await Sandbox.create();
  const seconds = unique();
  const server = `env -i setsid sleep ${seconds} & exec ${SERVER} delay=600000`;
  const args = ["start", "web", "--port", "0", "--timeout", "700ms", "--", "sh", "-c", server];
  await sandbox.json(args, { code: 124 });
  assertEquals(pidsOf(`sleep ${seconds}`), []);
});

costly(
  "a tree that forks while it is killed leaves nobody, also of those who clear their environment and leave the session",
  async () => {
    await using sandbox = await Sandbox.create();
    const seconds = unique();
    const child = `env -i setsid sh -c 'sleep ${seconds}; :'`;
    const server = `trap "" TERM; while :; do ${child} & sleep 0.01; done`;
    for (let round = 0; round < 3; round++) {
      await sandbox.json(["start", "web", "--no-probe", "--stop-timeout", "300ms", "--", "sh", "-c", server]);
      const { killed } = (await sandbox.json(["stop", "web"])).nodes[0];
      assert(killed.length > 0);
      assertEquals(pidsOf(`sleep ${seconds}`), []);
      assertEquals(pidsOf(`sh -c sleep ${seconds}; :`), []);
    }
  },
);

costly(
  "a stop after one that was killed asks by the stop command again, and takes no server for what that had left",
  async () => {
    await using sandbox = await Sandbox.create();
    const server = `
    process.on("SIGTERM", () => console.log("asked by a signal"));
    process.on("SIGUSR2", () => {
      console.log("saving");
      setInterval(() => { if (fs.existsSync("save")) { console.log("saved"); process.exit(0); } }, 20);
    });
    setInterval(() => {}, 1000);
    console.log("up");`;
    const file = (name: string) => `${sandbox.project}/${name}`;
    const command = "echo >>asks; while [ ! -e ask ]; do sleep 0.02; done; kill -USR2 $TOMBSTONE_PID";
    const ask = ["--stop-command", command, "--stop-timeout", "60s"];
    await sandbox.json(["start", "web", "--log", "^up$", ...ask, "--", "node", "-e", server]);
    assertEquals((await sandbox.run(["stop", "web"], { env: { TOMBSTONE_FAILPOINT: "asked" } })).code, 137);
    const second = sandbox.run(["stop", "web"]);
    await until("the command of the second stop runs", () => Deno.readTextFileSync(file("asks")) === "\n\n");
    Deno.writeTextFileSync(file("ask"), "");
    await until("the server saves", async () => (await logOf(sandbox)).includes("saving"));
    Deno.writeTextFileSync(file("save"), "");
    assertEquals((await second).code, 0);
    const lines = await logOf(sandbox);
    assertEquals(lines.filter((line: string) => line !== "saving"), ["up", "saved"]);
  },
);

costly(
  "who goes on with the log of a node that has ended is told, and not signalled: stop, and a recovery",
  async () => {
    await using sandbox = await Sandbox.create();
    const [seconds, other] = [unique(), unique()];
    // Between two commands: no look sees it while its parent lives.
    const escape =
      `while [ ! -e go ]; do sleep 0.02; done; env -i setsid sh -c 'exec 9>&-; sleep ${seconds} & exit' & wait`;
    const escaped = async () => {
      const script = `${escape}; exec sleep ${other}`;
      const { pid } = await sandbox.json(["start", "web", "--no-probe", "--", "sh", "-c", script]);
      Deno.writeTextFileSync(`${sandbox.project}/go`, "");
      await until(
        "it has got away",
        () => pidsOf(`sleep ${seconds}`).length === 1 && pidsOf(`sleep ${other}`).length === 1,
      );
      Deno.removeSync(`${sandbox.project}/go`);
      return { main: pid, child: pidsOf(`sleep ${seconds}`)[0]! };
    };
    for (const verb of ["stop", "sweep"]) {
      const { main, child } = await escaped();
      if (verb === "sweep") killPid(main);
      await until("the main process has ended", () => verb === "stop" || !isRunning(main));
      const { stderr } = await sandbox.run([verb, "web"]);
      assertMatch(
        stderr,
        new RegExp(`warning: pid ${child} \\(.*sleep .*\\) still runs and has the log of "web" open`),
      );
      assert(isRunning(child));
      killPid(child);
    }
    await sandbox.json(["start", "web", "--no-probe", "--", "sleep", other]);
    assertEquals((await sandbox.run(["stop", "web"])).stderr, "");
  },
);

costly(
  "a main process that catches the signal and does not pass it on: the others are asked before they are killed",
  async () => {
    await using sandbox = await Sandbox.create();
    const args = ["start", "web", "--port", "0", "--stop-timeout", "6s", "--"];
    await sandbox.json([...args, "node", "-e", parent(50, "console.log('not passed on')")]);
    const { nodes: [stopped] } = await sandbox.json(["stop", "web"]);
    assertEquals([stopped.killed, stopped.pids.length], [[], 2]);
    assertEquals(await logOf(sandbox), ["not passed on", "draining", "drained"]);
  },
);

for (
  const [how, program, command] of [
    ["ignores the signal (strace -f)", "strace", "exec strace -f -o /dev/null"],
    ["ignores the signal (a shell with an empty trap)", "sh", "trap '' TERM;"],
    ["ignores the signal (unshare --kill-child)", "unshare", "exec unshare -p -f --kill-child"],
  ] as const
) {
  Deno.test({
    name: `a main process that ${how}: its child is asked at once, and nobody is killed`,
    ignore: !isInstalled(program) || program === "unshare" && Deno.uid() !== 0,
    async fn() {
      await using sandbox = await Sandbox.create();
      Deno.writeTextFileSync(`${sandbox.project}/polite.js`, polite(20));
      const args = ["start", "web", "--port", "0", "--stop-timeout", "60s", "--", "sh", "-c"];
      await sandbox.json([...args, `${command} node polite.js`]);
      const begun = performance.now();
      const { nodes: [stopped] } = await sandbox.json(["stop", "web"]);
      assert(performance.now() - begun < 15_000, "it waited for the timeout");
      assertEquals(stopped.killed, []);
      assertEquals(await logOf(sandbox), ["draining", "drained"]);
    },
  });
}

costly("a child that its parent has asked before it ended is given time, and not asked again", async () => {
  await using sandbox = await Sandbox.create();
  const shell = "node polite.js & pid=$!; trap 'kill -TERM $pid; exit 0' TERM; wait";
  Deno.writeTextFileSync(`${sandbox.project}/polite.js`, polite(700));
  for (
    const command of [
      ["node", "-e", parent(700, "child.kill('SIGTERM'); process.exit(0)")],
      ["node", "-e", parent(700, "child.kill('SIGTERM')")],
      ["sh", "-c", shell],
      ["sh", "-c", `${shell} $pid`],
    ]
  ) {
    await sandbox.json(["start", "web", "--port", "0", "--stop-timeout", "30s", "--", ...command]);
    const { nodes: [stopped] } = await sandbox.json(["stop", "web"]);
    assertEquals([stopped.killed, stopped.pids.length], [[], 2]);
    assertEquals(await logOf(sandbox), ["draining", "drained"], command.join(" "));
  }
});

Deno.test("what a main process leaves behind without asking it is asked at once", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--stop-timeout", "60s", "--", "node", "-e"];
  await sandbox.json([...args, parent(20, "process.exit(0)")]);
  const begun = performance.now();
  await sandbox.json(["stop", "web"]);
  assert(performance.now() - begun < 15_000, "it waited for a part of the timeout");
  assertEquals(await logOf(sandbox), ["draining", "drained"]);
});

const SHELLS = ["/bin/sh", "dash", "bash", "ksh", "mksh", "zsh", "busybox sh"].filter((shell) =>
  shell.startsWith("/") || isInstalled(shell.split(" ")[0]!)
);

for (const shell of SHELLS) {
  Deno.test(`a script by its name with a trap stops as fast as a shell that is named: ${shell}`, async () => {
    await using sandbox = await Sandbox.create();
    const interpreter = shell.startsWith("/") ? shell : `/usr/bin/env${shell.includes(" ") ? " -S" : ""} ${shell}`;
    const script = `${sandbox.project}/dev.sh`;
    Deno.writeTextFileSync(script, `#!${interpreter}\ntrap 'echo cleaned; exit 0' TERM\n${SERVER}\ntrue\n`, {
      mode: 0o755,
    });
    await sandbox.json(["start", "web", "--port", "0", "--stop-timeout", "60s", "--", script]);
    const begun = performance.now();
    const { nodes: [stopped] } = await sandbox.json(["stop", "web"]);
    assert(performance.now() - begun < 15_000, "it waited for a part of the timeout");
    assertEquals(stopped.killed, []);
    assertEquals((await logOf(sandbox)).at(-1), "cleaned");
  });
}

costly(
  "that somebody had to be killed is told, in text and JSON, by stop, restart, start, run and a recovery",
  async () => {
    await using sandbox = await Sandbox.create();
    const flags = ["--port", "0", "--stop-timeout", "200ms"];
    const start = ["start", "web", ...flags, "--", ...fixture("ignore-term")];
    let { pid } = await sandbox.json(start);
    const { nodes: [stopped] } = await sandbox.json(["stop", "web"]);
    assertEquals([stopped.pids, stopped.killed], [[pid], [pid]]);
    ({ pid } = await sandbox.json(start));
    assertEquals((await sandbox.run(["stop", "web"])).stdout, `stopped "web" (pid ${pid}), by SIGKILL: ${pid}\n`);

    ({ pid } = await sandbox.json(start));
    const restarted = await sandbox.json(["restart", "web"]);
    assertEquals([restarted.killed, restarted.recovered], [[pid], null]);
    const again = await sandbox.run(["restart", "web"]);
    assertStringIncludes(again.stderr, `"web": pid ${restarted.pid} did not end when asked, and was killed`);
    await sandbox.json(["stop", "web"]);

    await sandbox.run(start, { env: { TOMBSTONE_FAILPOINT: "port-written" } });
    const { recovered, killed } = await sandbox.json(start);
    assertEquals([recovered.killed, recovered.pids, killed], [recovered.pids, killed, recovered.pids]);
    assertEquals(killed.length, 1);
    await sandbox.json(["stop", "web"]);
    await sandbox.run(start, { env: { TOMBSTONE_FAILPOINT: "port-written" } });
    assertMatch((await sandbox.run(["sweep", "web"])).stdout, /ended pid (\d+), by SIGKILL: \1; removed/);

    const run = ["run", "web", ...flags, "--serve", `exec ${SERVER} ignore-term`, "--", "true"];
    const ran = await sandbox.json(run);
    assertEquals([ran.killed, ran.test.killed], [[ran.pid], []]);
    assertMatch((await sandbox.run(run)).stderr, /stopped "web", by SIGKILL: \d+\n/);
  },
);

costly("a recovery that takes long says what it waits for", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--stop-timeout", "4s", "--", ...fixture("ignore-term")];
  await sandbox.run(start, { env: { TOMBSTONE_FAILPOINT: "port-written" } });
  const swept = await sandbox.run(["sweep", "web"]);
  assertMatch(swept.stderr, /waiting for "web" for \d+ s: pid \d+ \(perl\) has not ended\n/);
});

costly(
  "a stop that is killed leaves no stop command that shuts down the next server, nor does one that takes too long",
  async () => {
    await using sandbox = await Sandbox.create();
    const seconds = unique();
    const stop = `touch asked; setsid sleep ${seconds} & sleep ${seconds}`;
    const start = ["start", "web", "--port", "0", "--stop-timeout", "1s", "--stop-command", stop, "--", ...fixture()];
    const asked = `${sandbox.project}/asked`;
    for (const next of [start, ["stop", "web"], ["sweep", "web"], ["restart", "web"]]) {
      const { pid } = await sandbox.json(start);
      const child = sandbox.spawn(["stop", "web"]);
      await until("the command runs", () => exists(asked) && pidsOf(`sleep ${seconds}`).length === 2);
      child.kill("SIGKILL");
      await child.output();
      if (next[0] === "sweep") killPid(pid);
      const left = pidsOf(`sleep ${seconds}`);
      Deno.removeSync(asked);
      await sandbox.json(next);
      assertEquals(left.filter(isRunning), [], next.join(" "));
      if (next[0] === "start" || next[0] === "restart") await sandbox.assertOneServer("web");
      await sandbox.json(["stop", "web"]);
      assertEquals(pidsOf(`sleep ${seconds}`), [], `after ${next.join(" ")}`);
      if (exists(asked)) Deno.removeSync(asked);
    }
  },
);

Deno.test({
  name: "a node inside a subreaper, with a cleared environment, is not ended with the outer node",
  ignore: !isInstalled("tini"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const cleared = `exec env -i PATH="$PATH" ${SERVER} port=$PORT`;
    const inner = ["start", "inner", "--port", "0", "--", "sh", "-c", cleared];
    const script = `${sandbox.commandLine(inner)} && exec ${SERVER}`;
    await sandbox.json(["start", "outer", "--port", "0", "--", "tini", "-s", "--", "sh", "-c", script]);
    const { pid } = await sandbox.json(["status", "inner"]);
    const { ppid } = readProcess(pid)!;
    assertEquals(readProcess(ppid)!.name, "tini");
    await sandbox.json(["stop", "outer"]);
    assert(isRunning(pid), "the inner server was ended");
    await sandbox.json(["stop", "inner"]);
    assertEquals(isRunning(pid), false);
  },
});

Deno.test("what a test leaves in the background is ended after a run, and told; a node that it started stays", async () => {
  await using sandbox = await Sandbox.create();
  const seconds = unique();
  const other = sandbox.commandLine(["start", "other", "--port", "0", "--", ...fixture()]);
  const test = `${other}; setsid sleep ${seconds} & sleep ${seconds} >/dev/null 2>&1 & exit 3`;
  const args = ["run", "web", "--port", "0", "--serve", SERVER, "--", "sh", "-c", test];
  const ran = await sandbox.run(args);
  assertEquals(ran.code, 3, ran.stderr);
  assertMatch(ran.stderr, /ended what the test left behind: pid \d+, \d+\n/);
  assertEquals(pidsOf(`sleep ${seconds}`), []);
  const document = await sandbox.json(args, { code: 3 });
  assertEquals([document.test.ended.length, document.test.killed], [2, []]);
  await sandbox.assertOneServer("other");
});

Deno.test("doctor names the way to processes of another state directory, and holds no failed start against anybody", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--no-probe", "--", "sh", "-c", "exit 3"], { code: 1 });
  await using other = await Sandbox.create();
  const { pid } = await other.json(["start", "web", "--port", "0", "--", ...fixture()]);
  const { checks } = await sandbox.json(["doctor"], { code: 0 });
  const failed = checks.find((check: { name: string }) => check.name === "node");
  assertEquals([failed.ok, failed.hint], [true, null]);
  const orphan = checks.find(({ message }: { message: string }) => message.startsWith(`pid ${pid} (`));
  assertMatch(orphan.hint, /^tombstone stop web --workspace \S+ --state-dir \S+$/);
  const stopped = await sandbox.shell(orphan.hint.replace(/^tombstone/, sandbox.commandLine([])));
  assertEquals([stopped.code, isRunning(pid)], [0, false], stopped.stderr);
});

/** Under the runners of CI services. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml/parse";
import { fixture, freePort, isRunning, ROOT, Sandbox, until } from "./support/sandbox.ts";

/** The environment of a step of GitHub Actions. */
const github = (sandbox: Sandbox) => ({ GITHUB_ACTIONS: "true", GITHUB_OUTPUT: `${sandbox.root}/output` });

Deno.test("under GitHub Actions a failure is an annotation, and the server's log a group that runs no commands", async () => {
  await using sandbox = await Sandbox.create();
  const script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; echo '::error::forged'; exit 3";
  const ran = await sandbox.run(["start", "web", "--port", "0", "--", "sh", "-c", script], { env: github(sandbox) });
  assertEquals([ran.code, ran.stdout], [1, ""]);
  const lines = ran.stderr.trimEnd().split("\n");
  assertMatch(lines[0]!, /^Cannot start "web": the server exited with code 3/);
  assertEquals(lines[1], "hint: tombstone logs web");
  assertEquals(lines[2], "::group::the server's log");
  const token = /^::stop-commands::(\S+)$/.exec(lines[3]!)![1];
  // The whole log, more than the twenty lines elsewhere; and what is in it does nothing.
  assertEquals(lines.slice(4, 34), Array.from({ length: 30 }, (_, at) => `line ${at + 1}`));
  assertEquals(lines.slice(34, 37), ["::error::forged", `::${token}::`, "::endgroup::"]);
  assertMatch(lines[37]!, /^::error title=tombstone::Cannot start "web": .*%0Ahint: tombstone logs web$/);
  assertEquals(lines.length, 38);
  const json = await sandbox.run(["start", "web", "--json", "--port", "0", "--", "sh", "-c", script], {
    env: github(sandbox),
  });
  assertEquals(JSON.parse(json.stdout).error.kind, "server-exited");
  assertStringIncludes(json.stderr, "::error title=tombstone::");
});

Deno.test("under GitHub Actions pid, port and url are outputs of the step, also of a node that runs already", async () => {
  await using sandbox = await Sandbox.create();
  const env = github(sandbox);
  Deno.writeTextFileSync(env.GITHUB_OUTPUT, "earlier=1\n");
  const start = ["start", "web", "--http", "/", "--", ...fixture("http")];
  const { pid, port } = await sandbox.json(start, { env });
  const expected = `pid=${pid}\nport=${port}\nurl=http://127.0.0.1:${port}\n`;
  assertEquals(Deno.readTextFileSync(env.GITHUB_OUTPUT), `earlier=1\n${expected}`);
  await sandbox.json(start, { env });
  assertEquals(Deno.readTextFileSync(env.GITHUB_OUTPUT), `earlier=1\n${expected}${expected}`);
  await sandbox.json(["stop", "web"], { env });
  const ran = await sandbox.run([
    "run",
    "web",
    "--serve",
    fixture().join(" "),
    "--port",
    "0",
    "--",
    "cat",
    env.GITHUB_OUTPUT,
  ], {
    env,
  });
  assertMatch(ran.stdout, /\npid=\d+\nport=\d+\nurl=127\.0\.0\.1:\d+\n$/);
  // What cannot be written is no reason to fail.
  const unwritable = { ...env, GITHUB_OUTPUT: `${sandbox.root}/missing/output` };
  const warned = await sandbox.run(["start", "web", "--port", "0", "--", ...fixture()], { env: unwritable });
  assertEquals(warned.code, 0);
  assertStringIncludes(warned.stderr, "warning: the outputs of this step could not be written");
});

Deno.test("a server that dies while the test runs is an annotation, too", async () => {
  await using sandbox = await Sandbox.create();
  const serve = fixture("until=end", "exit=9", "say=bye").join(" ");
  const test = ["--fail-fast", "--", "sh", "-c", "touch end; exec sleep 600"];
  const ran = await sandbox.run(["run", "web", "--serve", serve, "--port", "0", ...test], { env: github(sandbox) });
  assertEquals(ran.code, 1);
  assertMatch(ran.stderr, /\nbye\n[^]*::error title=tombstone::Cannot keep "web" for the test/);
});

Deno.test("--outlive-ci-job keeps the cookies of the runners from the server, and a restart remembers that", async () => {
  await using sandbox = await Sandbox.create();
  const cookies = {
    RUNNER_TRACKING_ID: "github_1",
    JENKINS_NODE_COOKIE: "2",
    JENKINS_SERVER_COOKIE: "3",
    BUILD_ID: "4",
  };
  const serverHas = (pid: number) => {
    const environ = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").map((entry) => entry.split("=")[0]!);
    return Object.keys(cookies).filter((name) => environ.includes(name));
  };
  const start = ["--port", "0", "--", ...fixture()];
  const plain = await sandbox.json(["start", "a", ...start], { env: cookies });
  assertEquals(serverHas(plain.pid), Object.keys(cookies));
  const outliving = await sandbox.json(["start", "b", "--outlive-ci-job", ...start], { env: cookies });
  assertEquals(serverHas(outliving.pid), []);
  const restarted = await sandbox.json(["restart", "b"], { env: cookies });
  assertEquals(serverHas(restarted.pid), []);
  // What a runner does at the end of a job: it kills every process that has its cookie.
  for (const pid of sandbox.processes()) {
    const environ = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
    if (environ.includes(`RUNNER_TRACKING_ID=${cookies.RUNNER_TRACKING_ID}`)) Deno.kill(pid, "SIGKILL");
  }
  assert(isRunning(restarted.pid));
  assertEquals((await sandbox.json(["status", "b"])).ready, true);
});

Deno.test("a line break in a recorded address makes no output of its own", async () => {
  await using sandbox = await Sandbox.create();
  const env = github(sandbox);
  Deno.writeTextFileSync(env.GITHUB_OUTPUT, "");
  const start = ["start", "web", "--no-probe", "--", "sleep", "600"];
  const { dir } = await sandbox.json(start);
  const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
  Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, port: 80, bind_addr: "a\nsecret=1\r\nb" }));
  assertEquals((await sandbox.json(start, { env })).started, false);
  const names = Deno.readTextFileSync(env.GITHUB_OUTPUT).trimEnd().split("\n").map((line) => line.split("=")[0]);
  assertEquals(names, ["pid", "port", "url"]);
});

Deno.test("the recipes for CI keep no state in the checkout, which runners clean", () => {
  const text = Deno.readTextFileSync(`${ROOT}/docs/ci.md`);
  const recipes = [...text.matchAll(/^```ya?ml\n([^]*?)^```/gm)].map((match) => match[1]!);
  assertEquals(recipes.length, 3);
  for (const recipe of recipes) {
    parse(recipe);
    assert(!/STATE_DIR|--state-dir|\.tombstone\b/.test(recipe), recipe);
  }
});

Deno.test("what the recipe for GitLab does after a failed run writes the server's log for the artifacts", async () => {
  await using sandbox = await Sandbox.create();
  assertEquals((await sandbox.shell("git init -q")).code, 0);
  const serve = fixture("say=hello").map(sandbox.quote).join(" ");
  const ran = await sandbox.run(["run", "web", "--serve", serve, "--port", "0", "--", "false"]);
  assertEquals(ran.code, 1, ran.stderr);
  assertEquals((await sandbox.shell(`${sandbox.commandLine(["logs"])} > server.log`)).code, 0);
  assertStringIncludes(Deno.readTextFileSync(`${sandbox.project}/server.log`), "hello");
});

Deno.test("a job that was killed leaves nothing in the next one's way, though the runner has cleaned the checkout", async () => {
  await using sandbox = await Sandbox.create();
  const inCheckout = { TOMBSTONE_STATE_DIR: `${sandbox.project}/.tombstone` };
  for (const [env, reason] of [[{}, "interrupted-run"], [inCheckout, "removed-state"]] as const) {
    assertEquals((await sandbox.shell("git init -q")).code, 0);
    const run = [
      "run",
      "web",
      "--port",
      String(freePort()),
      "--serve",
      `exec ${fixture().map(sandbox.quote).join(" ")}`,
      "--",
    ];
    const killed = await sandbox.shell(`${sandbox.commandLine([...run, "sh", "-c", "kill -9 $PPID"])} 2>&1`, { env });
    assertEquals(killed.code, 137, killed.stdout);
    await until("the test command is gone", () => sandbox.serversOf("web").length === 1);
    const [orphan] = sandbox.serversOf("web");
    assertEquals((await sandbox.shell("git clean -ffdxq")).code, 0);
    const { recovered, test } = await sandbox.json([...run, "true"], { env });
    assertEquals([recovered.reason, recovered.pids, test.exit_code], [reason, [orphan], 0]);
    assertEquals(sandbox.processes(), []);
  }
});

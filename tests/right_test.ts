/** The right server: which node is meant, and that nobody is joined who is not what was asked for. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { accepts, type Document, exists, fixture, freePort, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** Writes `tombstone.json`. */
function describe(sandbox: Sandbox, nodes: Record<string, unknown>): void {
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }, null, 2));
}

/** Two packages of one repository. */
function packages(sandbox: Sandbox): [string, string] {
  Deno.mkdirSync(`${sandbox.project}/.git`);
  const [a, b] = [`${sandbox.project}/apps/a`, `${sandbox.project}/apps/b`];
  for (const dir of [a, b]) Deno.mkdirSync(dir, { recursive: true });
  return [a, b];
}

const serve = (...options: string[]) => `exec ${fixture(...options).join(" ")}`;
const found = (document: Document) => document.nodes.map(({ node, state }: Document) => `${node} ${state}`);

Deno.test("two packages of one repository are two nodes: run in one never tests the server of the other", async () => {
  await using sandbox = await Sandbox.create();
  const [a, b] = packages(sandbox);
  const [first, second] = [freePort(), freePort()];
  const one = await sandbox.json(["start", "--port", String(first), "--", ...fixture()], { cwd: a });
  assertEquals(one.node, "a");
  const ran = await sandbox.run(
    ["run", "--port", String(second), "--serve", serve(), "--", "sh", "-c", 'echo "$PORT"'],
    { cwd: b },
  );
  assertEquals([ran.code, ran.stdout], [0, `${second}\n`], ran.stderr);
  const two = await sandbox.json(["start", "--port", String(second), "--", ...fixture()], { cwd: b });
  assertEquals([two.node, two.port, two.started], ["b", second, true]);
  assertEquals(found(await sandbox.json(["status"])), ["a running", "b running"]);
});

Deno.test("the default name is the directory's, cleaned", async () => {
  await using sandbox = await Sandbox.create();
  const cases = [
    ["my shop (copy)", "my-shop-copy"],
    [".hidden", "hidden"],
    ["café", "caf"],
    ["日本", "node"],
    ["workspace.json", "node"],
    ["x".repeat(80), "x".repeat(64)],
  ];
  for (const [directory, name] of cases) {
    const cwd = `${sandbox.root}/${directory}`;
    Deno.mkdirSync(cwd);
    const started = await sandbox.json(["start", "--no-probe", "--", "sleep", "600"], { cwd });
    assertEquals(started.node, name);
    assertEquals(found(await sandbox.json(["stop"], { cwd })), [`${name} stopped`]);
  }
});

costly("a node that runs with another command, directory, port or host is not joined, and no test runs", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/sub`);
  const port = freePort();
  const first = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture("say=a")]);
  const cases: [string[], string[], string][] = [
    [["start", "web", "--", ...fixture("say=b")], ["command"], "another command (perl "],
    [["start", "web", "--cwd", "sub", "--", ...fixture("say=a")], ["cwd"], `another directory (${sandbox.project})`],
    [["start", "web", "--port", "1", "--", ...fixture("say=a")], ["port"], `another port (${port})`],
    [["start", "web", "--host", "127.0.0.2", "--", ...fixture("say=a")], ["host"], "another host (127.0.0.1)"],
    [["run", "web", "--serve", serve("say=b"), "--", "touch", "tested"], ["command"], "another command"],
    [["run", "web", "--port", "1", "--serve", serve("say=a"), "--", "touch", "tested"], ["command", "port"], "and"],
  ];
  for (const [args, differs, message] of cases) {
    const { error } = await sandbox.json(args, { code: 1 });
    assertEquals([error.kind, error.differs, error.pid], ["different-running", differs, first.pid], args.join(" "));
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.hint, "--replace");
  }
  assert(!exists(`${sandbox.project}/tested`), "a test ran against another server");
  for (const flags of [[], ["--port", "0"], ["--port", String(port)], ["--host", "127.0.0.1"], ["--cwd", "."]]) {
    const again = await sandbox.json(["start", "web", ...flags, "--", ...fixture("say=a")]);
    assertEquals([again.pid, again.started, again.differs], [first.pid, false, []]);
  }
  // A line for the shell without anything that only a shell knows is the same as its words.
  Deno.symlinkSync(sandbox.project, `${sandbox.root}/link`);
  const line = fixture("say=a").join(" ");
  const linked = ["run", "web", "--cwd", `${sandbox.root}/link`, "--serve", line, "--", "sh", "-c", "exit 7"];
  assertEquals((await sandbox.run(linked)).code, 7);
  assertEquals((await sandbox.assertOneServer("web")).pid, first.pid);
  const replaced = await sandbox.json(["start", "web", "--replace", "--port", "0", "--", ...fixture("say=b")]);
  assertEquals(replaced.started, true);
  assertEquals(isRunning(first.pid), false);
});

Deno.test("--port 0 and {port} in the command make no difference, and two worktrees are two nodes", async () => {
  await using sandbox = await Sandbox.create();
  const [a, b] = [`${sandbox.root}/one/shop`, `${sandbox.root}/two/shop`];
  const start = ["start", "--port", "0", "--", ...fixture("port={port}")];
  const pids = new Set<number>();
  for (const cwd of [a, b]) {
    Deno.mkdirSync(cwd, { recursive: true });
    const first = await sandbox.json(start, { cwd });
    const again = await sandbox.json(start, { cwd });
    assertEquals([first.node, again.pid, again.started], ["shop", first.pid, false]);
    pids.add(first.pid);
  }
  assertEquals(pids.size, 2);
  // In one workspace by name, they are the same node, but not the same server.
  const named = [...start.slice(0, 1), "--workspace", "w", ...start.slice(1)];
  await sandbox.json(named, { cwd: a });
  assertEquals((await sandbox.json(named, { cwd: b, code: 1 })).error.differs, ["cwd"]);
});

Deno.test("a description that has changed is told by start, and refused by run", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const nodes = { db: { command: fixture(), port: 0 }, web: { command: fixture("say=a"), port, after: ["db"] } };
  describe(sandbox, nodes);
  const [, web] = (await sandbox.json(["start"])).nodes;
  assertEquals(web.differs, []);
  describe(sandbox, { ...nodes, web: { ...nodes.web, command: fixture("say=b"), env: { A: 1 } } });
  const ran = await sandbox.run(["start", "web", "--json"]);
  assertEquals(ran.code, 0, ran.stderr);
  const document = JSON.parse(ran.stdout);
  assertEquals([document.pid, document.started, document.differs], [web.pid, false, ["command", "env"]]);
  assertMatch(ran.stderr, /warning: "web" runs as it was started, with another command .* tombstone restart web/);
  const { error } = await sandbox.json(["run", "--", "touch", "tested"], { code: 1 });
  assertEquals([error.kind, error.differs], ["different-running", ["command", "env"]]);
  assertStringIncludes(error.hint, "tombstone restart web");
  assert(!exists(`${sandbox.project}/tested`), "a test ran against another server");
  assertEquals((await sandbox.json(["restart", "web"])).started, true);
  assertEquals((await sandbox.json(["start", "web"])).differs, []);
  assertEquals((await sandbox.run(["run", "--", "true"])).code, 0);
});

costly("without a name, every command finds the nodes of the workspace", async () => {
  await using sandbox = await Sandbox.create();
  for (const [command, code] of [["stop", 0], ["sweep", 0], ["restart", 3], ["logs", 3], ["status", 3]] as const) {
    const ran = await sandbox.run([command]);
    assertEquals(ran.code, code, command);
    assertStringIncludes(ran.stdout + ran.stderr, "no nodes in this workspace");
  }
  const early = sandbox.run(["wait", "--json"]);
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("say=hello")]);
  const waited = await early;
  assertEquals([waited.code, found(JSON.parse(waited.stdout))], [0, ["web running"]]);
  assertEquals((await sandbox.run(["logs"])).stdout, "hello\n");
  const [restarted] = (await sandbox.json(["restart"])).nodes;
  assert(restarted.started && restarted.pid !== started.pid);
  await sandbox.run(["start", "api", "--port", "0", "--", ...fixture()], { env: { TOMBSTONE_FAILPOINT: "waiting" } });
  assertEquals((await sandbox.run(["wait"])).code, 1, "one of them is interrupted");
  const swept = await sandbox.json(["sweep"]);
  assertEquals(swept.nodes.map(({ node, action }: Document) => `${node} ${action}`), ["api swept", "web running"]);
  await sandbox.json(["start", "api", "--port", "0", "--", ...fixture()]);
  assertEquals(found(await sandbox.json(["wait"])), ["api running", "web running"]);
  assertEquals(found(await sandbox.json(["restart"])), ["api running", "web running"]);
  const stopped = await sandbox.run(["stop"]);
  assertMatch(stopped.stdout, /^stopped "api" .*\nstopped "web" .*\n$/);
  assertEquals(sandbox.processes(), []);
});

costly("a port that a node of ours has is said to be its, with project and the command that stops it", async () => {
  await using sandbox = await Sandbox.create();
  const [port, other] = [freePort(), freePort()];
  const home = { env: { HOME: sandbox.root } };
  const shop = `${sandbox.root}/src/shop`;
  Deno.mkdirSync(shop, { recursive: true });
  // Behind a shell, so that its main process is not the one that listens.
  const command = ["sh", "-c", `${fixture(`port=${port}`).join(" ")}; exit 1`];
  const web = await sandbox.json(["start", "web", "--port", String(port), "--", ...command], { cwd: shop });
  const start = ["start", "api", "--port", String(port), "--", ...fixture()];
  const { error } = await sandbox.json(start, { ...home, code: 5 });
  assertEquals(
    [error.owner_node, error.owner_workspace, error.owner_project],
    ["web", web.workspace, shop],
  );
  assertStringIncludes(
    error.message,
    `Cannot start "api": port ${port} is "web" of ~/src/shop, pid ${error.owner_pid} (`,
  );
  assertStringIncludes(error.hint, `tombstone stop web --workspace ${web.workspace}, or`);
  // In the same workspace no more than the name is needed; and a stranger is a stranger.
  const near = await sandbox.json(["start", "api", "--port", String(port), "--", ...fixture()], { cwd: shop, code: 5 });
  assertStringIncludes(near.error.hint, "tombstone stop web, or");
  sandbox.bystander(fixture(`port=${other}`));
  await until("the stranger listens", () => accepts(other));
  const strange = await sandbox.json(["start", "api", "--port", String(other), "--", ...fixture()], { code: 5 });
  assertEquals([strange.error.owner_node, strange.error.owner_workspace], [null, null]);
  const [program, ...words] = error.hint.split(",")[0].split(" ");
  assertEquals(program, "tombstone");
  await sandbox.json(words);
  assertEquals((await sandbox.json(start)).port, port);
});

costly(
  "a port that was chosen stays the node's across stop, sweep, a failed start and another form of the file",
  async () => {
    await using sandbox = await Sandbox.create();
    const start = ["start", "web", "--port", "0", "--", ...fixture()];
    const { port, dir } = await sandbox.json(start);
    await sandbox.json(["stop", "web"]);
    await sandbox.json(["sweep"]);
    await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("exit=3")], { code: 1 });
    await sandbox.json(["sweep", "--all"]);
    assertEquals((await sandbox.json(start)).port, port);
    // If another process has it, the start warns and chooses another one; when it is free, the node gets it back.
    await sandbox.json(["stop", "web"]);
    const stranger = sandbox.bystander(fixture(`port=${port}`));
    await until("the stranger listens", () => accepts(port));
    const ran = await sandbox.run(["start", "web", "--port", "0", "--json", "--", ...fixture()]);
    const moved = JSON.parse(ran.stdout).port;
    assert(moved !== port);
    assertStringIncludes(ran.stderr, `port ${port} of "web" is in use by pid ${stranger} (`);
    await sandbox.json(["stop", "web"]);
    assertEquals((await sandbox.json(start)).port, moved, "the same one instead");
    await sandbox.json(["stop", "web"]);
    Deno.kill(stranger, "SIGKILL");
    await until("the stranger is gone", () => !isRunning(stranger));
    assertEquals((await sandbox.json(start)).port, port);
    for (
      const text of ["", "garbage", "[]", '{"schema":2,"port":1}', '{"schema":1,"port":"x"}', '{"schema":1,"port":0.5}']
    ) {
      await sandbox.json(["stop", "web"]);
      Deno.writeTextFileSync(`${dir}/recorded.json`, text);
      assertEquals((await sandbox.json(start)).started, true, text);
    }
  },
);

costly("a node that runs with an old address of what it comes after is told, and not tested against", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: fixture(), port: 0 },
    web: { command: fixture("say={db.port}"), port: 0, after: ["db"], env: { DB: "{db.url}" } },
  });
  const [db, web] = (await sandbox.json(["start"])).nodes;
  // The same port again is no difference, whoever started it.
  await sandbox.json(["stop", "db"]);
  const same = (await sandbox.json(["start"])).nodes;
  assertEquals([same[0].port, same[1].pid, same[1].differs], [db.port, web.pid, []]);
  await sandbox.json(["stop", "db"]);
  sandbox.bystander(fixture(`port=${db.port}`));
  await until("the stranger listens", () => accepts(db.port));
  const ran = await sandbox.run(["start", "--json"]);
  const moved = JSON.parse(ran.stdout).nodes;
  assert(moved[0].port !== db.port);
  assertEquals([moved[1].pid, moved[1].differs], [web.pid, ["db.port"]], ran.stderr);
  assertStringIncludes(ran.stderr, `an old port of "db" (${db.port}); tombstone restart web`);
  const { error } = await sandbox.json(["run", "--", "touch", "tested"], { code: 1 });
  assertEquals([error.kind, error.differs], ["different-running", ["db.port"]]);
  assert(!exists(`${sandbox.project}/tested`));
  await sandbox.json(["restart", "web"]);
  assertEquals((await sandbox.json(["start"])).nodes[1].differs, []);
});

Deno.test("init refuses to take a directory out of the workspace that its running nodes belong to", async () => {
  await using sandbox = await Sandbox.create();
  const [a] = packages(sandbox);
  Deno.writeTextFileSync(`${a}/Procfile`, "web: sleep 600\n");
  Deno.writeTextFileSync(`${sandbox.project}/Procfile`, "web: sleep 600\n");
  const { workspace } = await sandbox.json(["start", "web", "--no-probe", "--", "sleep", "600"], { cwd: a });
  await sandbox.json(["start", "db", "--no-probe", "--", "sleep", "600"]);
  const { error } = await sandbox.json(["init"], { cwd: a, code: 2 });
  assertStringIncludes(error.message, `"web" of workspace "${workspace}"`);
  assert(!error.message.includes('"db"'), "it runs elsewhere, and is seen there");
  assert(!exists(`${a}/tombstone.json`));
  assertEquals(found(await sandbox.json(["status"], { cwd: a })), ["db running", "web running"]);
  const [, ...words] = error.hint.split(", then")[0].split(" ");
  await sandbox.json(words, { cwd: sandbox.root });
  await sandbox.json(["init"], { cwd: a });
  // The other way round: what was a project only since nothing above it is one.
  const outer = `${sandbox.root}/plain`;
  const inner = `${outer}/inner`;
  Deno.mkdirSync(inner, { recursive: true });
  Deno.writeTextFileSync(`${outer}/Procfile`, "web: sleep 600\n");
  const below = await sandbox.json(["start", "--no-probe", "--", "sleep", "600"], { cwd: inner });
  const refused = await sandbox.json(["init"], { cwd: outer, code: 2 });
  assertStringIncludes(refused.error.hint, `tombstone stop inner --workspace ${below.workspace}`);
  // In the project's own directory nothing moves.
  await sandbox.json(["init"]);
  assertEquals(found(await sandbox.json(["status"], { code: 3 })), ["web stopped", "db running"]);
});

Deno.test("a mistake in tombstone.json keeps nobody from the nodes that are recorded", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--no-probe", "--", "sh", "-c", "echo hello; exec sleep 600"]);
  for (const text of ['{ "nodes": { "web": { "comand": "x" } } }', "{ nodes", '{ "nodes": [] }']) {
    Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, text);
    const commands = [
      ["status"],
      ["logs"],
      ["wait"],
      ["sweep"],
      ["restart"],
      ["run", "web", "--no-probe", "--serve", "echo hello; exec sleep 600", "--", "true"],
      ["start", "web", "--no-probe", "--", "sh", "-c", "echo hello; exec sleep 600"],
      ["stop"],
      ["start", "web", "--no-probe", "--", "sh", "-c", "echo hello; exec sleep 600"],
    ];
    for (const args of commands) {
      const ran = await sandbox.run(args);
      assertEquals(ran.code, 0, `${args.join(" ")} with ${text}: ${ran.stderr}`);
      if (args.length === 1 && args[0] !== "sweep") assertStringIncludes(ran.stderr, "warning: Cannot use ");
    }
    // What only the file could tell is refused.
    assertEquals((await sandbox.run(["start"])).code, 2);
    assertEquals((await sandbox.run(["run", "--", "true"])).code, 2);
  }
});

costly("a placeholder that is none is refused with the near name; braces of others are left alone", async () => {
  await using sandbox = await Sandbox.create();
  const db = { command: fixture(), port: 0 };
  const wrong: [string, string, string][] = [
    ["{db.prt}", "of a node there are port, host, url", 'did you mean "{db.port}"?'],
    ["{bd.port}", 'there is no node "bd"', 'did you mean "{db.port}"?'],
    ["{nosuch.url}", 'there is no node "nosuch"', "It describes db, web"],
    ["{ db.port }", "there are spaces in it", '"{db.port}"'],
    ["{prot}", "there is no such placeholder", 'did you mean "{port}"?'],
    ["x={PORT}", "there is no such placeholder", 'did you mean "{port}"?'],
  ];
  for (const [text, message, hint] of wrong) {
    for (const web of [{ command: ["sh", "-c", "exit 0", text] }, { command: fixture(), env: { A: text } }]) {
      describe(sandbox, { db, web: { ...web, port: 0, after: ["db"] } });
      const { error } = await sandbox.json(["start"], { code: 2 });
      assertStringIncludes(error.message, message);
      assertStringIncludes(error.hint, hint);
    }
  }
  assert(!exists(sandbox.state), "there is state");
  const right = [
    "{a:1}",
    "${X}",
    "${PORT}",
    "{a,b}",
    "{print}",
    "{print $1}",
    "{}",
    "{{x}}",
    "{nosuch}",
    "{foo.bar}",
    "{0}",
  ];
  describe(sandbox, {
    db,
    web: {
      command: [
        "sh",
        "-c",
        'printf "%s\\n" "$@" "$A" "$PORT"; shift $#; exec "$SERVER" "$FILE"',
        "sh",
        ...right,
        "{port}",
      ],
      env: { A: "{port} {db.port}", SERVER: "perl", FILE: fixture()[1] },
      port: 0,
      after: ["db"],
    },
  });
  const [{ port: other }, { port }] = (await sandbox.json(["start"])).nodes;
  const { lines } = await sandbox.json(["logs", "web"]);
  assertEquals(lines, [...right, `${port}`, `${port} ${other}`, `${port}`]);
  const own = ["start", "own", "--port", "0", "--env", "A={port}", "--", "sh", "-c", `echo "$A"; ${serve()}`];
  assertEquals((await sandbox.json(own)).port, Number((await sandbox.json(["logs", "own"])).lines[0]));
});

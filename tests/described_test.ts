/** The nodes of `tombstone.json`: order, failures, what a killed start leaves, and what is wrong in the file. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Document, exists, fixture, freePort, kill, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { findPostgres, installed } from "./support/servers.ts";
import { costly, inTurn, TIER } from "./support/tier.ts";

/** Writes `tombstone.json`. */
function describe(sandbox: Sandbox, nodes: Record<string, unknown>): void {
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }, null, 2));
}

/** A server that notes in `order` when it begins, and when it is told to end. */
function noting(name: string, ...options: string[]): string {
  const server = fixture(...options).join(" ");
  return `trap 'echo -${name} >>order; kill $!; exit 0' TERM; echo +${name} >>order; ${server} & while :; do wait; done`;
}

const states = (document: Document) => document.nodes.map(({ node, state }: Document) => `${node} ${state}`);

Deno.test("start without a command starts everything in order, stop ends it in the reverse one", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    web: { command: noting("web"), port: 0, after: ["db", "cache"] },
    db: { command: noting("db", "delay=150"), port: 0 },
    cache: { command: noting("cache"), port: 0, after: ["db"] },
  });
  const order = () => Deno.readTextFileSync(`${sandbox.project}/order`).trim().split("\n");
  const ran = await sandbox.run(["start"]);
  assertEquals(ran.code, 0, ran.stderr);
  assertEquals(order(), ["+db", "+cache", "+web"]);
  assertMatch(ran.stdout, /^started "db" .*\nstarted "cache" .*\nstarted "web" .*\n$/);
  for (const node of ["db", "cache", "web"]) await sandbox.assertOneServer(node);

  const again = await sandbox.json(["start"]);
  assertEquals(again.nodes.map(({ node, started }: Document) => [node, started]), [
    ["db", false],
    ["cache", false],
    ["web", false],
  ]);
  assertEquals(states(await sandbox.json(["status"])), ["web running", "db running", "cache running"]);
  const stopped = await sandbox.json(["stop"]);
  assertEquals(states(stopped), ["web stopped", "db stopped", "cache stopped"]);
  assertEquals(order().slice(3), ["-web", "-cache", "-db"]);
  assertEquals(sandbox.processes(), []);
  assertEquals(states(await sandbox.json(["status"], { code: 3 })), ["web stopped", "db stopped", "cache stopped"]);
});

Deno.test("what need not wait for each other starts at the same time", async () => {
  await using sandbox = await Sandbox.create();
  // Each listens only when the other has begun.
  const meet = (own: string, other: string) =>
    `touch ${own}; until [ -e ${other} ]; do sleep 0.01; done; exec ${fixture().join(" ")}`;
  describe(sandbox, {
    one: { command: meet("a", "b"), port: 0, timeout: "20s" },
    two: { command: meet("b", "a"), port: 0, timeout: "20s" },
  });
  assertEquals((await sandbox.run(["start"])).code, 0);
});

Deno.test("a named node is started with all that it comes after, and nothing else", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: fixture(), port: 0 },
    cache: { command: fixture(), port: 0 },
    api: { command: fixture(), port: 0, after: ["db"] },
    web: { command: fixture(), port: 0, after: ["api"] },
  });
  // One that is named is one document, whatever it needs.
  assertEquals((await sandbox.json(["start", "api"])).node, "api");
  assertEquals((await sandbox.json(["start", "db"])).started, false);
  assertEquals((await sandbox.json(["start", "cache"])).node, "cache");
  const typo = await sandbox.json(["start", "wbe"], { code: 2 });
  assertEquals(typo.error.message, 'Cannot start "wbe": tombstone.json describes no such node');
  assertStringIncludes(typo.error.hint, 'did you mean "web"?');
  const flag = await sandbox.json(["start", "web", "--port", "80"], { code: 2 });
  assertStringIncludes(flag.error.message, "Cannot use --port without a command");
  // A command on the command line is that of a node of its own, described or not.
  assertEquals((await sandbox.json(["start", "other", "--port", "0", "--", ...fixture()])).started, true);
  assertEquals(states(await sandbox.json(["status"], { code: 3 })), [
    "db running",
    "cache running",
    "api running",
    "web stopped",
    "other running",
  ]);
});

Deno.test("a node is told where those are that it comes after", async () => {
  await using sandbox = await Sandbox.create();
  const say = 'echo "$URL $DIRECT $TOMBSTONE_MY_DB_HOST $TOMBSTONE_MY_DB_PORT $TOMBSTONE_MY_DB_URL" >said; exec "$@"';
  describe(sandbox, {
    "my-db": { command: fixture(), port: 0 },
    web: {
      command: ["sh", "-c", say, "sh", ...fixture("say={my-db.port}")],
      port: 0,
      after: ["my-db"],
      env: { URL: "pg://{my-db.host}:{my-db.port}/app", DIRECT: 5 },
    },
  });
  const { nodes: [db, web] } = await sandbox.json(["start"]);
  const said = Deno.readTextFileSync(`${sandbox.project}/said`).trim();
  assertEquals(said, `pg://127.0.0.1:${db.port}/app 5 127.0.0.1 ${db.port} 127.0.0.1:${db.port}`);
  assertStringIncludes(Deno.readTextFileSync(web.log), String(db.port));
  assert(!Deno.readTextFileSync(`${web.dir}/node.info`).includes("pg://"), "a value was recorded");
});

Deno.test("when one fails, those started by this call are stopped, and those that ran before go on", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    before: { command: fixture(), port: 0 },
    db: { command: fixture(), port: 0 },
    slow: { command: fixture("delay=60000"), port: 0, after: ["before"] },
    web: { command: "echo no licence; exit 3", port: 0, after: ["db"] },
    never: { command: "touch never; exit 1", after: ["web"] },
  });
  const { pid } = await sandbox.json(["start", "before"]);
  const ran = await sandbox.run(["start"]);
  assertEquals(ran.code, 1);
  assertStringIncludes(ran.stderr, 'stopped "db" again\n');
  assertMatch(
    ran.stderr,
    /Cannot start "web": the server exited with code 3 after \d+ ms\n.*\n {2}\| no licence\nhint: /,
  );
  assert(!exists(`${sandbox.project}/never`));
  assertEquals((await sandbox.assertOneServer("before")).pid, pid);
  assertEquals(states(await sandbox.json(["status"], { code: 1 })), [
    "before running",
    "db stopped",
    "slow failed",
    "web failed",
    "never stopped",
  ]);
  assertEquals(sandbox.serversOf("slow"), []);
  // The reason stays to be seen.
  assertStringIncludes((await sandbox.json(["status", "slow"], { code: 1 })).reason, '"web" could not be started');
});

Deno.test("a signal to the start of several undoes what it has started", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: fixture(), port: 0 },
    web: { command: fixture("delay=60000", "write=begun"), port: 0, after: ["db"] },
  });
  const child = sandbox.spawn(["start"]);
  await until("web has begun", () => exists(`${sandbox.project}/begun`));
  child.kill("SIGTERM");
  assertEquals((await child.output()).code, 143);
  assertEquals(sandbox.processes(), []);
});

Deno.test("one that cannot be stopped keeps the others from nothing", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { db: { command: fixture(), port: 0 }, web: { command: fixture(), port: 0, after: ["db"] } });
  await sandbox.json(["start"]);
  const info = `${sandbox.nodeDir("web")}/node.info`;
  Deno.writeTextFileSync(info, JSON.stringify({ ...JSON.parse(Deno.readTextFileSync(info)), host_id: "elsewhere" }));
  const { error } = await sandbox.json(["stop"], { code: 4 });
  assertStringIncludes(error.message, 'Cannot stop "web"');
  assertEquals((await sandbox.json(["status", "db"], { code: 3 })).state, "stopped");
});

costly("restart follows the file: one node is replaced, all are stopped and started in order", async () => {
  await using sandbox = await Sandbox.create();
  const nodes = { db: { command: noting("db"), port: 0 }, web: { command: noting("web"), port: 0, after: ["db"] } };
  describe(sandbox, nodes);
  const [db, web] = (await sandbox.json(["start"])).nodes;
  describe(sandbox, { ...nodes, web: { ...nodes.web, command: noting("web2") } });
  const web1 = await sandbox.json(["restart", "web"]);
  assertEquals([(await sandbox.json(["status", "db"])).pid, web1.started], [db.pid, true]);
  assert(web1.pid !== web.pid);
  Deno.removeSync(`${sandbox.project}/order`);
  const [db2, web2] = (await sandbox.json(["restart"])).nodes;
  assert(db2.pid !== db.pid && web2.pid !== web1.pid);
  const order = Deno.readTextFileSync(`${sandbox.project}/order`).trim().split("\n");
  assertEquals(order, ["-web2", "-db", "+db", "+web2"]);
});

costly("a restart of several that is killed half-way: the next start brings all of them up", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, { db: { command: fixture(), port: 0 }, web: { command: fixture(), port: 0, after: ["db"] } });
  for (const point of ["marked", "swept", "spawned", "committed"]) {
    assertEquals((await sandbox.run(["start"])).code, 0);
    await sandbox.spawn(["restart"], { env: { TOMBSTONE_FAILPOINT: point } }).output();
    assertEquals(states(await sandbox.json(["start"])), ["db running", "web running"], point);
    for (const node of ["db", "web"]) await sandbox.assertOneServer(node);
  }
});

Deno.test("logs shows every node's lines with its name", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: "printf 'one\\ntwo'; sleep 600", probes: { log: "one" } },
    front: { command: "echo three; sleep 600", probes: { none: true } },
  });
  assertEquals((await sandbox.run(["start"])).code, 0);
  assertEquals((await sandbox.run(["logs"])).stdout, "db    | one\ndb    | two\nfront | three\n");
  assertEquals((await sandbox.run(["logs", "-n", "1"])).stdout, "db    | two\nfront | three\n");
  assertEquals((await sandbox.run(["logs", "db"])).stdout, "one\ntwo");
  const { nodes } = await sandbox.json(["logs"]);
  assertEquals(nodes.map(({ node, lines }: Document) => [node, lines]), [["db", ["one", "two"]], ["front", ["three"]]]);
  const follower = sandbox.spawn(["logs", "-f"]);
  const reader = follower.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  const read = async () => seen += (await reader.read()).value ?? "";
  while (!seen.includes("front | three\n")) await read();
  assertEquals((await sandbox.run(["restart", "front"])).code, 0);
  while (seen.split("front | three\n").length < 3) await read();
  assert(!seen.includes("two"), "a line that has not ended is not told yet");
  kill(follower);
  await Promise.all([follower.status, reader.cancel(), follower.stderr.cancel()]);
});

Deno.test("run with the described nodes: addresses for the test, everything stopped after it", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: fixture(), port: 0 },
    web: { command: fixture(), port: 0, after: ["db"] },
  });
  const test = 'echo "$TOMBSTONE_DB_PORT $TOMBSTONE_WEB_PORT $TOMBSTONE_WEB_URL ${PORT-none}"; exit 7';
  const ran = await sandbox.run(["run", "--", "sh", "-c", test]);
  assertEquals(ran.code, 7, ran.stderr);
  const [, db, web] = /^(\d+) (\d+) 127\.0\.0\.1:\2 none\n$/.exec(ran.stdout) ?? [];
  assert(db !== undefined && web !== undefined && db !== web, ran.stdout);
  assertMatch(ran.stderr, /started "db".*\nstarted "web".*\nstopped "web"\nstopped "db"\n$/);
  assertEquals(sandbox.processes(), []);

  const { pid } = await sandbox.json(["start", "db"]);
  const document = await sandbox.json(["run", "web", "--", "sh", "-c", 'test "$PORT" = "$TOMBSTONE_WEB_PORT"']);
  assertEquals([document.node, document.started, document.state], ["web", true, "stopped"]);
  assertEquals(document.test.exit_code, 0);
  assertEquals((await sandbox.assertOneServer("db")).pid, pid);
});

for (const next of ["start", "status"]) {
  Deno.test(`a run of several that is killed: the next ${next} ends what it left, and a start begins anew`, async () => {
    await using sandbox = await Sandbox.create();
    describe(sandbox, {
      db: { command: fixture(), port: 0 },
      web: { command: fixture(), port: 0, after: ["db"] },
    });
    const child = sandbox.spawn(["run", "--", "sh", "-c", "touch testing; exec sleep 600 >/dev/null 2>&1"]);
    await until("the test runs", () => exists(`${sandbox.project}/testing`));
    child.kill("SIGKILL");
    await child.output();
    if (next === "status") {
      // It waits two seconds at most for servers to exit; another one goes on.
      await until("all are stopped", async () => {
        const document = JSON.parse((await sandbox.run(["status", "--json"])).stdout);
        return states(document).join() === "db stopped,web stopped";
      });
      assertEquals(sandbox.processes(), []);
    }
    const { nodes } = await sandbox.json(["start"]);
    const reason = next === "start" ? "interrupted-run" : null;
    assertEquals(nodes.map(({ recovered }: Document) => recovered?.reason ?? null), [reason, reason]);
    for (const node of ["db", "web"]) await sandbox.assertOneServer(node);
  });
}

const MISTAKES: [string, unknown, string, string][] = [
  ["no JSON", "{ nodes", "it is not valid JSON, see line 1, column 3", "comments"],
  ["two commas", '{ // one\n  "nodes": {},, }', "it is not valid JSON, see line 2, column 15", "comments"],
  ["a comment without an end", '{ "nodes": {} } /* one', "it is not valid JSON, see line 1, column 17", "comments"],
  ["no object", [], "expected an object", '"nodes"'],
  ["another field", { node: {} }, 'Cannot use "node" in ', 'did you mean "nodes"?'],
  ["nodes no object", { nodes: [] }, 'Cannot use "nodes" in ', '"nodes"'],
  ["name", { nodes: { "a b": { command: "x" } } }, 'Cannot use "a b" as the name of a node', ""],
  ["node no object", { nodes: { web: 1 } }, 'Cannot use node "web" in tombstone.json: expected an object', '"web": {'],
  [
    "no command",
    { nodes: { web: {} } },
    'Cannot use node "web" in tombstone.json: it has no "command"',
    '"command": [',
  ],
  [
    "a field that is not there",
    { nodes: { web: { command: "x", prot: 1 } } },
    'Cannot use "prot" of node "web" in tombstone.json: there is no such field',
    'did you mean "port"?',
  ],
  [
    "a field that is not there, deeper",
    { nodes: { web: { command: "x", probes: { htp: "/" } } } },
    'Cannot use "probes.htp" of node "web" in tombstone.json',
    'did you mean "http"?',
  ],
  [
    "another form",
    { nodes: { web: { command: "x", port: "80" } } },
    'Cannot use "80" for "port" of node "web" in tombstone.json: expected a port such as 3000',
    '"port": 3000',
  ],
  [
    "a group that is none",
    { nodes: { web: { command: "x", stop: "TERM" } } },
    'Cannot use "TERM" for "stop" of node "web" in tombstone.json: expected an object',
    "",
  ],
  [
    "a value out of range",
    { nodes: { web: { command: "true", port: 99999 } } },
    'Cannot use 99999 for "port" of node "web" in tombstone.json: expected a port such as 3000',
    "",
  ],
  [
    "a duration",
    { nodes: { web: { command: "true", stop: { timeout: "soon" } } } },
    'Cannot use "soon" for "stop.timeout" of node "web" in tombstone.json: expected a duration',
    "",
  ],
  [
    "a directory",
    { nodes: { web: { command: "true", cwd: "nowhere" } } },
    '/nowhere" for "cwd" of node "web" in tombstone.json: no such directory',
    "",
  ],
  [
    "a program",
    { nodes: { web: { command: ["nosuch"] } } },
    'Cannot find "nosuch": no such command on PATH; it is the "command" of node "web" in tombstone.json',
    "install it",
  ],
  [
    "after nobody",
    { nodes: { web: { command: "x", after: ["bd"] }, db: { command: "x" } } },
    'Cannot use "bd" for "after" of node "web" in tombstone.json: there is no such node',
    'did you mean "db"?',
  ],
  [
    "a cycle",
    {
      nodes: {
        a: { command: "x", after: ["b"] },
        b: { command: "x", after: ["c"] },
        c: { command: "x", after: ["a"] },
      },
    },
    "Cannot order the nodes of tombstone.json: a comes after b comes after c comes after a",
    "",
  ],
  [
    "a port that is not asked for",
    { nodes: { web: { command: "true", env: { URL: "http://localhost:{port}" } } } },
    'Cannot use "{port}" of node "web" in tombstone.json: the node has no "port"',
    '"port": 0',
  ],
  [
    "a file with variables that is missing",
    { nodes: { web: { command: "true", env_file: ".env" } } },
    '/.env" for "env_file" of node "web" in tombstone.json: it does not exist',
    '.env?"',
  ],
  [
    "a reference without an order",
    { nodes: { web: { command: "echo {db.port}" }, db: { command: "x" } } },
    'Cannot use "{db.port}" of node "web" in tombstone.json: it does not come after "db"',
    '"after": ["db"]',
  ],
];

Deno.test("tombstone.json may have comments and trailing commas", async () => {
  await using sandbox = await Sandbox.create();
  const text = `// The nodes of this project
{
  "nodes": {
    /* a database, "quoted", // and so on */
    "db": { "command": ${JSON.stringify(fixture())}, "port": 0, }, // the last one
    "url": { "command": ["sh", "-c", "echo http://x/*; exec sleep 600",], "probes": { "none": true } },
  },
}
`;
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, text);
  const { nodes } = await sandbox.json(["start"]);
  assertEquals(nodes.map(({ node }: Document) => node), ["db", "url"]);
  assertEquals((await sandbox.json(["logs", "url"])).lines, ["http://x/*"]);
});

costly(
  "what is wrong in tombstone.json is told with file, node, field and the near name, and costs nothing",
  async (test) => {
    await using sandbox = await Sandbox.create();
    for (const [name, content, message, hint] of MISTAKES) {
      await test.step(name, async () => {
        const text = typeof content === "string" ? content : JSON.stringify(content);
        Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, text);
        const ran = await sandbox.run(["start", "--json"]);
        const { error } = JSON.parse(ran.stdout);
        assertEquals(ran.code, name === "a program" ? 127 : 2, ran.stdout);
        assertStringIncludes(error.message, message);
        assertStringIncludes(error.hint, hint);
        assert(!error.message.includes("\n"));
        assert(!exists(sandbox.state), "there is state");
      });
    }
    await test.step("commands that can do without say so and go on", async () => {
      Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, "{ nodes");
      const ran = await sandbox.run(["status"]);
      assertEquals([ran.code, ran.stdout], [3, "no nodes in this workspace\n"]);
      assertStringIncludes(ran.stderr, "warning: ");
      assertEquals((await sandbox.run(["start", "web", "--port", "0", "--", ...fixture()])).code, 0);
      const restarted = await sandbox.run(["restart", "web"]);
      assertEquals(restarted.code, 0, restarted.stderr);
      assertStringIncludes(restarted.stderr, "warning: ");
      const two = await sandbox.run(["restart", "web", "other"]);
      assertEquals(two.code, 3);
      assertStringIncludes(two.stderr, 'Cannot restart "other": no command is recorded for it');
      assertEquals((await sandbox.run(["stop", "web"])).code, 0);
      assertEquals((await sandbox.run(["stop", "--all"])).code, 0);
    });
    await test.step("an empty file is a mark for the project, and describes nothing", async () => {
      Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, "");
      const { error } = await sandbox.json(["start", "other"], { code: 2 });
      assertStringIncludes(error.hint, "tombstone init");
      assertEquals((await sandbox.run(["stop"])).code, 0);
    });
  },
);

const postgres = findPostgres();

Deno.test("PostgreSQL, redis and a web server that needs both: killed at every stage, the next start brings them up", {
  ignore: TIER === "fast" || postgres === null || Deno.uid() !== 0 || !installed("redis-server", "redis"),
}, async () => {
  await using sandbox = await Sandbox.create();
  const asUser = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
  const data = `${sandbox.root}/data`;
  Deno.chmodSync(sandbox.root, 0o755);
  new Deno.Command("install", { args: ["-d", "-o", "postgres", "-m", "700", data] }).outputSync();
  const [program, ...args] = [...asUser, `${postgres}/initdb`, "-D", data, "--auth=trust", "--no-sync"];
  const made = new Deno.Command(program!, { args, stdout: "null" }).outputSync();
  assert(made.success, new TextDecoder().decode(made.stderr));
  const ports = { db: freePort(), cache: freePort(), web: freePort() };
  const query = `${postgres}/psql -h 127.0.0.1 -p {db.port} -U postgres -tAc "select 'pg'"`;
  const ping = "redis-cli -p {cache.port} ping";
  describe(sandbox, {
    db: {
      command: [
        ...[...asUser, `${postgres}/postgres`, "-D", data, "-p", "{port}"],
        ...["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"],
      ],
      port: ports.db,
      stop: { signal: "INT" },
    },
    cache: {
      command: ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
      port: ports.cache,
    },
    // It asks both before it listens: started too early, it ends.
    web: {
      command: `set -e; ${query}; ${ping}; exec ${fixture("http=200").join(" ")}`,
      port: ports.web,
      probes: { http: "/" },
      after: ["db", "cache"],
    },
  });
  const begun = performance.now();
  const first = await sandbox.json(["start"]);
  const whole = performance.now() - begun;
  assertEquals(states(first), ["db running", "cache running", "web running"]);
  assertEquals((await sandbox.run(["stop"])).code, 0);
  const STAGES = 12;
  for (const stage of inTurn(Array.from({ length: STAGES }, (_, number) => number + 1), 5, 1)) {
    const child = sandbox.spawn(["start"]);
    await new Promise((resolve) => setTimeout(resolve, (whole * stage) / STAGES));
    kill(child);
    await child.output();
    assertEquals(
      states(await sandbox.json(["start"])),
      ["db running", "cache running", "web running"],
      `stage ${stage}`,
    );
    const [db, cache, web] = (await sandbox.json(["status"])).nodes.map(({ pid, ready }: Document) => {
      assert(ready);
      return pid as number;
    });
    // The processes of PostgreSQL overwrite their environments, and have sessions of their own.
    const strangers = () =>
      sandbox.processes().filter((pid) => ![db, cache, web].includes(pid) && readProcess(pid)?.ppid !== db);
    await until(
      "nothing of a dead attempt is left",
      () => strangers().length === 0,
      60_000,
      () => strangers().map(String),
    );
    assertEquals(Deno.readTextFileSync(`${data}/postmaster.pid`).split("\n")[0], String(db));
    if (stage % 2 === 0) {
      // And half-way through a stop.
      const stopping = sandbox.spawn(["stop"]);
      await new Promise((resolve) => setTimeout(resolve, (100 * stage) / STAGES));
      kill(stopping);
      await stopping.output();
    }
    assertEquals((await sandbox.run(["stop"])).code, 0);
    assertEquals(sandbox.processes(), []);
  }
});

costly("init writes what it finds, and start starts it", async (test) => {
  await test.step("package.json", async () => {
    await using sandbox = await Sandbox.create();
    const serve = fixture(`port=${freePort()}`).join(" ");
    const scripts = { build: "false", start: serve };
    Deno.writeTextFileSync(`${sandbox.project}/package.json`, JSON.stringify({ name: "x", version: "1.0.0", scripts }));
    const ran = await sandbox.run(["init"]);
    assertEquals(
      ran.stdout,
      'wrote tombstone.json\n  web: from the script "start" of package.json\nnext: tombstone start\n',
    );
    assertEquals((await sandbox.run(["start"])).code, 0);
    await sandbox.assertOneServer("web");
    const { error } = await sandbox.json(["init"], { code: 2 });
    assertStringIncludes(error.message, "it is there already");
  });
  await test.step("Procfile, which comes before package.json", async () => {
    await using sandbox = await Sandbox.create();
    const procfile = `# comment\nweb: ${fixture("port=$PORT").join(" ")}\nworker: sleep 600\n`;
    Deno.writeTextFileSync(`${sandbox.project}/Procfile`, procfile);
    Deno.writeTextFileSync(`${sandbox.project}/package.json`, '{ "scripts": { "dev": "false" } }');
    const { nodes } = await sandbox.json(["init"]);
    assertEquals(Object.keys(nodes), ["web", "worker"]);
    assertEquals(states(await sandbox.json(["start"])), ["web running", "worker running"]);
  });
  await test.step("mix.exs, and the package manager of a lock file", async () => {
    await using sandbox = await Sandbox.create();
    Deno.writeTextFileSync(`${sandbox.project}/mix.exs`, 'deps: [{:phoenix, "~> 1.7"}]');
    Deno.writeTextFileSync(`${sandbox.project}/package.json`, '{ "scripts": { "dev": "vite" } }');
    Deno.writeTextFileSync(`${sandbox.project}/pnpm-lock.yaml`, "");
    assertEquals((await sandbox.json(["init"])).nodes, {
      web: { command: ["pnpm", "run", "dev", "--port", "{port}", "--strictPort"], port: "5173+" },
      phoenix: { command: ["mix", "phx.server"], probes: { http: "/" } },
    });
  });
  await test.step("nothing", async () => {
    await using sandbox = await Sandbox.create();
    assertStringIncludes((await sandbox.json(["init"], { code: 3 })).error.hint, "tombstone start -- COMMAND");
    assert(!exists(`${sandbox.project}/tombstone.json`));
  });
});

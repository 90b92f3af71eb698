/** The variables of `tombstone env`, before and after a start. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Document, exists, fixture, freePort, Sandbox } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

const HTTP = fixture("http");

function describe(sandbox: Sandbox, nodes: Record<string, unknown>, dir = sandbox.project): void {
  Deno.writeTextFileSync(`${dir}/tombstone.json`, JSON.stringify({ nodes }));
}

costly("env shows the port of the next start, and the port of the running node", async () => {
  await using sandbox = await Sandbox.create();
  const from = freePort();
  const trees = ["main", "tree"].map((name) => `${sandbox.root}/${name}`);
  for (const dir of trees) {
    Deno.mkdirSync(dir);
    describe(sandbox, { web: { command: HTTP, port: `${from}+`, probes: { http: "/" } } }, dir);
  }
  const env = async (cwd: string) => (await sandbox.json(["env", "web"], { cwd })).env;
  const before = [await env(trees[0]!), await env(trees[1]!)];
  assertEquals(before.map(({ PORT }) => PORT), [String(from), String(from + 1)]);
  assertEquals(before[1].TOMBSTONE_URL, `http://localhost:${from + 1}`);
  for (const at of [1, 0]) {
    const { port, url, host } = await sandbox.json(["start", "web"], { cwd: trees[at]! });
    assertEquals(port, from + at);
    const after = await env(trees[at]!);
    assertEquals([after.PORT, after.TOMBSTONE_HOST, after.TOMBSTONE_URL], [String(port), host, url]);
    // A tool gets the variables that a shell reads from the output.
    const line = `eval "$(${sandbox.commandLine(["env", "web"])})"; node -e 'fetch(process.env.TOMBSTONE_URL)` +
      `.then(async (r) => console.log(process.env.PORT, r.status))'`;
    assertEquals((await sandbox.shell(line, { cwd: trees[at]! })).stdout, `${port} 200\n`);
    await sandbox.json(["stop"], { cwd: trees[at]! });
    assertEquals((await env(trees[at]!)).TOMBSTONE_URL, url, "where it was last");
  }
});

Deno.test("env of several nodes puts the node's name into each variable, as dependent nodes get them", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    "my-db": { command: HTTP, port: 0 },
    web: { command: fixture("say={my-db.url}"), port: 0, after: ["my-db"] },
  });
  const { env, nodes } = await sandbox.json(["env"]);
  assertEquals(nodes.map(({ node }: Document) => node), ["my-db", "web"]);
  assertEquals(env.PORT, undefined, "whose would it be?");
  const [db, web] = (await sandbox.json(["start"])).nodes;
  assertEquals([env.TOMBSTONE_MY_DB_PORT, env.TOMBSTONE_WEB_PORT], [String(db.port), String(web.port)]);
  const told = (await sandbox.json(["env"])).env;
  const environ = Deno.readTextFileSync(`/proc/${web.pid}/environ`).split("\0");
  for (const what of ["HOST", "PORT", "URL"]) {
    const name = `TOMBSTONE_MY_DB_${what}`;
    assert(environ.includes(`${name}=${told[name]}`), name);
  }
  const dotenv = await sandbox.run(["env", "web", "--format", "dotenv"]);
  assertEquals(dotenv.stdout.split("\n")[0], `PORT=${web.port}`);
  assert(dotenv.stdout.split("\n").includes(`TOMBSTONE_WEB_PORT=${web.port}`));
  const shell = await sandbox.run(["env", "--format", "shell"]);
  assert(shell.stdout.trimEnd().split("\n").every((line) => line.startsWith("export TOMBSTONE_")), shell.stdout);
  assertEquals(
    (await sandbox.run(["env", "web", "--format", "json"])).stdout,
    (await sandbox.run(["env", "web", "--json"])).stdout,
  );
});

Deno.test("env of a node with one port, of a recorded one, and of a node without a port", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  describe(sandbox, {
    fixed: { command: HTTP, port, host: "127.0.0.1" },
    found: { command: fixture() },
    "a-b": { command: fixture(), port: 0 },
    "a.b": { command: fixture(), port: 0 },
  });
  assertEquals((await sandbox.json(["env", "fixed"])).url, `127.0.0.1:${port}`);
  assert(!exists(sandbox.state), "nothing had to be claimed");
  const refused = async (args: string[], code: number) => (await sandbox.json(["env", ...args], { code })).error;
  assertStringIncludes((await refused(["found"], 3)).message, "it does not run, and no port is set for it");
  assertStringIncludes((await refused(["fixd"], 3)).hint, 'did you mean "fixed"?');
  const both = await refused(["a-b", "a.b"], 2);
  assertStringIncludes(both.message, 'Cannot tell "a-b" and "a.b" apart');
  assertEquals(both.hint, "tombstone env a.b");
  const format = await refused(["fixed", "--format", "yaml"], 2);
  assertStringIncludes(format.message, "expected one of shell, dotenv, json");
  assertEquals((await refused(["fixed", "--format="], 2)).kind, "usage");
  const found = await sandbox.json(["start", "found"]);
  assertEquals((await sandbox.json(["env", "found"])).env.PORT, String(found.port));
  // Recorded only: the settings of its next start.
  await sandbox.json(["start", "api", "--port", "0", "--", ...HTTP]);
  await sandbox.json(["stop", "api"]);
  const api = await sandbox.json(["env", "api"]);
  assertEquals((await sandbox.json(["start", "api"])).port, api.port);
});

Deno.test("env waits for a start that chooses a port, and an env that is killed half-way blocks no port", async () => {
  await using sandbox = await Sandbox.create();
  const from = freePort();
  describe(sandbox, { web: { command: HTTP, port: `${from}+` }, slow: { command: fixture("delay=700"), port: 0 } });
  for (const step of ["port-recorded", "port-claimed"]) {
    const killed = await sandbox.spawn(["env", "web"], { env: { TOMBSTONE_FAILPOINT: step } }).output();
    assertEquals(killed.signal, "SIGKILL", step);
    assertEquals((await sandbox.json(["env", "web"])).port, from);
    assertEquals((await sandbox.json(["start", "web"])).port, from);
    await sandbox.json(["stop", "web"]);
    await sandbox.json(["forget", "web"]);
  }
  const starting = sandbox.json(["start", "slow"]);
  const asked = await Promise.all([sandbox.json(["env", "slow"]), sandbox.json(["env", "slow"])]);
  const { port } = await starting;
  assertEquals(asked.map((told) => told.port), [port, port]);
});

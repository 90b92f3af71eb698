/** Chosen ports: the node keeps them, and no other node gets them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { accepts, type Document, exists, fixture, freePort, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** Two projects of one state directory. */
function projects(sandbox: Sandbox): [string, string] {
  const dirs = ["main", "tree"].map((name) => `${sandbox.root}/${name}`);
  for (const dir of dirs) {
    Deno.mkdirSync(dir);
    Deno.writeTextFileSync(`${dir}/tombstone.json`, "");
  }
  return dirs as [string, string];
}

/** A port from which on several are free. */
async function base(): Promise<number> {
  for (;;) {
    const port = freePort();
    const isFree = async (at: number) => !(await accepts(at));
    if (await isFree(port + 1) && await isFree(port + 2)) return port;
  }
}

Deno.test("two worktrees get two ports from the same number on, and keep them", async () => {
  await using sandbox = await Sandbox.create();
  const [main, tree] = projects(sandbox);
  const from = await base();
  const start = ["start", "web", "--port", `${from}+`, "--", ...fixture("say={port}")];
  const portOf = async (cwd: string, args = start) => (await sandbox.json(args, { cwd })).port;
  assertEquals([await portOf(main), await portOf(tree)], [from, from + 1]);
  for (const cwd of [main, tree]) await sandbox.json(["stop"], { cwd });
  // In any order, and with none of them running.
  assertEquals([await portOf(tree), await portOf(main)], [from + 1, from]);
  assertEquals((await sandbox.json(["logs", "web"], { cwd: tree })).lines, [String(from + 1)]);
  for (const cwd of [main, tree]) await sandbox.json(["stop"], { cwd });
  assertEquals(await portOf(tree, ["start", "web"]), from + 1, "recorded");
  await sandbox.json(["sweep", "--all"]);
  assertEquals(await portOf(main, ["restart", "web"]), from);
  // Another node of the same project also gets the next one, and so does a node of the library.
  assertEquals(await portOf(main, ["start", "api", ...start.slice(2)]), from + 2);
  // With another number it chooses again; other nodes can then get its old port.
  await sandbox.json(["stop"], { cwd: tree });
  const other = await base();
  assertEquals(await portOf(tree, ["start", "web", "--port", `${other}+`, "--", ...fixture()]), other);
  assertEquals(await portOf(tree, ["start", "new", "--port", `${from}+`, "--", ...fixture()]), from + 1);
});

costly("if a node's workspace or record is gone, other nodes get its port", async () => {
  await using sandbox = await Sandbox.create();
  const [main, tree] = projects(sandbox);
  const from = await base();
  const start = ["start", "web", "--port", `${from}+`, "--", ...fixture()];
  const { dir } = await sandbox.json(start, { cwd: tree });
  await sandbox.json(["stop"], { cwd: tree });
  Deno.removeSync(tree, { recursive: true });
  assertEquals((await sandbox.json(start, { cwd: main })).port, from);
  await sandbox.json(["stop"], { cwd: main });
  // The directory is created again: its node had the port first, but has lost it.
  Deno.mkdirSync(tree);
  Deno.writeTextFileSync(`${tree}/tombstone.json`, "");
  assertEquals((await sandbox.json(start, { cwd: tree })).port, from + 1);
  await sandbox.json(["stop"], { cwd: tree });
  Deno.removeSync(dir, { recursive: true });
  assertEquals((await sandbox.json(["start", "api", ...start.slice(2)], { cwd: main })).port, from + 1);
  await sandbox.json(["stop"], { cwd: main });
  Deno.removeSync(sandbox.state, { recursive: true });
  assertEquals((await sandbox.json(["start", "api", ...start.slice(2)], { cwd: main })).port, from);
});

costly("eight nodes that choose at once get eight ports", async () => {
  await using sandbox = await Sandbox.create();
  const from = await base();
  const names = Array.from({ length: 8 }, (_, at) => `n${at}`);
  const choose = (node: string) => sandbox.json(["start", node, "--port", `${from}+`, "--", ...fixture()]);
  const ports = (await Promise.all(names.map(choose))).map(({ port }) => port);
  assertEquals(new Set(ports).size, 8);
  await sandbox.json(["stop"]);
  assertEquals((await Promise.all(names.toReversed().map(choose))).map(({ port }) => port), ports.toReversed());
});

costly("a start that is killed while it claims a port keeps nobody from it, and claims it again", async () => {
  for (const step of ["port-recorded", "port-claimed", "port-checked", "spawned"]) {
    await using sandbox = await Sandbox.create();
    const from = await base();
    const start = ["start", "web", "--port", `${from}+`, "--", ...fixture()];
    const killed = await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: step } }).output();
    assertEquals(killed.signal, "SIGKILL", step);
    // Before the claim, another node may get the port; after it, none does.
    const api = await sandbox.json(["start", "api", ...start.slice(2)]);
    assertEquals(api.port, step === "port-recorded" ? from : from + 1, step);
    assertEquals((await sandbox.json(start)).port, step === "port-recorded" ? from + 1 : from, step);
    await sandbox.assertOneServer("web");
  }
});

Deno.test("a port that a killed start recorded, and that was another's until its project went, is claimed anew", async () => {
  await using sandbox = await Sandbox.create();
  const [main, tree] = projects(sandbox);
  const from = await base();
  const start = ["start", "web", "--port", `${from}+`, "--", ...fixture()];
  const killed = await sandbox.spawn(start, { cwd: main, env: { TOMBSTONE_FAILPOINT: "port-recorded" } }).output();
  assertEquals(killed.signal, "SIGKILL");
  Deno.writeTextFileSync(`${sandbox.state}/.ports/.${from}.killed.tmp`, "{"); // as of one that was writing its claim
  assertEquals((await sandbox.json(start, { cwd: tree })).port, from);
  assertEquals([...Deno.readDirSync(`${sandbox.state}/.ports`)].map(({ name }) => name), [String(from)]);
  await sandbox.json(["stop"], { cwd: tree });
  Deno.renameSync(tree, `${tree}-away`);
  assertEquals((await sandbox.json(start, { cwd: main })).port, from);
  await sandbox.json(["stop"], { cwd: main });
  Deno.renameSync(`${tree}-away`, tree);
  assertEquals((await sandbox.json(start, { cwd: tree })).port, from + 1);
});

costly("whatever is in the place of the claims, a start copes", async () => {
  await using sandbox = await Sandbox.create();
  const from = await base();
  const start = ["start", "web", "--port", `${from}+`, "--", ...fixture()];
  await sandbox.json(start);
  await sandbox.json(["stop", "web"]);
  const ports = `${sandbox.state}/.ports`;
  const forged = [
    "",
    "garbage",
    "[]",
    '{"workspace":"..","node":".."}',
    '{"workspace":7}',
    `{"workspace":"a","node":"b"}`,
  ];
  for (const text of forged) {
    Deno.writeTextFileSync(`${ports}/${from}`, text);
    assertEquals((await sandbox.json(start)).port, from, text);
    await sandbox.json(["stop", "web"]);
  }
  Deno.removeSync(`${ports}/${from}`);
  Deno.mkdirSync(`${ports}/${from}/inside`, { recursive: true });
  assertEquals((await sandbox.json(start)).port, from);
  await sandbox.json(["stop", "web"]);
  const elsewhere = `${sandbox.root}/elsewhere`;
  Deno.mkdirSync(elsewhere);
  for (const make of [() => Deno.writeTextFileSync(ports, "x"), () => Deno.symlinkSync(elsewhere, ports)]) {
    Deno.removeSync(ports, { recursive: true });
    make();
    assertEquals((await sandbox.json(start)).port, from);
    assert(Deno.lstatSync(ports).isDirectory);
    await sandbox.json(["stop", "web"]);
  }
  assertEquals([...Deno.readDirSync(elsewhere)], []);
  // It is no workspace.
  assertEquals((await sandbox.json(["list"])).nodes.map(({ node }: Document) => node), ["web"]);
  assertEquals((await sandbox.run(["start", "x", "--workspace", ".ports", "--", "true"])).code, 2);
});

Deno.test("the error for a port in use names its owner, and for a node its project", async () => {
  await using sandbox = await Sandbox.create();
  const [main, tree] = projects(sandbox);
  const from = await base();
  const start = ["start", "web", "--port", `${from}+`, "--", ...fixture()];
  await sandbox.json(start, { cwd: tree });
  await sandbox.json(["stop", "web"], { cwd: tree });
  const fixed = ["start", "api", "--port", String(from), "--", ...fixture()];
  const api = await sandbox.json(fixed, { cwd: main });
  const ran = await sandbox.run(start, { cwd: tree });
  assertStringIncludes(ran.stderr, `port ${from} of "web" is "api" of ${main}, pid ${api.pid} (`);
  assertStringIncludes(ran.stderr, `it gets ${from + 1} for now`);
  const { error } = await sandbox.json([...fixed.slice(0, 1), "own", ...fixed.slice(2)], { cwd: tree, code: 5 });
  assertStringIncludes(error.message, `port ${from} is "api" of ${main}`);
  assertStringIncludes(error.hint, `tombstone stop api --workspace ${api.workspace}`);
});

costly(
  "3000+ in tombstone.json and on the command line: forms that are refused, and a range that is full",
  async () => {
    await using sandbox = await Sandbox.create();
    const from = await base();
    const describe = (port: unknown) =>
      Deno.writeTextFileSync(
        `${sandbox.project}/tombstone.json`,
        JSON.stringify({ nodes: { web: { command: fixture(), port } } }),
      );
    describe(`${from}+`);
    assertEquals((await sandbox.json(["start", "web"])).port, from);
    assertEquals((await sandbox.json(["start", "web"])).differs, []);
    describe(`${from + 100}+`);
    assertEquals((await sandbox.json(["start", "web"])).differs, ["port"]);
    await sandbox.json(["stop"]);
    for (const port of ["+", "0+", "65536+", "3000 +", "x", "", 65536, 1.5, -1, [3000], "3000++"]) {
      describe(port);
      const { error } = await sandbox.json(["start"], { code: 2 });
      assertStringIncludes(error.message, '"port" of node "web" in tombstone.json', JSON.stringify(port));
      if (typeof port !== "string") continue;
      const args = ["start", "api", `--port=${port}`, "--", ...fixture()];
      assertStringIncludes((await sandbox.json(args, { code: 2 })).error.message, "--port", port);
    }
    describe(0);
    const stranger = sandbox.bystander(fixture("port=65535"));
    await until("the stranger listens", () => accepts(65535));
    const { error } = await sandbox.json(["start", "full", "--port", "65535+", "--", ...fixture()], { code: 5 });
    assertEquals([error.kind, error.hint], ["port-in-use", "name one with --port N"]);
    assertStringIncludes(error.message, 'Cannot start "full": no port from 65535 on is free');
    assert(isRunning(stranger));
    assert(!exists(`${sandbox.nodeDir("full")}/starting`));
  },
);

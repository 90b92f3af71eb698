/** Forgetting: removes everything of a node that does not run, and never touches a running one. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Document, exists, fixture, freePort, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

const actions = (document: Document): string[] =>
  document.nodes.map(({ node, action }: Document) => `${node} ${action}`);

Deno.test("forget removes records, logs and claims of nodes that do not run, and nothing of running ones", async () => {
  await using sandbox = await Sandbox.create();
  const from = freePort();
  const web = ["start", "web", "--port", `${from}+`, "--", ...fixture("say=hello")];
  const { pid, dir, port } = await sandbox.json(web);
  await sandbox.json(["start", "api", "--no-probe", "--", "sleep", "600"]);
  await sandbox.json(["stop", "api"]);
  const ran = await sandbox.run(["forget", "web"]);
  assertEquals([ran.code, ran.stdout], [1, '"web" is running, not forgotten; first: tombstone stop web\n']);
  assertEquals(actions(await sandbox.json(["rm"])), ["api forgotten", "web running"]);
  assert(isRunning(pid) && !exists(sandbox.nodeDir("api")) && exists(`${sandbox.state}/.ports/${port}`));
  await sandbox.assertOneServer("web");
  await sandbox.json(["stop"]);
  const { nodes } = await sandbox.json(["forget", "web"]);
  const workspace = dir.split("/").at(-2);
  assertEquals(nodes, [{ workspace, node: "web", action: "forgotten", recovered: null, kept: [] }]);
  assert(!exists(dir) && !exists(`${sandbox.state}/.ports/${port}`));
  assertEquals((await sandbox.json(["start", "web"], { code: 2 })).error.kind, "usage", "no command is known");
  assertEquals((await sandbox.json(["list"])).nodes, []);
  assertEquals((await sandbox.run(["forget"])).stdout, "no nodes in this workspace\n");
  // Any node can get the port again.
  assertEquals((await sandbox.json(["start", "other", ...web.slice(2)])).port, port);
});

costly("forget --all covers every workspace; for an unknown name it suggests the nearest", async () => {
  await using sandbox = await Sandbox.create();
  const elsewhere = ["--workspace", "elsewhere"];
  for (const node of ["one", "two"]) {
    await sandbox.json(["start", node, "--no-probe", ...elsewhere, "--", "sleep", "600"]);
    await sandbox.json(["start", node, "--no-probe", "--", "sleep", "600"]);
  }
  await sandbox.json(["stop"]);
  await sandbox.json(["stop", "one", ...elsewhere]);
  const ran = await sandbox.run(["forget", "tow", "--json"]);
  assertEquals([ran.code, actions(JSON.parse(ran.stdout))], [0, ["tow nothing"]]);
  assertStringIncludes(ran.stderr, 'there is no node "tow" (did you mean "two"?)');
  assertEquals(actions(await sandbox.json(["forget", "--all"])).sort(), [
    "one forgotten",
    "one forgotten",
    "two forgotten",
    "two running",
  ]);
  assertEquals((await sandbox.json(["forget", "two", "--all"], { code: 2 })).error.hint, "tombstone forget --all");
  assertEquals((await sandbox.json(["list"])).nodes.length, 1);
  for (const [alias, name] of [["ls", "list"], ["ps", "status"], ["rm", "forget"]] as const) {
    assertEquals((await sandbox.run([alias, "--help"])).stdout, (await sandbox.run([name, "--help"])).stdout);
  }
});

costly("forget first ends the processes of an interrupted start", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--", ...fixture()];
  for (const step of ["tombstone-written", "spawned", "waiting", "committed"]) {
    await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: step } }).output();
    if (step === "committed") {
      const { pid } = await sandbox.json(["status", "web"]);
      Deno.kill(pid, "SIGKILL");
      await until("it is gone", () => !isRunning(pid));
    }
    const { recovered } = (await sandbox.json(["forget", "web"])).nodes[0];
    assertEquals(recovered.reason, step === "committed" ? "died" : "interrupted-start", step);
    assertEquals([sandbox.processes(), exists(`${sandbox.nodeDir("web")}`)], [[], false], step);
  }
  await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("exit=3")], { code: 1 });
  assertEquals(actions(await sandbox.json(["forget"])), ["web forgotten"]);
});

costly("a forget that is killed anywhere is made good by the next command", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--", ...fixture()];
  for (const next of [["forget", "web"], start]) {
    for (const step of ["locked", "recovered", "tombstone-removed", "released"]) {
      await sandbox.json(start);
      await sandbox.json(["stop", "web"]);
      const killed = await sandbox.spawn(["forget", "web"], { env: { TOMBSTONE_FAILPOINT: step } }).output();
      assertEquals(killed.signal, "SIGKILL");
      await sandbox.json(next);
      if (next === start) await sandbox.assertOneServer("web");
      else assert(!exists(sandbox.nodeDir("web")), step);
      await sandbox.json(["stop", "web"]);
    }
  }
});

costly(
  "starts and forgets of one node at once: each start runs in the end, and none is forgotten while it runs",
  async () => {
    await using sandbox = await Sandbox.create();
    const start = ["start", "web", "--port", "0", "--", ...fixture()];
    for (let round = 0; round < 4; round++) {
      await sandbox.json(start);
      await sandbox.json(["stop", "web"]);
      const forgets = [sandbox.run(["forget", "web"]), sandbox.run(["forget", "web"])];
      const started = await sandbox.json(start);
      for (const { code, stderr } of await Promise.all(forgets)) assert(code === 0 || code === 1, stderr);
      assert(isRunning(started.pid));
      await sandbox.assertOneServer("web");
      await sandbox.json(["stop", "web"]);
    }
  },
);

Deno.test("forget removes the tool's own files; a server's files in the node's directory stay and are listed", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--no-probe", "--", "sleep", "600"];
  const { dir } = await sandbox.json(start);
  await sandbox.json(["stop", "web"]);
  const outside = `${sandbox.root}/outside`;
  Deno.mkdirSync(outside);
  Deno.writeTextFileSync(`${outside}/precious`, "x");
  Deno.removeSync(`${dir}/recorded.json`);
  Deno.symlinkSync(outside, `${dir}/recorded.json`);
  Deno.mkdirSync(`${dir}/server.log.7/inside`, { recursive: true });
  Deno.symlinkSync(`${outside}/precious`, `${dir}/port`);
  assertEquals((await new Deno.Command("mkfifo", { args: [`${dir}/.x.tmp`] }).output()).success, true);
  Deno.writeTextFileSync(`${dir}/data.db`, "x");
  const forgot = await sandbox.run(["forget", "web"]);
  assertEquals(forgot.stdout, `forgot "web", but "${dir}" still holds other files: data.db\n`);
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["data.db"]);
  assertEquals(Deno.readTextFileSync(`${outside}/precious`), "x");
  Deno.removeSync(`${dir}/data.db`);
  await sandbox.json(["forget", "web"]);
  assert(!exists(dir));
});

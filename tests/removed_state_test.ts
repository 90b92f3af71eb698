/** State that somebody deletes: under the hands of a start, and behind a running server's back. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isInstalled } from "./support/servers.ts";
import { type Document, fixture, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** A server that listens only once the gate is there. */
function gated(sandbox: Sandbox, gate: string): string[] {
  const serve = fixture("child").map(sandbox.quote).join(" ");
  return ["sh", "-c", `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${serve}`];
}

for (
  const [when, meanwhile] of [
    ["is waiting", () => {}],
    ["is about to commit", (gate: string) => Deno.writeTextFileSync(gate, "")],
    ["is told to end", (_gate: string, starter: number) => Deno.kill(starter, "SIGTERM")],
  ] as const
) {
  Deno.test(`a start whose state is deleted half-way, while it ${when}, ends only what it started and leaves its successor alone`, async () => {
    await using sandbox = await Sandbox.create();
    const gate = `${sandbox.project}/go`;
    const declared = `${sandbox.project}/declared`;
    const args = ["start", "web", "--port", "0", "--sweep-file", declared, "--json", "--"];
    const first = sandbox.spawn([...args, ...gated(sandbox, gate)]);
    const output = first.output();
    // From then on it waits for the server, and writes nothing before it has looked whose the state is.
    await until("it has a server", () => sandbox.serversOf("web").length > 0);
    await until("it waits", () => sandbox.runtimeFiles("web").some((name) => name.startsWith(".port.")));
    const { starter_pid } = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/starting`));
    // It sleeps until its successor is ready.
    Deno.kill(starter_pid, "SIGSTOP");
    let second: Document;
    try {
      await until("it sleeps", () => readProcess(starter_pid)?.state === "T");
      Deno.removeSync(sandbox.state, { recursive: true });
      meanwhile(gate, starter_pid);
      second = await sandbox.json([...args, ...fixture(`write=${declared}`)].filter((word) => word !== "--json"));
    } finally {
      Deno.kill(starter_pid, "SIGCONT");
    }
    assertEquals(second.recovered.reason, "removed-state");
    const { code, stdout } = await output;
    const { error } = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals([code, error.kind], [4, "state"]);
    assertStringIncludes(error.message, "was removed meanwhile");
    assertEquals((await sandbox.assertOneServer("web")).pid, second.pid);
    assert(Deno.statSync(declared).isFile);
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
  });
}

Deno.test("a start whose state is deleted notices it at once, and leaves nothing", async () => {
  await using sandbox = await Sandbox.create();
  const start = sandbox.spawn(["start", "web", "--port", "0", "--json", "--", ...gated(sandbox, "/nonexistent")]);
  const output = start.output();
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  await until("it waits", () => [...Deno.readDirSync(sandbox.nodeDir("web"))].some(({ name }) => name === "pid"));
  Deno.removeSync(sandbox.state, { recursive: true });
  const { code, stdout } = await output;
  assertEquals([code, JSON.parse(new TextDecoder().decode(stdout)).error.kind], [4, "state"]);
  assertEquals(sandbox.processes(), []);
  assert([...Deno.readDirSync(sandbox.root)].every(({ name }) => name !== "state"), "no file was made anew");
});

costly("of twenty starters that wait while the state is deleted, none ends for that: they make it again", async () => {
  await using sandbox = await Sandbox.create();
  const gate = `${sandbox.project}/go`;
  const port = String(freePort());
  const args = ["start", "web", "--port", port, "--json", "--"];
  const first = sandbox.spawn([...args, ...gated(sandbox, gate)]).output();
  await until("the first server runs", () => sandbox.serversOf("web").length > 0);
  const waiting = Array.from({ length: 20 }, () => sandbox.spawn([...args, ...fixture()]));
  const told = waiting.map(() => "");
  const ends = waiting.map(async (child, at) => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) told[at] += text;
    return { code: (await child.status).code, stdout: await new Response(child.stdout).text(), stderr: told[at] };
  });
  // Who holds the lock cannot always be told: the kernel's list of locks is no snapshot.
  await until("all of them wait", () => told.every((text) => text.includes("waiting for ")), 60_000, () => told);
  // Those that wait may make files anew in what is being removed, and then a part of it stays.
  await sandbox.shell(`rm -rf ${sandbox.state}`);
  assertEquals((await first).code, 4);
  const documents = [];
  for (const { code, stdout, stderr } of await Promise.all(ends)) {
    assertEquals(code, 0, `${stdout}${stderr}`);
    documents.push(JSON.parse(stdout));
  }
  assertEquals(new Set(documents.map(({ pid }) => pid)).size, 1);
  assertEquals(documents.filter(({ started }) => started).length, 1);
  await sandbox.assertOneServer("web");
});

costly(
  "a server whose state was deleted is found by its environment: told by status, ended by start, stop and sweep",
  async () => {
    await using sandbox = await Sandbox.create();
    sandbox.bystander();
    const args = ["start", "web", "--port", String(freePort()), "--", ...fixture("child")];
    for (const command of [args, ["stop", "web"], ["sweep", "web"]]) {
      const started = await sandbox.json(args);
      await until("the child runs", () => sandbox.serversOf("web").length === 2);
      const servers = sandbox.serversOf("web");
      Deno.removeSync(sandbox.state, { recursive: true });
      assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "interrupted");
      const document = await sandbox.json(command);
      const { recovered } = document.nodes?.[0] ?? document;
      assertEquals([recovered.reason, recovered.attempt], ["removed-state", started.attempt]);
      assertEquals(recovered.pids.toSorted(), servers.toSorted());
      assert(!isRunning(started.pid));
      if (command === args) await sandbox.assertOneServer("web");
      else assertEquals(sandbox.processes(), []);
      await sandbox.json(["stop", "web"]);
    }
    sandbox.assertBystanders();
  },
);

Deno.test("a clean checkout for the next job, which takes the state with it, does not lead to exit 5 from its own orphan", async () => {
  await using sandbox = await Sandbox.create();
  const env = { TOMBSTONE_STATE_DIR: `${sandbox.project}/.tombstone` };
  const args = ["start", "web", "--port", String(freePort()), "--", ...fixture()];
  const first = await sandbox.json(args, { env });
  assertEquals((await sandbox.shell("git init -q && git clean -ffdxq")).code, 0);
  const second = await sandbox.json(args, { env });
  assertEquals(second.recovered.pids, [first.pid]);
  assert(isRunning(second.pid));
  await sandbox.json(["stop", "web"], { env });
});

costly(
  "who is looked for where nothing is recorded: no other node, no other state directory, nobody of another user",
  async () => {
    await using sandbox = await Sandbox.create();
    const start = (node: string, more: string[] = []) => ["start", node, "--port", "0", ...more, "--"];
    // A node that is started from inside another one, and outlives it.
    const inner = sandbox.commandLine([...start("inner"), ...fixture()]);
    const outer = `${inner} >/dev/null; exec ${fixture().map(sandbox.quote).join(" ")}`;
    await sandbox.json([...start("outer"), "sh", "-c", outer]);
    const { pid: innerPid } = await sandbox.json(["status", "inner"]);
    // A node of the same names in another state directory.
    const env = { TOMBSTONE_STATE_DIR: `${sandbox.root}/other` };
    const other = await sandbox.json([...start("outer"), ...fixture()], { env });
    // What names directory and attempt, but is another user's.
    const forged = `TOMBSTONE_NODE_DIR=${sandbox.nodeDir("outer")} TOMBSTONE_ATTEMPT=${crypto.randomUUID()}`;
    const isRoot = Deno.uid() === 0 && isInstalled("setpriv");
    if (isRoot) {
      sandbox.bystander(["sh", "-c", `exec env ${forged} setpriv --reuid=65534 --clear-groups sleep 600`]);
    }
    Deno.removeSync(sandbox.nodeDir("outer"), { recursive: true });
    const { nodes: [{ recovered }] } = await sandbox.json(["stop", "outer"]);
    assertEquals(recovered.reason, "removed-state");
    assert(isRunning(innerPid), "the inner node runs");
    assertEquals((await sandbox.json(["status", "inner"])).pid, innerPid);
    assert(isRunning(other.pid), "the other node runs");
    sandbox.assertBystanders();
    await sandbox.json(["stop", "outer"], { env });
  },
);

/** What a node ends with, apart from its directory (directory_test.ts), and that nothing else ends it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Document, exists, fixture, isRunning, killPid, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { elsewhere, untilEnded } from "./support/leases.ts";
import { canUnshare, PidNamespace } from "./support/namespace.ts";
import { installed } from "./support/servers.ts";
import { costly, inTurn } from "./support/tier.ts";

const START = ["--port", "0", "--", ...fixture()];

/** A process for nodes to end with. */
class Owner implements AsyncDisposable {
  readonly #child = new Deno.Command("sleep", { args: ["600"], stdin: "null", stdout: "null", stderr: "null" }).spawn();
  readonly pid = this.#child.pid;
  readonly flags = ["--while-pid", String(this.pid)];

  /** Ends and reaps it, so that its pid is free. */
  async end(): Promise<void> {
    killPid(this.pid);
    await this.#child.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

/** What a command in another project has ended. */
async function endedElsewhere(sandbox: Sandbox, env: Record<string, string> = {}): Promise<Document[]> {
  return (await sandbox.json(["list"], { ...elsewhere(sandbox), env })).leases_ended ?? [];
}

/** Changes a file of JSON. */
function change(path: string, how: (content: Document) => Document): void {
  Deno.writeTextFileSync(path, JSON.stringify(how(JSON.parse(Deno.readTextFileSync(path)))));
}

const infoOf = (sandbox: Sandbox, node: string) => `${sandbox.nodeDir(node)}/node.info`;

/** The entries in the index of leases. */
const entriesOf = (sandbox: Sandbox) =>
  [...Deno.readDirSync(`${sandbox.state}/.leases`)].map(({ name }) => `${sandbox.state}/.leases/${name}`);

Deno.test("a node ends with the process that it was started for, at the next command of another project", async () => {
  await using sandbox = await Sandbox.create();
  await using owner = new Owner();
  const { pid, while_pid, workspace } = await sandbox.json(["start", "web", ...owner.flags, ...START]);
  await sandbox.json(["start", "stays", ...START]);
  assertEquals(while_pid, owner.pid);
  assertEquals(await endedElsewhere(sandbox), []);
  assert(isRunning(pid));
  await owner.end();
  const { document: { nodes }, ended, stderr } = await untilEnded(sandbox, { node: "web", lease: "process", pid });
  const reason = `it was to end with pid ${owner.pid}, which is gone`;
  if (!stderr.includes("still")) {
    assertEquals(ended, { workspace, node: "web", lease: "process", reason, pids: [pid], killed: [] });
    assertEquals(stderr, `ended "web" of ${sandbox.project} (pid ${pid}): ${reason}\n`);
  }
  assertEquals(nodes.map(({ node, state }: Document) => [node, state]), [["stays", "running"], ["web", "stopped"]]);
  assertEquals(entriesOf(sandbox).length, 1);
});

Deno.test("a pid that another process has got since is over; that process, or one whose clock is another's, is left alone", async () => {
  await using sandbox = await Sandbox.create();
  const bystander = sandbox.bystander();
  const { pid } = await sandbox.json(["start", "web", "--while-pid", String(bystander), ...START]);
  const born = readProcess(bystander)!.start;
  const earlier = { pid: bystander, start_time: born - 1 };
  assertEquals(JSON.parse(Deno.readTextFileSync(infoOf(sandbox, "web"))).while_process.start_time, born);
  change(entriesOf(sandbox)[0]!, (entry) => ({ ...entry, terms: { ...entry.terms, processes: [earlier] } }));
  assertEquals(await endedElsewhere(sandbox), [], "the entry is a hint, the record decides");
  change(infoOf(sandbox, "web"), (info) => ({ ...info, while_process: earlier, time_namespace: "time:[1]" }));
  assertEquals(await endedElsewhere(sandbox), [], "not judged");
  change(infoOf(sandbox, "web"), ({ time_namespace: _, ...info }) => info);
  await untilEnded(sandbox, { node: "web", lease: "process", pid });
  sandbox.assertBystanders();
});

Deno.test({
  name: "the pid of the process that a node ends with is given to another one: the node ends, that one does not",
  ignore: !await canUnshare(),
  async fn() {
    await using sandbox = await Sandbox.create();
    await using namespace = await PidNamespace.create(sandbox, "reaps");
    const { stdout } = await namespace.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]);
    const owner = Number(stdout);
    const { pid } = await namespace.json(["start", "web", "--while-pid", String(owner), ...START]);
    assertEquals((await namespace.json(["list"])).leases_ended, undefined);
    await namespace.run(["kill", "-9", String(owner)]);
    await until("it is reaped", async () => await namespace.stateOf(owner) === null);
    await namespace.spawnAs(owner);
    const stranger = await namespace.startOf(owner);
    assert(stranger !== null);
    // From here, nothing of that namespace is judged.
    assertEquals(await endedElsewhere(sandbox), []);
    await until("the server is ended", async () => {
      await namespace.json(["list"]);
      return await namespace.stateOf(pid) === null;
    });
    assertEquals(await namespace.startOf(owner), stranger);
  },
});

Deno.test("a node of before a reboot ends nothing, whoever has its pid now", async () => {
  await using sandbox = await Sandbox.create();
  const stranger = sandbox.bystander();
  await using owner = new Owner();
  const { pid } = await sandbox.json(["start", "web", ...owner.flags, ...START]);
  const boot_id = crypto.randomUUID();
  change(entriesOf(sandbox)[0]!, (entry) => ({ ...entry, terms: { ...entry.terms, boot_id } }));
  const start_time = readProcess(stranger)!.start;
  change(infoOf(sandbox, "web"), (info) => ({ ...info, boot_id, pid: stranger, leader_pid: stranger, start_time }));
  await owner.end();
  assertEquals(await endedElsewhere(sandbox), []);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "died");
  sandbox.assertBystanders();
  killPid(pid);
});

Deno.test("a node ends when it has been ready for its max age; 0 is no limit", async () => {
  await using sandbox = await Sandbox.create();
  const none = await sandbox.json(["start", "none", "--max-age", "0", ...START]);
  Deno.writeTextFileSync(
    `${sandbox.project}/tombstone.json`,
    JSON.stringify({ nodes: { short: { command: fixture(), port: 0, max_age: "1ms" } } }),
  );
  const { nodes: [short] } = await sandbox.json(["start"]);
  assertEquals([none.max_age_ms, short.max_age_ms], [0, 1]);
  const { stderr } = await untilEnded(sandbox, { node: "short", lease: "age", pid: short.pid });
  assertStringIncludes(stderr, ": it was to end after 0.001 s\n");
  assert(isRunning(none.pid));
});

/** libfaketime(1) lies to a program about the wall clock; the monotonic clock stays as it is. */
const FAKETIME = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketime.so.1`;

Deno.test({
  name: "a wall clock that is set ends no node before its max age",
  ignore: !installed("faketime", "faketime"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const { pid } = await sandbox.json(["start", "web", "--max-age", "4h", ...START]);
    for (const offset of ["+365d", "-365d"]) {
      const clock = { LD_PRELOAD: FAKETIME, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
      assertEquals(await endedElsewhere(sandbox, clock), [], offset);
    }
    change(infoOf(sandbox, "web"), (info) => ({ ...info, ready_at: "2001-01-01T00:00:00.000Z" }));
    assertEquals(await endedElsewhere(sandbox), []);
    assert(isRunning(pid));
  },
});

Deno.test("a start of a node whose lease is over starts it anew, and says what it ended", async () => {
  await using sandbox = await Sandbox.create();
  await using owner = new Owner();
  const first = await sandbox.json(["start", "web", ...owner.flags, ...START]);
  const restarted = await sandbox.json(["restart", "web"]);
  assertEquals(restarted.while_pid, owner.pid, "a restart keeps it");
  assert(!isRunning(first.pid));
  await owner.end();
  const again = await sandbox.json(["start", "web", ...START]);
  assertEquals([again.started, again.while_pid, again.recovered.reason], [true, null, "lease-over"]);
  assertEquals(again.recovered.pids, [restarted.pid]);
  await sandbox.assertOneServer("web");
});

costly("every command that works on nodes ends what is over elsewhere; doctor, a dry run and help do not", async () => {
  await using sandbox = await Sandbox.create();
  const other = elsewhere(sandbox);
  await sandbox.json(["start", "own", ...START], other);
  const commands = [
    ["status", "own"],
    ["list"],
    ["logs", "own"],
    ["wait", "own"],
    ["env", "own"],
    ["sweep"],
    ["sweep", "--all"],
    ["forget", "nothing"],
    ["start", "own"],
    ["restart", "own"],
    ["run", "own", "--", "true"],
    ["run", "served", "--port", "0", "--serve", fixture().join(" "), "--", "true"],
    ["stop", "own"],
    ["stop", "--session", "nobody"],
  ];
  for (const words of inTurn(commands, 3, Math.floor(Math.random() * 3))) {
    await using owner = new Owner();
    const { pid } = await sandbox.json(["start", "web", ...owner.flags, ...START]);
    await owner.end();
    for (const idle of [["doctor"], ["sweep", "--all", "--dry-run"], ["start", "--help"]]) {
      await sandbox.run(idle, other);
      assert(isRunning(pid), idle.join(" "));
    }
    await untilEnded(sandbox, { node: "web", lease: "process", pid }, other, words);
  }
});

Deno.test("an interrupted start whose lease is over is ended by the next command of another project", async () => {
  await using sandbox = await Sandbox.create();
  await using owner = new Owner();
  const start = ["start", "web", ...owner.flags, ...START];
  const killed = await sandbox.run(start, { env: { TOMBSTONE_FAILPOINT: "waiting" } });
  assertEquals(killed.code, 137);
  assertEquals(await endedElsewhere(sandbox), []);
  assert(sandbox.processes().length > 0, "as long as the process runs, it is left to the next start");
  await owner.end();
  await until("it is ended", async () => {
    await endedElsewhere(sandbox);
    return sandbox.processes().length === 0;
  });
  await endedElsewhere(sandbox);
  assertEquals([sandbox.processes(), sandbox.runtimeFiles("web"), entriesOf(sandbox)], [[], [], []]);
});

Deno.test("the reason of a start that failed stays after its lease is over, until its directory is gone", async () => {
  await using sandbox = await Sandbox.create();
  await using owner = new Owner();
  const failed = ["start", "web", ...owner.flags, "--", "sh", "-c", "exit 3"];
  const { workspace } = JSON.parse((await sandbox.run([...failed.slice(0, 2), "--json", ...failed.slice(2)])).stdout);
  await owner.end();
  assertEquals(await endedElsewhere(sandbox), []);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "failed");
  Deno.removeSync(sandbox.project, { recursive: true });
  let said = "";
  await until("it is swept", async () => (said = (await sandbox.run(["list"], elsewhere(sandbox))).stderr) !== "");
  assertMatch(said, /^swept "web" of \S+: its directory \S+ is gone\n$/, workspace);
  assertEquals(sandbox.runtimeFiles("web"), []);
});

/** What is ended, and the steps of that. */
const ENDINGS: Record<string, string[]> = {
  "a server whose process is gone": ["locked", "marked", "asked", "recovered", "tombstone-removed"],
  "a server whose directory is gone": ["locked", "marked", "asked", "ended", "swept"],
  "an interrupted start": ["locked", "tombstone-written", "asked", "recovered", "tombstone-removed"],
};

for (const [number, [what, steps]] of Object.entries(ENDINGS).entries()) {
  for (const step of inTurn(steps, 3, number)) { // other steps for each, so that nearly all of them are tried
    Deno.test(`a command that is killed as it ends ${what}, at "${step}": the next one goes on`, async () => {
      await using sandbox = await Sandbox.create();
      await using owner = new Owner();
      sandbox.bystander();
      const other = elsewhere(sandbox);
      const stays = await sandbox.json(["start", "stays", ...START], other);
      const start = ["start", "web", ...owner.flags, ...START];
      await sandbox.run(start, what === "an interrupted start" ? { env: { TOMBSTONE_FAILPOINT: "waiting" } } : {});
      assert(sandbox.serversOf("web").length > 0);
      const workspace = [...Deno.readDirSync(sandbox.state)].find(({ name }) => name.startsWith("project-"))!.name;
      if (what === "a server whose directory is gone") Deno.removeSync(sandbox.project, { recursive: true });
      else await owner.end();
      const env = { TOMBSTONE_FAILPOINT: step };
      await until("it is killed", async () => (await sandbox.run(["list"], { ...other, env })).code === 137);
      await until("the next one has gone on", async () => {
        assertEquals((await sandbox.run(["list"], other)).code, 0);
        return entriesOf(sandbox).length === 1;
      });
      const files = [...Deno.readDirSync(`${sandbox.state}/${workspace}/web`)].map(({ name }) => name).sort();
      assertEquals([sandbox.serversOf("web"), files], [[], ["lock", "recorded.json", "server.log"]]);
      assert(isRunning(stays.pid));
      sandbox.assertBystanders();
    });
  }
}

Deno.test("entries of starts that were killed, or that are none, go with the next command", async () => {
  await using sandbox = await Sandbox.create();
  const killed = await sandbox.run(["start", "web", ...START], { env: { TOMBSTONE_FAILPOINT: "lease-written" } });
  assertEquals([killed.code, entriesOf(sandbox).length], [137, 1]);
  const { attempt } = await sandbox.json(["start", "web", ...START]);
  const place = `${sandbox.state}/.leases`;
  assertEquals(entriesOf(sandbox), [`${place}/${attempt}`]);
  // As after a power loss; or of a node whose state somebody has removed.
  Deno.writeTextFileSync(`${place}/${crypto.randomUUID()}`, "");
  Deno.copyFileSync(`${place}/${attempt}`, `${place}/${crypto.randomUUID()}`);
  change(entriesOf(sandbox).find((path) => Deno.statSync(path).size > 0 && !path.endsWith(attempt))!, (entry) => ({
    ...entry,
    node: "removed",
  }));
  Deno.mkdirSync(`${place}/directory/inner`, { recursive: true });
  Deno.symlinkSync("/dev/zero", `${place}/${crypto.randomUUID()}`);
  assertEquals((await new Deno.Command("mkfifo", { args: [`${place}/${crypto.randomUUID()}`] }).output()).code, 0);
  await sandbox.json(["list"]);
  assertEquals(entriesOf(sandbox), [`${place}/${attempt}`]);
  Deno.removeSync(place, { recursive: true });
  Deno.writeTextFileSync(place, "");
  assertEquals((await sandbox.json(["list"])).nodes.length, 1);
  await sandbox.json(["restart", "web"]);
  assertEquals(entriesOf(sandbox).length, 1);
});

costly(
  "a server that ignores the stop signal holds up no command for long, and is killed when its stop timeout is over",
  async () => {
    await using sandbox = await Sandbox.create();
    await using owner = new Owner();
    const ready = `${sandbox.project}/ready`;
    const stubborn = ["sh", "-c", `trap '' TERM; touch ${ready}; exec sleep 600`];
    const flags = [...owner.flags, "--stop-timeout", "6s", "--file", ready];
    const { pid } = await sandbox.json(["start", "web", ...flags, "--", ...stubborn]);
    await owner.end();
    const first = await sandbox.run(["list"], elsewhere(sandbox));
    assertEquals([first.code, isRunning(pid)], [0, true], first.stderr);
    assertMatch(first.stderr, /^"web" of \S+ is still being ended: it was to end with pid \d+, which is gone\n$/);
    let killed: number[] = [];
    await until("it is killed", async () => {
      killed = (await endedElsewhere(sandbox)).flatMap((ended) => ended.killed);
      return !isRunning(pid);
    });
    assert(killed.length === 0 || killed.includes(pid), String(killed)); // [] if a call was over just after the kill
  },
);

Deno.test("a node that another command works on is passed over", async () => {
  await using sandbox = await Sandbox.create();
  await using owner = new Owner();
  const { pid, dir } = await sandbox.json(["start", "web", ...owner.flags, ...START]);
  await owner.end();
  {
    using lock = Deno.openSync(`${dir}/lock`, { read: true, write: true });
    lock.lockSync(true);
    assertEquals([await endedElsewhere(sandbox), isRunning(pid)], [[], true]);
  }
  await untilEnded(sandbox, { node: "web", lease: "process", pid });
});

Deno.test("two agents: each starts, lists and stops its own nodes, in every workspace, and none of the other's", async () => {
  await using sandbox = await Sandbox.create();
  const other = elsewhere(sandbox);
  const [first, second] = [{ TOMBSTONE_SESSION: "agent-1" }, { TOMBSTONE_SESSION: "agent-2" }];
  const one = await sandbox.json(["start", "web", ...START], { env: first });
  const two = await sandbox.json(["start", "web", "--session", "agent-1", ...START], { ...other, env: second });
  const its = await sandbox.json(["start", "api", ...START], { env: second });
  const none = await sandbox.json(["start", "db", ...START]);
  assertEquals([one, two, its, none].map(({ session }) => session), ["agent-1", "agent-1", "agent-2", null]);
  const listed = async (session: string) =>
    (await sandbox.json(["list", "--session", session])).nodes.map(({ pid }: Document) => pid).sort();
  assertEquals(await listed("agent-1"), [one.pid, two.pid].sort());
  assertEquals(await listed("agent-2"), [its.pid]);
  // The variable labels; it does not choose.
  assertEquals((await sandbox.json(["list"], { env: first })).nodes.length, 4);
  const stopped = await sandbox.json(["stop", "--session", "agent-1"], other);
  assertEquals(stopped.nodes.map(({ node, stopped }: Document) => [node, stopped]), [["web", true], ["web", true]]);
  assertEquals([one, two, its, none].map(({ pid }) => isRunning(pid)), [false, false, true, true]);
  for (const command of ["stop", "list"]) {
    assertEquals((await sandbox.run([command, "--session", "agent-1"])).stdout, 'no nodes of the session "agent-1"\n');
  }
  assertEquals((await sandbox.json(["start", "web"])).session, "agent-1", "as it was");
  assertEquals((await sandbox.json(["start", "web", "--replace"], { env: second })).session, "agent-2");
});

Deno.test("mistakes in leases are usage errors, and cost no state", async () => {
  await using sandbox = await Sandbox.create();
  await using gone = new Owner();
  await gone.end();
  const refused = async (args: string[], said: string, env: Record<string, string> = {}) => {
    const ran = await sandbox.run(args, { env });
    assertEquals([ran.code, ran.stdout], [2, ""], ran.stderr);
    assertStringIncludes(ran.stderr, said);
    assertMatch(ran.stderr, /\nhint: .+\n$/);
  };
  for (
    const [flags, said] of [
      [gone.flags, "there is no such process"],
      [["--while-pid", "0"], 'Cannot use "0" for --while-pid: expected the id of a process'],
      [["--while-pid", "me"], 'Cannot use "me" for --while-pid: expected the id of a process'],
      [["--while-pid", "99999999"], 'Cannot use "99999999" for --while-pid: expected the id of a process'],
      [["--max-age", "soon"], 'Cannot use "soon" for --max-age'],
      [["--max-age=-1s"], 'Cannot use "-1s" for --max-age'],
      [["--session", "a b"], 'Cannot use "a b" for --session: expected a label'],
    ] as const
  ) {
    await refused(["start", "web", ...flags, ...START], said);
    await refused(["up", "web", ...flags, ...START], said);
  }
  await refused(["start", "web", ...START], 'Cannot use "a b" for TOMBSTONE_SESSION: expected a label', {
    TOMBSTONE_SESSION: "a b",
  });
  const hint = "hint: tombstone stop --session x";
  for (const args of [["stop", "web", "--session", "x"], ["stop", "--all", "--session", "x"]]) {
    await refused(args, hint);
  }
  for (const command of ["list", "stop"]) {
    await refused([command, "--session", "a b"], 'Cannot use "a b" for --session');
  }
  for (const flag of ["--while-pid", "--max-age"]) await refused(["status", flag, "1"], flag);
  const path = `${sandbox.project}/tombstone.json`;
  Deno.writeTextFileSync(path, JSON.stringify({ nodes: { web: { command: "true", max_age: "soon" } } }));
  await refused(["start"], "max_age");
  for (const field of ["while_pid", "session"]) {
    Deno.writeTextFileSync(path, JSON.stringify({ nodes: { web: { command: "true", [field]: 1 } } }));
    await refused(["start"], field);
  }
  assertEquals([sandbox.processes(), exists(sandbox.state)], [[], false]);
});

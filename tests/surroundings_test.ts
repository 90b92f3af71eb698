/** What a start is surrounded by: names that are no text, signals that the caller ignores, a /proc of somebody else. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fixture, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { costly, TIER } from "./support/tier.ts";
import { isInstalled } from "./support/servers.ts";
import { canUnshare } from "./support/namespace.ts";

/** No name in UTF-8, for the `printf` of a shell. */
const NAME = "bad\\377name";

/** A shell line that becomes the server with files, arguments, variables and a directory whose names are no text. */
function amongBadNames(sandbox: Sandbox, server: string[]): string {
  const serve = server.map(sandbox.quote).join(" ");
  return `n=$(printf '${NAME}'); mkdir -p "$n" && cd "$n" && exec 5>"$n" 6<"$n" && export V="$n" && exec ${serve} "$n"`;
}

costly(
  "open files, a directory, arguments and variables whose names are not UTF-8 keep no command from a node",
  async () => {
    await using sandbox = await Sandbox.create();
    const args = ["start", "web", "--port", "0", "--", "sh", "-c", amongBadNames(sandbox, fixture("child"))];
    const { pid } = await sandbox.json(args);
    assert([...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => name === "5"), "it has the file open");
    assertEquals((await sandbox.json(["list"])).nodes.map((node: { state: string }) => node.state), ["running"]);
    assertEquals((await sandbox.json(args)).pid, pid);
    await sandbox.json(["wait", "web"]);
    await sandbox.json(["doctor"]);

    // Its orphan has such a directory, too.
    Deno.kill(pid, "SIGKILL");
    await until("the server is gone", () => !isRunning(pid));
    const again = await sandbox.json(args);
    assertEquals(again.recovered.reason, "died");
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
  },
);

Deno.test("a bystander with an open file whose name is not UTF-8 is named as the owner of the port", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  Deno.mkdirSync(`${sandbox.root}/elsewhere`);
  const line = `cd ${sandbox.root}/elsewhere; ${amongBadNames(sandbox, fixture(`port=${port}`))}`;
  const stranger = sandbox.bystander(["sh", "-c", line]);
  const listens = () => Deno.connect({ port }).then((connection) => (connection.close(), true), () => false);
  await until("the bystander listens", listens);
  const { error } = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()], { code: 5 });
  assertEquals(error.owner_pid, stranger);
  sandbox.assertBystanders();
});

Deno.test("a current directory, a state directory or an argument that is not UTF-8 is refused in a sentence", async () => {
  await using sandbox = await Sandbox.create();
  const start = sandbox.commandLine(["start", "web", "--port", "0", "--", ...fixture()]);
  const name = `n=$(printf '${NAME}'); mkdir -p "$n"`;
  for (
    const [line, code, words] of [
      [`${name}; cd "$n" && ${start}`, 4, "its path is not valid UTF-8"],
      [`${name}; cd "$n" && ${sandbox.commandLine(["list"])}`, 0, ""],
      [`${name}; TOMBSTONE_STATE_DIR="$n" ${start}`, 4, "TOMBSTONE_STATE_DIR: its value is not valid UTF-8"],
      [`${name}; ln -sf "$n" link; TOMBSTONE_STATE_DIR=link ${start}`, 4, "its real path is not valid UTF-8"],
      [`${start} "$(printf '${NAME}')"`, 2, "it is not valid UTF-8"],
      [`GITHUB_ACTIONS="$(printf '${NAME}')" TERM="$(printf '${NAME}')" ${sandbox.commandLine(["list"])}`, 0, ""],
      [`PATH="$PATH:$(printf '${NAME}')" ${start}`, 0, ""],
    ] as const
  ) {
    const ran = await sandbox.shell(line);
    assertEquals(ran.code, code, `${line}: ${ran.stderr}`);
    assertStringIncludes(ran.stderr, words);
    if (code !== 0) assertStringIncludes(ran.stderr, "hint: ");
  }
  await sandbox.assertOneServer("web");
});

costly("signals that the caller ignores, by nohup or & in a script, do not end a start half-way", async () => {
  for (
    const [signal, line] of [
      ["SIGHUP", "nohup $TOOL"],
      ["SIGINT", "$TOOL & wait"],
    ] as const
  ) {
    await using sandbox = await Sandbox.create();
    const gate = `${sandbox.project}/go`;
    const serve = `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${fixture().map(sandbox.quote).join(" ")}`;
    const tool = sandbox.commandLine(["start", "web", "--port", "0", "--json", "--", "sh", "-c", serve]);
    const ran = sandbox.shell(`${line.replace("$TOOL", tool)}`);
    await until("the server runs", () => sandbox.serversOf("web").length > 0);
    const { starter_pid } = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/starting`));
    for (let times = 0; times < 3; times++) Deno.kill(starter_pid, signal);
    assert(isRunning(starter_pid), "it goes on");
    Deno.writeTextFileSync(gate, "");
    const { code, stdout, stderr } = await ran;
    assertEquals(code, 0, stderr);
    assertEquals(JSON.parse(stdout).pid, (await sandbox.assertOneServer("web")).pid);
  }
});

Deno.test("a signal that the caller does not ignore ends a start, beside one that it does", async () => {
  await using sandbox = await Sandbox.create();
  const tool = sandbox.commandLine(["start", "web", "--port", "0", "--", ...fixture("delay=60000", "child")]);
  const ran = sandbox.shell(`nohup ${tool}`);
  await until("the server runs", () => sandbox.serversOf("web").length > 1);
  const { starter_pid } = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/starting`));
  Deno.kill(starter_pid, "SIGHUP");
  Deno.kill(starter_pid, "SIGTERM");
  assertEquals((await ran).code, 143);
  assertEquals(sandbox.processes(), []);
});

Deno.test({
  name: "in a pid namespace that sees the /proc of another one, every command says so and signals nobody",
  ignore: TIER === "fast" || !await canUnshare(),
  async fn() {
    await using sandbox = await Sandbox.create();
    sandbox.bystander();
    const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
    for (
      const args of [
        ["start", "web", "--port", "0", "--", ...fixture()],
        ["start", "other", "--port", "0", "--", ...fixture()],
        ["stop", "web"],
        ["stop", "web", "--force"],
        ["restart", "web"],
        ["sweep", "--all"],
        ["status", "web"],
        ["list"],
        ["wait", "web"],
        ["run", "--serve", "sleep 9", "--", "true"],
      ]
    ) {
      const ran = await sandbox.shell(`unshare --pid --fork --kill-child ${sandbox.commandLine(args)}`);
      assertEquals(ran.code, 4, `${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
      assertStringIncludes(ran.stderr, "hint: mount -t proc proc /proc");
    }
    assertEquals(readProcess(started.pid)?.pid, started.pid);
    assertEquals((await sandbox.assertOneServer("web")).pid, started.pid);
  },
});

/** Flags of setpriv(1) by which root cannot signal other users' processes, like everybody. */
const WITHOUT_KILL = ["--bounding-set=-kill", "--inh-caps=-kill"];

Deno.test({
  name: "a start that fails and cannot end what it started tells both, and which is the cause",
  ignore: TIER === "fast" || Deno.uid() !== 0 || !isInstalled("setpriv"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const server = ["setpriv", "--reuid=65534", "--clear-groups", "sleep", "600"];
    const limits = ["--timeout", "300ms", "--stop-timeout", "10ms"];
    const tool = sandbox.commandLine([
      "start",
      "web",
      "--port",
      String(freePort()),
      ...limits,
      "--json",
      "--",
      ...server,
    ]);
    const ran = await sandbox.shell(`exec setpriv ${WITHOUT_KILL.join(" ")} ${tool}`);
    assertEquals(ran.code, 1, ran.stderr);
    const { error } = JSON.parse(ran.stdout);
    assertStringIncludes(error.message, 'Cannot start "web": not ready within 300 ms');
    assertStringIncludes(error.message, "belongs to another user, and may not be signalled");
    assertEquals([error.kind, error.pids], ["stop-failed", sandbox.processes()]);
  },
});

Deno.test({
  name: "a server with capabilities of its own, which hide its descriptors, is told so, and runs with --any-listener",
  ignore: TIER === "fast" || Deno.uid() !== 0 || !isInstalled("setpriv") || !isInstalled("setcap"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const program = `${sandbox.root}/perl`;
    const made = await sandbox.shell(`cp "$(command -v perl)" ${program} && setcap cap_net_bind_service=ep ${program}`);
    assertEquals(made.code, 0, made.stderr);
    const start = (...flags: string[]) => {
      const args = ["start", "web", ...flags, "--json", "--", program, ...fixture().slice(1)];
      // Root who gets no capabilities by being root, as everybody else.
      return sandbox.shell(`exec setpriv --securebits=+noroot --inh-caps=-all ${sandbox.commandLine(args)}`);
    };
    const port = String(freePort());
    for (const flags of [["--port", port], ["--timeout", "2s", "--env", `PORT=${port}`]]) {
      const { code, stdout } = await start(...flags);
      const { error } = JSON.parse(stdout);
      assertEquals(code, 4, error.message);
      assertStringIncludes(error.message, "cannot be seen");
      assertStringIncludes(error.hint, "--any-listener");
    }
    const ran = await start("--port", port, "--any-listener");
    assertEquals(ran.code, 0, ran.stdout);
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
  },
});

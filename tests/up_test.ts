/** `tombstone up`: servers in the foreground, for as long as it runs. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists, fixture, isRunning, kill, killPid, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

const SERVER = fixture();

/** An `up` whose output is collected. */
class Up {
  readonly child: Deno.ChildProcess;
  stdout = "";
  stderr = "";
  readonly #read: Promise<void[]>;

  constructor(sandbox: Sandbox, args: string[], env: Record<string, string> = {}) {
    this.child = sandbox.spawn(["up", ...args], { env });
    const read = async (from: "stdout" | "stderr") => {
      for await (const text of this.child[from].pipeThrough(new TextDecoderStream())) this[from] += text;
    };
    this.#read = Promise.all([read("stdout"), read("stderr")]);
  }

  /** Waits for a text in its output. */
  async says(text: string): Promise<void> {
    await until(`up says ${text}`, () => (this.stdout + this.stderr).includes(text), 60_000, () => [this.stderr]);
  }

  /** Its exit code. */
  async end(): Promise<number> {
    const { code } = await this.child.status;
    await this.#read;
    return code;
  }
}

/** Writes a `tombstone.json` with these commands. */
function describe(sandbox: Sandbox, nodes: Record<string, unknown>): void {
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
}

const WEB = ["web", "--port", "0", "--", ...SERVER, "say=hello"];

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`up follows the log and, at ${signal}, stops what it started and exits with ${code}`, async () => {
    await using sandbox = await Sandbox.create();
    const up = new Up(sandbox, WEB);
    await up.says('started "web"');
    await up.says("hello\n");
    assertEquals((await sandbox.json(["status", "web"])).state, "running");
    up.child.kill(signal);
    assertEquals(await up.end(), code);
    assertMatch(up.stderr, /^started "web" \(pid \d+\) on .*\nstopped "web"\n$/);
    assertMatch(up.stdout, /^hello\n/);
    assertEquals([sandbox.processes(), sandbox.runtimeFiles("web")], [[], []]);
  });
}

Deno.test("up starts what tombstone.json describes, names each line, joins what runs and leaves it running", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: [...SERVER, "say=the-db"], port: 0 },
    api: { command: [...SERVER, "say=the-api"], port: 0, after: ["db"] },
  });
  const { pid } = await sandbox.json(["start", "db"]);
  const up = new Up(sandbox, []);
  await up.says('started "api"');
  await up.says("api | the-api\n");
  assertStringIncludes(up.stderr, `"db" is already running (pid ${pid})`);
  assert(!up.stdout.includes("the-db"), "what was written before is for tombstone logs");
  up.child.kill("SIGINT");
  assertEquals(await up.end(), 130);
  assertStringIncludes(up.stderr, 'stopped "api"\n');
  assert(!up.stderr.includes('stopped "db"'));
  assertEquals((await sandbox.assertOneServer("db")).pid, pid);
});

Deno.test("when a node dies, up stops the others and exits with 1 and its name", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: SERVER, port: 0 },
    web: { command: [...SERVER, "say=last-words", "until=over", "exit=9"], port: 0, cwd: "." },
  });
  const up = new Up(sandbox, []);
  await up.says('started "web"');
  await up.says('started "db"');
  Deno.writeTextFileSync(`${sandbox.project}/over`, "");
  assertEquals(await up.end(), 1);
  assertMatch(
    up.stderr,
    /stopped "db"\nCannot keep "web" up: its server, pid \d+, has died\n(.*\n)+ {2}\| last-words\nhint: tombstone logs web\n$/,
  );
  assertStringIncludes(up.stdout, "web | last-words\n");
  assertEquals(sandbox.processes(), []);
  const { error } = await sandbox.json(["up", "web"], { code: 1 });
  assertEquals([error.kind, error.log_tail.includes("last-words")], ["server-exited", true]);
});

Deno.test("a start that fails ends up with its own error, and undoes the others", async () => {
  await using sandbox = await Sandbox.create();
  describe(sandbox, {
    db: { command: SERVER, port: 0 },
    web: { command: ["sh", "-c", "echo oh no; exit 3"], port: 0, after: ["db"] },
  });
  const ran = await sandbox.run(["up"]);
  assertEquals(ran.code, 1);
  assertStringIncludes(ran.stderr, 'Cannot start "web": the server exited with code 3');
  assertStringIncludes(ran.stdout, "web | oh no\n");
  assertEquals(sandbox.processes(), []);
});

costly("a second signal ends a stop that takes long; one that a parent passes on at once does not", async () => {
  await using sandbox = await Sandbox.create();
  for (const isSecond of [false, true]) {
    const timeout = isSecond ? "10m" : "2s";
    const up = new Up(sandbox, ["web", "--port", "0", "--stop-timeout", timeout, "--", ...SERVER, "ignore-term"]);
    await up.says('started "web"');
    const begun = performance.now();
    up.child.kill("SIGINT");
    up.child.kill("SIGINT");
    if (isSecond) {
      await until("the first is an earlier one", () => performance.now() - begun > 1000);
      up.child.kill("SIGINT");
    }
    assertEquals(await up.end(), 130);
    assert(isSecond || performance.now() - begun > 1900, "the server has its time");
    assertMatch(up.stderr, /stopped "web", by SIGKILL: \d+\n$/);
    assertEquals(sandbox.processes(), []);
  }
});

Deno.test("a signal while up starts undoes the start", async () => {
  await using sandbox = await Sandbox.create();
  const up = new Up(sandbox, ["web", "--port", "0", "--", "sh", "-c", "echo slow; exec sleep 600"]);
  await up.says("slow\n");
  up.child.kill("SIGTERM");
  assertEquals(await up.end(), 143);
  assertStringIncludes(up.stderr, 'Cannot keep up "web": ended by SIGTERM');
  assertEquals(sandbox.processes(), []);
});

Deno.test("up ends when nobody reads its output any more", async () => {
  await using sandbox = await Sandbox.create();
  const chatty = "while :; do echo tick; sleep 0.05; done & exec";
  const command = ["up", "web", "--port", "0", "--", "sh", "-c", `${chatty} ${SERVER.join(" ")}`];
  const ran = await sandbox.shell(`{ ${sandbox.commandLine(command)}; echo code $? >&2; } | head -n 2`);
  assertEquals(ran.stdout, "tick\ntick\n");
  assertStringIncludes(ran.stderr, "code 129\n");
  assertEquals(sandbox.processes(), []);
});

Deno.test("up of a silent server ends, too, when nobody reads its output any more", async () => {
  await using sandbox = await Sandbox.create();
  const ran = await sandbox.shell(`{ ${sandbox.commandLine(["up", ...WEB])}; echo code $? >&2; } | head -n 1`);
  assertEquals(ran.stdout, "hello\n");
  assertStringIncludes(ran.stderr, "code 129\n");
  assertEquals(sandbox.processes(), []);
});

Deno.test("a last line without its end comes before what is said of the node, and ends there", async () => {
  await using sandbox = await Sandbox.create();
  const half = (text: string) => ["sh", "-c", `printf ${text}; exec ${SERVER.join(" ")}`];
  const one = sandbox.commandLine(["up", "web", "--port", "0", "--", ...half("half")]);
  const line = `${one} >out 2>&1 & until grep -q started out; do sleep 0.05; done; `;
  const restart = `${
    sandbox.commandLine(["restart", "web", "--quiet"])
  }; until [ "$(grep -c ^half out)" = 2 ]; do sleep 0.05; done; kill -TERM $!; wait $!`;
  const ran = await sandbox.shell(line + restart);
  assertEquals(ran.code, 143, ran.stderr);
  assertMatch(Deno.readTextFileSync(`${sandbox.project}/out`), /^half\nstarted "web" .*\nhalf\nstopped "web"\n$/);

  describe(sandbox, {
    migrate: { command: "printf done", once: true },
    web: { command: half("other"), port: 0, after: ["migrate"] },
  });
  const several = sandbox.commandLine(["up"]);
  const all = await sandbox.shell(
    `${several} >all 2>&1 & until grep -q 'started "web"' all; do sleep 0.05; done; kill -TERM $!; wait $!`,
  );
  assertEquals(all.code, 143, all.stderr);
  assertMatch(
    Deno.readTextFileSync(`${sandbox.project}/all`),
    /^migrate \| done\nran "migrate" .*\nstarted "web" .*\nweb {5}\| other\nstopped "web"\n$/,
  );
});

costly("a node that another command restarts stays up's; when all are stopped, up ends with 0", async () => {
  await using sandbox = await Sandbox.create();
  const up = new Up(sandbox, WEB);
  await up.says('started "web"');
  const { pid } = await sandbox.json(["restart", "web"]);
  await until("the new log is followed", () => up.stdout.split("hello\n").length === 3);
  assertEquals((await sandbox.json(["status", "web"])).pid, pid);
  await sandbox.json(["stop", "web"]);
  assertEquals(await up.end(), 0);
  assertStringIncludes(up.stderr, "other commands have stopped it\n");
});

Deno.test("a node that somebody starts anew is no longer up's", async () => {
  await using sandbox = await Sandbox.create();
  const up = new Up(sandbox, WEB);
  await up.says('started "web"');
  await sandbox.json(["start", "web", "--port", "0", "--replace", "--", ...SERVER]);
  up.child.kill("SIGTERM");
  assertEquals(await up.end(), 143);
  assertStringIncludes(up.stderr, '"web" was started anew meanwhile, and goes on\n');
  await sandbox.assertOneServer("web");
});

Deno.test("up --json: stdout is one document at the end, the log goes to stderr", async () => {
  await using sandbox = await Sandbox.create();
  const [node, ...rest] = WEB;
  const up = new Up(sandbox, [node!, "--json", ...rest]);
  await up.says("hello\n");
  await up.says('started "web"');
  up.child.kill("SIGINT");
  assertEquals(await up.end(), 130);
  const { state, started, stopped, killed } = JSON.parse(up.stdout);
  assertEquals([state, started, stopped, killed], ["stopped", true, true, []]);
  assertStringIncludes(up.stderr, "hello\n");
});

for (const next of ["start", "up", "restart", "list"]) {
  Deno.test(`an up that is killed: the next ${next} ends its server`, async () => {
    await using sandbox = await Sandbox.create();
    const up = new Up(sandbox, WEB);
    await up.says('started "web"');
    const { pid } = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/node.info`));
    kill(up.child);
    await up.end();
    assert(isRunning(pid));
    if (next === "up") {
      const second = new Up(sandbox, WEB);
      await second.says('started "web"');
      assertStringIncludes(second.stderr, "an interrupted run or up");
      second.child.kill("SIGTERM");
      assertEquals(await second.end(), 143);
    } else if (next === "list") {
      // Also one of another project.
      const { stderr } = await sandbox.run(["list"], { cwd: sandbox.root });
      assertStringIncludes(stderr, "(run or up), which is gone");
    } else await sandbox.json(next === "start" ? ["start", ...WEB] : [next, "web"]);
    assert(!isRunning(pid));
    if (next === "start" || next === "restart") await sandbox.assertOneServer("web");
    else assertEquals(sandbox.processes(), []);
  });
}

Deno.test("an up that is killed at any step is followed by one that succeeds and leaves nothing", async () => {
  await using sandbox = await Sandbox.create();
  const steps = ["tombstone-written", "spawned", "committed", "tombstone-removed", "asked", "ended", "swept"];
  for (const step of steps) {
    const first = new Up(sandbox, WEB, { TOMBSTONE_FAILPOINT: step });
    if (["asked", "ended", "swept"].includes(step)) {
      await first.says('started "web"');
      first.child.kill("SIGTERM");
    }
    assertEquals(await first.end(), 137, `${step}: ${first.stderr}`);
    const second = new Up(sandbox, WEB);
    await second.says('started "web"');
    second.child.kill("SIGTERM");
    assertEquals(await second.end(), 143, `${step}: ${second.stderr}`);
    assertEquals([sandbox.processes(), sandbox.runtimeFiles("web")], [[], []], step);
  }
});

Deno.test("what cannot be kept up is told before anything is started", async () => {
  await using sandbox = await Sandbox.create();
  const refused = async (args: string[], code: number, message: string, hint: string) => {
    const { error } = await sandbox.json(["up", ...args], { code });
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.hint, hint);
  };
  await refused(["web"], 2, 'Cannot keep up "web": no command after --', "tombstone up web -- COMMAND");
  await refused(["web", "--"], 2, "no command after --", "tombstone init");
  await refused(["a", "b", "--", "true"], 2, 'Cannot use the argument "b"', "-- COMMAND");
  await refused(["web", "--", "no-such-command"], 127, 'Cannot find "no-such-command"', "PATH");
  await refused(["web", "--port", "x", "--", "true"], 2, 'Cannot use "x" for --port', "--port 3000");
  describe(sandbox, { web: { command: SERVER, port: 0 } });
  await refused(["wbe"], 2, 'Cannot start "wbe"', '"web"');
  await refused(["web", "--host", "::1"], 2, "Cannot use --host without a command", "describe it there");
  assert(!exists(`${sandbox.state}`) || sandbox.processes().length === 0);
});

Deno.test("a server that dies by SIGKILL is noticed within a second", async () => {
  await using sandbox = await Sandbox.create();
  const up = new Up(sandbox, WEB);
  await up.says('started "web"');
  const { pid } = await sandbox.json(["status", "web"]);
  killPid(pid);
  assertEquals(await up.end(), 1);
  assertStringIncludes(up.stderr, `Cannot keep "web" up: its server, pid ${pid}, has died`);
  assertEquals(sandbox.processes(), []);
});

/** Nothing that a server or a stranger does keeps a start from its deadline, or from ending when it is told to. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Document, exists, isRunning, kill, Sandbox, until, untilCheckedAgain } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { byTier, costly, inTurn, TIER } from "./support/tier.ts";

const hasPerl = installed("perl", "perl-base");
const hasPython = installed("python3", "python3");

/** What a start may take beyond its deadline on a busy machine, the end of its server included; in milliseconds. */
const MARGIN = 60_000;

/** The message for a log without a matching line, or one whose lines are still being matched. */
const NEVER = /no line of its log matches|a check of it did not end/;

/** The deadline that it must keep, in milliseconds. */
const DEADLINE = byTier({ fast: 700, full: 2000 });

/**
 * Starts something that will never be ready; first with a deadline that it must keep, then it is told to end.
 *
 * @param prepared waits until what is hostile has begun, once the server runs
 */
async function assertEnds(
  sandbox: Sandbox,
  flags: string[],
  command: string[],
  prepared: (starter: Deno.ChildProcess) => Promise<void> = untilCheckedAgain,
): Promise<Document> {
  const begin = async (timeout: string) => {
    const starter = sandbox.spawn(["start", "web", ...flags, "--timeout", timeout, "--json", "--", ...command]);
    const output = starter.output();
    let isOver = false;
    output.then(() => isOver = true);
    await until("the server runs", () => isOver || sandbox.serversOf("web").length > 0);
    await prepared(starter);
    return { starter, output };
  };
  const begun = performance.now();
  const late = await (await begin(`${DEADLINE}ms`)).output;
  const took = performance.now() - begun;
  const text = new TextDecoder().decode(late.stdout);
  assertEquals(late.code, 124, text);
  assert(took < DEADLINE + MARGIN, `the start took ${Math.round(took)} ms`);

  const { starter, output } = await begin("300s");
  const told = performance.now();
  starter.kill("SIGTERM");
  assertEquals((await output).code, 143);
  const ended = performance.now() - told;
  assert(ended < MARGIN, `it ended ${Math.round(ended)} ms after SIGTERM`);
  await until("nothing is left", () => sandbox.serversOf("web").length === 0);
  return JSON.parse(text).error;
}

/** A shell that writes its `NOTIFY_SOCKET` down, and stays. */
const TELLS_SOCKET = ["sh", "-c", 'echo "$NOTIFY_SOCKET" >socket; exec sleep 600'];

/** Perl that sends the same message to the socket of a file, again and again. */
const FLOOD = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); my $to;
  sub look { $to = undef; open F, "<", $ARGV[0] or return; my $name = <F>; close F; return unless $name;
    chomp $name; $name =~ s/^@/\\0/; $to = pack_sockaddr_un($name) }
  for (;;) { $to && send(S, "STATUS=" . ("x" x 50), 0, $to) or do { select(undef, undef, undef, .05); look() } }`;

Deno.test({
  name:
    "--notify: four strangers that send without end hold up neither deadline nor SIGTERM, nor a server that is ready",
  ignore: !hasPerl,
  async fn() {
    await using sandbox = await Sandbox.create();
    const address = `${sandbox.project}/socket`;
    const flood = async (starter: Deno.ChildProcess) => {
      await until("the server has written down its socket", () => exists(address));
      await untilCheckedAgain(starter);
    };
    for (let sender = 0; sender < 4; sender++) sandbox.bystander(["perl", "-e", FLOOD, address]);
    const error = await assertEnds(sandbox, ["--notify"], TELLS_SOCKET, flood);
    assertStringIncludes(error.message, "it has not said READY=1");

    const says = `use Socket; my $to = $ENV{NOTIFY_SOCKET}; open F, ">", "socket"; print F "$to\\n"; close F;
      select(undef, undef, undef, .5); $to =~ s/^@/\\0/; socket(S, AF_UNIX, SOCK_DGRAM, 0);
      send(S, "READY=1", 0, pack_sockaddr_un($to)) or die $!; sleep 600`;
    const started = await sandbox.json(["start", "web", "--notify", "--timeout", "50s", "--", "perl", "-e", says]);
    assertEquals(started.ready, true);
    sandbox.assertBystanders();
  },
});

Deno.test({
  name: "--notify: descriptors that come with messages are closed, which answers the sender's barrier",
  ignore: !hasPython,
  async fn() {
    await using sandbox = await Sandbox.create();
    // Twenty messages with descriptors, then one whose pipe is waited for, as sd_notify_barrier(3) does.
    const script = `
import array, os, select, socket, time
name = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def send(text, fds):
    sender.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))], 0, name)
for _ in range(20):
    send(b"STATUS=working", [0, 1, 2])
reader, writer = os.pipe()
send(b"BARRIER=1", [writer])
os.close(writer)
poll = select.poll()
poll.register(reader, 0)
poll.poll()
open("answered", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
send(b"READY=1", [0])
time.sleep(600)
`;
    Deno.writeTextFileSync(`${sandbox.project}/sender.py`, script);
    const starter = sandbox.spawn(["start", "web", "--notify", "--timeout", "50s", "--", "python3", "sender.py"]);
    await until("the barrier is answered", () => exists(`${sandbox.project}/answered`), 30_000);
    const devices = [...Deno.readDirSync(`/proc/${starter.pid}/fd`)]
      .map(({ name }) => linkOf(`/proc/${starter.pid}/fd/${name}`))
      .filter((target) => target === "/dev/null" || target.endsWith("/server.log"));
    // Its own stdin is one.
    assert(devices.length < 20, `the starter holds ${devices.join(" ")}`);
    Deno.writeTextFileSync(`${sandbox.project}/go`, "");
    assertEquals((await starter.output()).code, 0);
  },
});

costly("--log: a pattern that takes for ever, and lines that are made for it", async (test) => {
  const long = `node -e 'console.log("ready".repeat(180000)); setInterval(() => {}, 1000)'`;
  const cases: [string, string, string][] = [
    ["many repetitions and one line of 900 kB", "ready.*on.*port \\d+$", long],
    ["an exponential pattern", "(a+)+$", `echo ${"a".repeat(40)}b; exec sleep 600`],
    ["alternatives that overlap", "^(a|aa)+$", `echo ${"a".repeat(200)}b; exec sleep 600`],
    ["back references", "(x+x+)+y\\1", `echo ${"x".repeat(60)}; exec sleep 600`],
  ];
  for (const [name, pattern, script] of inTurn(cases, 2, 1)) {
    await test.step(name, async () => {
      await using sandbox = await Sandbox.create();
      const error = await assertEnds(sandbox, ["--log", pattern], ["sh", "-c", script]);
      assertMatch(error.message, NEVER);
    });
  }
});

Deno.test("--log: a line after one that takes too long is found", async () => {
  await using sandbox = await Sandbox.create();
  const script = `echo ${"a".repeat(40)}b; echo aaa; exec sleep 600`;
  const started = await sandbox.json([
    "start",
    "web",
    "--log",
    "^(a+)+$",
    "--timeout",
    "50s",
    "--",
    "sh",
    "-c",
    script,
  ]);
  assertEquals(started.ready, true);
});

costly("--log: a server that writes without end, in lines and in one line", async (test) => {
  const servers: [string, string[]][] = [
    ["short lines", ["yes"]],
    ["one line", ["sh", "-c", "exec tr '\\0' x </dev/zero"]],
  ];
  for (const [name, command] of servers) {
    await test.step(name, async () => {
      await using sandbox = await Sandbox.create();
      const error = await assertEnds(sandbox, ["--log", "ready on \\d+"], command);
      assertMatch(error.message, NEVER);
    });
  }
  await test.step("and says at last that it is ready", async () => {
    await using sandbox = await Sandbox.create();
    const script = "yes | head -c 20000000; echo ready on 1; exec sleep 600";
    const start = ["start", "web", "--log", "ready on \\d+", "--log-max", "200MB", "--timeout", "50s"];
    assertEquals((await sandbox.json([...start, "--", "sh", "-c", script])).ready, true);
  });
});

Deno.test("--log: a log that the server itself cuts or replaces is read from its beginning", async (test) => {
  const log = '"$TOMBSTONE_TEST_LOG"';
  const find = "TOMBSTONE_TEST_LOG=$(readlink /proc/$$/fd/1)";
  // Each step of the server waits for one of these files.
  const go = (step: string) => `until test -e ${step}; do sleep 0.02; done`;
  const scripts = {
    "cut": `${find}; echo some words; ${go("first")}; : >${log}; ${go("second")}; echo ready; exec sleep 600`,
    "replaced": `${find}; echo some words; ${go("first")}; mv ${log} old; echo ready >${log}; exec sleep 600`,
    "a FIFO": `${find}; echo some words; ${go("first")}; rm ${log}; mkfifo ${log}; exec sleep 600`,
  };
  for (const [name, script] of Object.entries(scripts)) {
    await test.step(name, async () => {
      await using sandbox = await Sandbox.create();
      const flags = ["--log", "^ready$"];
      const goOn = async (starter: Deno.ChildProcess) => {
        for (const step of ["first", "second"]) {
          await untilCheckedAgain(starter);
          Deno.writeTextFileSync(`${sandbox.project}/${step}`, "");
        }
      };
      if (name === "a FIFO") return void await assertEnds(sandbox, flags, ["sh", "-c", script], goOn);
      const starter = sandbox.spawn(["start", "web", ...flags, "--timeout", "50s", "--json", "--", "sh", "-c", script]);
      const output = starter.output();
      await until("the server runs", () => sandbox.serversOf("web").length > 0);
      await goOn(starter);
      const { stdout } = await output;
      assertEquals(JSON.parse(new TextDecoder().decode(stdout)).ready, true);
    });
  }
});

costly("--fail-log ends a start as soon as a line matches, whatever its probes wait for", async () => {
  await using sandbox = await Sandbox.create();
  const script = "echo loading; sleep 0.3; echo 'ImportError: no app'; exec sleep 600";
  const flags = ["--exec", "sleep 500", "--fail-log", "^never$", "--fail-log", "^\\w*Error: ", "--timeout", "55s"];
  const { error } = await sandbox.json(["start", "web", ...flags, "--", "sh", "-c", script], { code: 1 });
  assertEquals(error.kind, "failed-log");
  assertEquals([error.pattern, error.line], ["^\\w*Error: ", "ImportError: no app"]);
  assertStringIncludes(error.message, "its log has a line that matches /^\\w*Error: /: ImportError: no app");
  assertEquals(sandbox.serversOf("web"), []);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "failed");

  // A line that comes before the server is ready counts, though the probes pass in the same look.
  const both = ["--log", "^ready$", "--fail-log", "^bad$"];
  const racing = ["sh", "-c", "printf 'bad\\nready\\n'; exec sleep 600"];
  assertEquals((await sandbox.json(["start", "web", ...both, "--", ...racing], { code: 1 })).error.kind, "failed-log");
  const good = await sandbox.json(["start", "web", ...both, "--", "sh", "-c", "echo ready; exec sleep 600"]);
  assertEquals(good.ready, true);
  assertEquals((await sandbox.json(["restart", "web"])).ready, true);

  const described = { nodes: { api: { command: script, probes: { log: "ready", fail_log: ["Error"] } } } };
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify(described));
  assertEquals((await sandbox.json(["start", "api"], { code: 1 })).error.kind, "failed-log");
  const wrong = await sandbox.json(["start", "web", "--fail-log", "(", "--", "true"], { code: 2 });
  assertStringIncludes(wrong.error.message, 'Cannot use "(" for --fail-log');
});

/** Python that listens, and then does something to whoever connects. */
function listener(listen: string, then: string): string[] {
  return ["python3", "-c", `import os, socket, threading, time\n${listen}\n${then}\ntime.sleep(600)`];
}

const TCP = 's = socket.socket()\ns.bind(("127.0.0.1", int(os.environ["PORT"])))';
const UNIX = 's = socket.socket(socket.AF_UNIX)\nos.path.exists("s") and os.unlink("s")\ns.bind("s")';
/** A connect waits in a full queue. It begins to listen between two checks: the first connection is accepted. */
const FULL = `while not os.path.exists("go"):
    time.sleep(0.01)
s.listen(0)
queue = [socket.socket(s.family) for _ in range(4)]
for c in queue:
    c.setblocking(False)
    c.connect_ex(s.getsockname())
open("full", "w").close()`;
/** Every connection gets a byte now and then, for ever. */
const DRIBBLE = `s.listen()
def serve(c):
    try:
        c.sendall(b"HTTP/1.1 100 Continue\\r\\n")
        while True:
            c.sendall(b"x")
            time.sleep(0.01)
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()`;

Deno.test({
  name: "a server that does what it can to hold up its other probes",
  ignore: TIER === "fast" || !hasPython,
  async fn(test) {
    const sleep = ["sleep", "600"];
    const cases: [string, string[], string[]][] = [
      ["--port: a queue that is full", ["--port", "0"], listener(TCP, FULL)],
      ["--port: nobody listens", ["--port", "0"], sleep],
      ["discovery: nobody listens", [], sleep],
      ["--http: an answer in bytes without end", ["--port", "0", "--http", "/"], listener(TCP, DRIBBLE)],
      ["--unix: a queue that is full", ["--unix", "s"], listener(UNIX, FULL)],
      ["--port-file: a FIFO", ["--port-file", "p"], ["sh", "-c", "mkfifo p; exec sleep 600"]],
      ["--file: it never comes", ["--file", "f"], sleep],
      [
        "--exec: deaf, with children",
        ["--exec", "trap '' TERM INT HUP; touch deaf; sleep 600 & sleep 600; true"],
        sleep,
      ],
      ["--alive-for", ["--alive-for", "1h"], sleep],
      ["--stable-for", ["--no-probe", "--stable-for", "1h"], sleep],
    ];
    for (const [name, flags, command] of inTurn(cases, 2)) {
      await test.step(name, async () => {
        await using sandbox = await Sandbox.create();
        if (name.includes("FIFO")) {
          // In the way of the next start, too, which refuses it; so each has its own.
          await sandbox.json(["start", "web", ...flags, "--timeout", "300ms", "--", ...command], { code: 124 });
          return;
        }
        if (name.includes("deaf")) {
          const deaf = `${sandbox.project}/deaf`;
          return void await assertEnds(sandbox, flags, command, async () => {
            await until("its command runs", () => exists(deaf));
            Deno.removeSync(deaf);
          });
        }
        if (!name.includes("queue")) return void await assertEnds(sandbox, flags, command);
        await assertEnds(sandbox, flags, command, async (starter) => {
          const [go, full] = [`${sandbox.project}/go`, `${sandbox.project}/full`];
          kill(starter, "SIGSTOP");
          Deno.writeTextFileSync(go, "");
          await until("the queue is full, or the deadline is over", () => exists(full) || !isRunning(starter.pid));
          for (const file of [go, full]) if (exists(file)) Deno.removeSync(file);
          kill(starter, "SIGCONT");
          await untilCheckedAgain(starter);
        });
      });
    }
  },
});

function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return ""; // closed meanwhile
    throw error;
  }
}

/** The library: the same engine for programs. Each program runs in a process of its own, with a sandbox's state. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  allPids,
  type Document,
  exists,
  fixture,
  freePort,
  isRunning,
  ROOT,
  Sandbox,
  until,
} from "./support/sandbox.ts";
import { costly, TIER } from "./support/tier.ts";

/** Where the modules come from here, as the tests themselves found them. */
const IMPORTS = [
  ...["--config", `${ROOT}/deno.json`],
  ...(Deno.env.get("TOMBSTONE_API_FLAGS") ?? "").split(" ").filter((word) => word !== ""),
];

/** Runs a program that has the library as `lib`, `serve` as the command of a server, and prints JSON. */
async function program(
  sandbox: Sandbox,
  body: string,
  types: "--check" | "--no-check" = "--no-check",
): Promise<{ code: number; said: Document; stderr: string }> {
  const path = `${sandbox.root}/program.ts`;
  const serve = `const serve = (...options: string[]) => [${
    fixture().map((word) => JSON.stringify(word)).join(", ")
  }, ...options];`;
  Deno.writeTextFileSync(path, `import * as lib from "${ROOT}/lib/mod.ts";\n${serve}\n${body}`);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", types, "--quiet", "-A", ...IMPORTS, path],
    cwd: sandbox.project,
    env: sandbox.env(),
  }).output();
  const text = new TextDecoder().decode(stdout);
  return { code, said: text === "" ? null : JSON.parse(text), stderr: new TextDecoder().decode(stderr) };
}

costly("await using: the node serves, is seen by the command line, and is gone afterwards", async () => {
  await using sandbox = await Sandbox.create();
  const { code, said, stderr } = await program(
    sandbox,
    `let seen;
    {
      await using node = await lib.start({ name: "web", command: serve("http=200", "say=hi"), port: 0, probes: { http: "/" } });
      const response = await fetch(node.url!);
      await response.body?.cancel();
      seen = { status: response.status, state: (await node.status()).state, started: node.started, log: node.lastLines() };
    }
    console.log(JSON.stringify({ ...seen, after: (await lib.status("web")).state }));`,
    "--check",
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(said, { status: 200, state: "running", started: true, log: ["hi"], after: "stopped" });
  assertEquals(sandbox.processes(), []);
});

Deno.test("a node that runs already is joined, and left as it was", async () => {
  await using sandbox = await Sandbox.create();
  const command = fixture();
  const { pid } = await sandbox.json(["start", "web", "--port", "0", "--", ...command]);
  const { said } = await program(
    sandbox,
    `{
      await using node = await lib.start({ name: "web", command: serve(), port: 0 });
      console.log(JSON.stringify({ pid: node.pid, started: node.started }));
    }`,
  );
  assertEquals(said, { pid, started: false });
  assertEquals((await sandbox.assertOneServer("web")).pid, pid);
  const stopped = await program(
    sandbox,
    `console.log(JSON.stringify([await lib.stop("web"), await lib.stop("web")]));`,
  );
  assertEquals(stopped.said, [true, false]);
});

costly("errors are classes with the exit code of the command line", async (test) => {
  const port = freePort();
  const cases: [string, string, number, string][] = [
    ["ServerExitedError", `{ command: "echo no database; exit 3" }`, 1, "exited with code 3"],
    ["NotReadyError", `{ command: "sleep 60", port: 0, timeout: 0.2 }`, 124, "not ready"],
    ["PortInUseError", `{ command: serve(), port: ${port} }`, 5, `${port}`],
    ["CommandError", `{ command: ["nosuch"] }`, 127, "nosuch"],
    ["UsageError", `{ command: "x", port: 99999 }`, 2, '"port" of node "project" in the options of start'],
    ["UsageError", `{ command: "x", sweepFiles: 5 as unknown as string }`, 2, '"sweepFiles" of node "project"'],
    ["UsageError", `{ command: "x", probes: { anyListner: true } } as lib.StartOptions`, 2, "probes.anyListner"],
    ["StateError", `{ command: serve(), stateDir: "/proc" }`, 4, "/proc"],
    ["AbortedError", `{ command: "sleep 60", port: 0, signal: AbortSignal.timeout(200) }`, 130, "aborted"],
  ];
  using _stranger = Deno.listen({ hostname: "127.0.0.1", port });
  for (const [name, options, exitCode, message] of cases) {
    await test.step(`${name}: ${options}`, async () => {
      await using sandbox = await Sandbox.create();
      const { said, stderr } = await program(
        sandbox,
        `try {
          await lib.start(${options});
          console.log('"started"');
        } catch (error) {
          const classes = Object.entries(lib).filter(([name, one]) => name.endsWith("Error") && error instanceof (one as typeof lib.TombstoneError));
          const { exitCode, message, name } = error as lib.TombstoneError;
          console.log(JSON.stringify({ classes: classes.map(([name]) => name).sort(), exitCode, message, name }));
        }`,
      );
      assertEquals(stderr, "");
      assertEquals(said.classes, [name, "TombstoneError"].sort());
      assertEquals([said.exitCode, said.name], [exitCode, name]);
      assertStringIncludes(said.message, message);
      assertEquals(sandbox.processes(), []);
    });
  }
});

Deno.test("if a start fails and its processes cannot be examined, the error reports both", async () => {
  await using sandbox = await Sandbox.create();
  const { said } = await program(
    sandbox,
    `const { live } = await import("${ROOT}/lib/os/scan.ts");
    (live as { listAsync: unknown }).listAsync = () => Deno.readTextFileSync("/nowhere/at/all");
    const error = await lib.start({ name: "web", command: "exit 3", probes: { none: true, aliveFor: 60 } }).catch((error) => error);
    const { name, message, cause } = error;
    console.log(JSON.stringify({ name, message, cause: cause.name }));`,
  );
  assertEquals([said.name, said.cause], ["StateError", "ServerExitedError"]);
  assertMatch(said.message, /^Cannot start "web": the server exited with code 3 after \d+ ms\. Cannot .*\/nowhere/);
});

Deno.test("a start removes its listener from the signal, after success and after failure", async () => {
  await using sandbox = await Sandbox.create();
  const { said } = await program(
    sandbox,
    `const { signal } = new AbortController();
    const counts = { added: 0, removed: 0 };
    const [add, remove] = [signal.addEventListener, signal.removeEventListener];
    signal.addEventListener = (...all: unknown[]) => (counts.added++, add.apply(signal, all as never));
    signal.removeEventListener = (...all: unknown[]) => (counts.removed++, remove.apply(signal, all as never));
    await (await lib.start({ name: "web", command: serve(), port: 0, signal })).stop();
    await lib.start({ name: "web", command: "exit 3", signal }).catch(() => {});
    console.log(JSON.stringify(counts));`,
  );
  assert(said.added > 0);
  assertEquals(said.removed, said.added);
});

Deno.test("a program that is killed: the next start of its node cleans up", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.root}/killed.ts`;
  const options = JSON.stringify({ name: "web", command: fixture("delay=60000", "write=begun"), port: 0 });
  Deno.writeTextFileSync(path, `import { start } from "${ROOT}/lib/mod.ts";\nawait start(${options});\n`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", ...IMPORTS, path],
    cwd: sandbox.project,
    env: sandbox.env(),
  }).spawn();
  await until("the server has begun", () => exists(`${sandbox.project}/begun`));
  child.kill("SIGKILL");
  await child.status;
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  assertEquals(started.recovered.reason, "interrupted-start");
  await sandbox.assertOneServer("web");
});

costly(
  "a start by a program ends the nodes whose lease is over, and says so; a program's nodes can end with it",
  async () => {
    await using sandbox = await Sandbox.create();
    const first = await program(
      sandbox,
      `const node = await lib.start({ name: "web", command: serve(), port: 0, whilePid: Deno.pid, session: "tests", maxAge: "4h" });
     const { while_pid, max_age_ms, session } = await node.status();
     console.log(JSON.stringify({ pid: node.pid, own: while_pid === Deno.pid, max_age_ms, session }));`,
      "--check",
    );
    const { pid, ...leases } = first.said;
    assertEquals(leases, { own: true, max_age_ms: 4 * 3600 * 1000, session: "tests" });
    const second = await program(
      sandbox,
      `const told: string[] = [];
     await using node = await lib.start({ name: "api", command: serve(), port: 0, tell: (text) => told.push(text) });
     console.log(JSON.stringify({ told, started: node.started }));`,
    );
    assertEquals([second.said.started, second.said.told.length], [true, 1], second.stderr);
    // A busy machine may take longer than the start waits.
    const either =
      /^(ended "web" of \S+|"web" of \S+ is still being ended): it was to end with pid \d+, which is gone$/;
    assertMatch(second.said.told[0], either);
    if (second.said.told[0].startsWith("ended")) assert(!isRunning(pid));
    else await until("the next command has ended it", async () => (await sandbox.json(["list"])) && !isRunning(pid));
    assertEquals(sandbox.processes(), []);
  },
);

Deno.test("a test with the library leaks nothing", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.root}/leak_test.ts`;
  const options = JSON.stringify({ name: "web", command: fixture(), port: 0 });
  Deno.writeTextFileSync(
    path,
    `import { start } from "${ROOT}/lib/mod.ts";
    Deno.test("with a server", async () => {
      await using node = await start(${options});
      (await Deno.connect({ port: node.port! })).close();
    });`,
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--quiet", "-A", ...IMPORTS, path],
    cwd: sandbox.project,
    env: sandbox.env(),
  }).output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stdout) + text.decode(stderr));
  assert(text.decode(stdout).includes("1 passed"));
});

costly(
  "a program goes on while it starts and stops a node: its thread is never blocked, and a look at many processes is in pieces",
  async () => {
    await using sandbox = await Sandbox.create();
    // Where the directory of a node is empty, a look in one piece asks whether a server is left of a deleted state.
    await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
    await sandbox.json(["stop", "web"]);
    // One process with 400 children, each of them three files to read.
    sandbox.bystander(["sh", "-c", "for n in $(seq 400); do sleep 600 & done; wait"]);
    await until("they run", () => allPids().length > 400);
    const { said, stderr } = await program(
      sandbox,
      `let blocked = 0, reads = 0, most = 0, isOver = false;
    const counted = <T extends unknown[], R>(call: (...args: T) => R) => (...args: T) => (reads++, call(...args));
    Deno.readTextFileSync = counted(Deno.readTextFileSync);
    Atomics.wait = (() => (blocked++, "timed-out")) as typeof Atomics.wait;
    Deno.FsFile.prototype.syncSync = () => void blocked++;
    const turns = async () => {
      while (!isOver) {
        await new Promise((resolve) => setTimeout(resolve));
        most = Math.max(most, reads);
        reads = 0;
      }
    };
    const turning = turns();
    // The second process of the tree is found by a look at all of them.
    const node = await lib.start({ name: "web", command: ["sh", "-c", serve().join(" ") + "; true"], port: 0 });
    await node.status();
    await node.stop();
    isOver = true;
    await turning;
    console.log(JSON.stringify({ blocked, most, started: node.started }));`,
    );
    assertEquals(stderr, "");
    assertEquals([said.blocked, said.started], [0, true]);
    assert(said.most < 600, `${said.most} files were read in one turn`);
  },
);

Deno.test("a start lets go of the signal that could have aborted it", async () => {
  await using sandbox = await Sandbox.create();
  const { said } = await program(
    sandbox,
    `const controller = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = controller.signal;
    controller.signal.addEventListener = function (...args: unknown[]) {
      listeners++;
      return addEventListener.apply(this, args as Parameters<typeof addEventListener>);
    } as typeof addEventListener;
    controller.signal.removeEventListener = function (...args: unknown[]) {
      listeners--;
      return removeEventListener.apply(this, args as Parameters<typeof removeEventListener>);
    } as typeof removeEventListener;
    for (const name of ["a", "b"]) {
      await using _node = await lib.start({ name, command: serve(), port: 0, signal: controller.signal });
    }
    console.log(JSON.stringify(listeners));`,
  );
  assertEquals(said, 0);
});

Deno.test({
  name: "a test command that not even SIGKILL ends does not hold up the end of a run",
  ignore: TIER === "fast", // such a command has five seconds
  async fn() {
    await using sandbox = await Sandbox.create();
    const { said } = await program(
      sandbox,
      `const [{ runForeground }, { Signals }, { system }, { nodeDir }] = await Promise.all([
        import("${ROOT}/lib/engine/foreground.ts"),
        import("${ROOT}/lib/engine/signals.ts"),
        import("${ROOT}/lib/os/system.ts"),
        import("${ROOT}/lib/state/node_dir.ts"),
      ]);
      (system.processes as { signal: unknown }).signal = () => false;
      using signals = new Signals(() => {});
      const roots = { dir: nodeDir("${sandbox.root}", "w", "web"), attempts: [], exclude: [] };
      const request = { command: ["sleep", "600"], env: {}, roots, graceMs: 0, signals, watch: () => "end" as const };
      const { status, cause, leftovers } = await runForeground("web", request);
      console.log(JSON.stringify({ status, cause, left: leftovers.left.map(({ name }) => name) }));
      for (const { pid } of leftovers.left) Deno.kill(pid, "SIGKILL");`,
    );
    assertEquals(said, { status: { code: 137, signal: "SIGKILL" }, cause: "watch", left: ["sleep"] });
  },
});

costly("simultaneous starts in one program start each node once", async () => {
  await using sandbox = await Sandbox.create();
  const { said, stderr } = await program(
    sandbox,
    `const start = (name: string) => lib.start({ name, command: serve(), port: 0 });
    const nodes = await Promise.all(["one", "two", "web", "web", "web"].map(start));
    const told = nodes.map(({ name, pid, port, started }) => ({ name, pid, port, started }));
    await Promise.all([...new Map(nodes.map((node) => [node.pid, node])).values()].map((node) => node.stop()));
    console.log(JSON.stringify(told));`,
    "--check",
  );
  assert(said !== null, stderr);
  const [one, two, ...web] = said as Document[];
  assertEquals([one.started, two.started, web.filter(({ started }) => started).length], [true, true, 1]);
  assertEquals(new Set(web.map(({ pid, port }) => `${pid} ${port}`)).size, 1);
  assertEquals(new Set([one, two, web[0]].map(({ pid }) => pid)).size, 3);
  assertEquals(new Set([one, two, web[0]].map(({ port }) => port)).size, 3);
  assertEquals(sandbox.processes(), []);
});

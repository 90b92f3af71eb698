/** Servers that put themselves into the background: what they leave behind is the node, or told at once to be gone. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { allPids, exists, fixture, freePort, isRunning, kill, Sandbox, until } from "./support/sandbox.ts";
import { isInstalled } from "./support/servers.ts";
import { costly, TIER } from "./support/tier.ts";

costly(
  "a server whose first process exits with 0 is the process that it leaves behind, and stop ends all of it",
  async () => {
    await using sandbox = await Sandbox.create();
    sandbox.bystander();
    const pidFile = `${sandbox.project}/own.pid`;
    const touched = `${sandbox.project}/touched`;
    const server = fixture(`daemon=${pidFile}`, `touch=${touched}`, "child");
    // With a port it is the one that listens, also where an older process was left behind; else the oldest.
    const withHelper = ["sh", "-c", `sleep 600 & exec ${server.map(sandbox.quote).join(" ")}`];
    for (const flags of [["--port", "0", "--", ...server], ["--", ...server], ["--port", "0", "--", ...withHelper]]) {
      const started = await sandbox.json(["start", "web", ...flags]);
      assertEquals(started.pid, Number(Deno.readTextFileSync(pidFile)));
      await until("the child runs", () => sandbox.serversOf("web").length >= 2);
      await sandbox.assertOneServer("web");
      const again = await sandbox.json(["start", "web", ...flags]);
      assertEquals([again.started, again.pid], [false, started.pid]);
      await sandbox.json(["stop", "web"]);
      assertEquals(sandbox.processes(), []);
    }
    const started = await sandbox.json(["start", "web", "--file", touched, "--", ...server]);
    assertEquals(started.pid, Number(Deno.readTextFileSync(pidFile)));
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
    sandbox.assertBystanders();
  },
);

/** Steps of a start from the spawn on, at which it can be killed. */
const STEPS = ["spawned", "waiting", "port-written", "committed", "recorded", "launch-removed"];

/** Kills a start at each of these steps; the next one must make it good. */
async function surviveKills(sandbox: Sandbox, start: string[], steps: string[]): Promise<void> {
  for (const step of steps) {
    const { signal } = await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: step } }).output();
    assertEquals(signal, "SIGKILL", step);
    await sandbox.json(start);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), [], step);
  }
}

costly("a start of such a server that is killed at any step is made good by the next one", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", String(freePort()), "--", ...fixture(`daemon=${sandbox.project}/own.pid`)];
  await surviveKills(sandbox, args, [...STEPS, "tombstone-removed"]);
});

Deno.test("a first process that exits with 0 and leaves nobody, or with another code, has ended, which is told at once", async () => {
  await using sandbox = await Sandbox.create();
  for (const [code, options] of [[0, ["exit=0"]], [3, ["exit=3", "child"]]] as const) {
    const begun = performance.now();
    const { error } = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture(...options)], { code: 1 });
    assertEquals([error.kind, error.exit_status], ["server-exited", code]);
    assert(performance.now() - begun < 20_000, "long before the timeout of 60 s");
    assertEquals(sandbox.processes(), []);
  }
});

Deno.test("a daemon that dies before it has written its pid file is told at once", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--pid-file", `${sandbox.project}/web.pid`, "--port", "0", "--"];
  const begun = performance.now();
  const { error } = await sandbox.json([...args, "sh", "-c", "setsid sh -c 'sleep 0.05; exit 3' & exit 0"], {
    code: 1,
  });
  assertEquals(error.kind, "server-exited");
  assertStringIncludes(error.message, "exited with code 0");
  assert(performance.now() - begun < 20_000, "long before the timeout of 60 s");
});

/** Servers that do so unless they are told otherwise. */
const REAL: [
  name: string,
  flags: (port: number, dir: string) => string[],
  command: (port: number, dir: string) => string[],
][] = [
  ["lighttpd", (port) => ["--port", String(port)], (port, dir) => {
    const lines = [`server.document-root="${dir}"`, `server.port=${port}`, `server.bind="127.0.0.1"`];
    Deno.writeTextFileSync(`${dir}/lighttpd.conf`, `${lines.join("\n")}\n`);
    return ["lighttpd", "-f", `${dir}/lighttpd.conf`];
  }],
  ["dnsmasq", (port) => ["--port", String(port)], (port) => [
    ...["dnsmasq", `--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts"],
    ...["--pid-file=", "--conf-file=/dev/null", `--user=${Deno.uid() === 0 ? "root" : ""}`],
  ]],
  // It overwrites its environment, too.
  ["redis-server", (port) => ["--port", String(port)], (port, dir) => [
    ...[
      "redis-server",
      "--daemonize",
      "yes",
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--dir",
      dir,
    ],
  ]],
  ["dbus-daemon", (_, dir) => ["--unix", `${dir}/bus`], (_, dir) => [
    ...["dbus-daemon", "--session", "--fork", `--address=unix:path=${dir}/bus`],
  ]],
];

for (const [name, flags, command] of REAL) {
  Deno.test({
    name: `${name}, which goes into the background, is the process that stays there`,
    ignore: !isInstalled(name),
    async fn() {
      await using sandbox = await Sandbox.create();
      const port = freePort();
      for (let round = 0; round < 5; round++) {
        const args = [...flags(port, sandbox.project), "--", ...command(port, sandbox.project)];
        await sandbox.json(["start", "web", ...args]);
        const status = await sandbox.json(["status", "web"]);
        assertEquals([status.state, status.ready], ["running", true]);
        assert(isRunning(status.pid));
        assertEquals(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/pid`), `${status.pid}\n`);
        const { nodes } = await sandbox.json(["stop", "web"]);
        assertEquals([nodes[0].stopped, nodes[0].pids.includes(status.pid)], [true, true]);
        assertEquals(sandbox.processes(), []);
      }
    },
  });
}

Deno.test({
  name:
    "redis in the background: its start is killed at every step, its main process dies, and the next start finds it",
  ignore: TIER === "fast" || !isInstalled("redis-server"),
  async fn() {
    await using sandbox = await Sandbox.create();
    sandbox.bystander();
    const port = freePort();
    const redis = ["redis-server", "--daemonize", "yes", "--port", String(port), "--bind", "127.0.0.1", "--save", ""];
    const args = ["start", "web", "--port", String(port), "--", ...redis, "--dir", sandbox.project];
    await surviveKills(sandbox, args, STEPS);
    const { pid } = await sandbox.json(args);
    Deno.kill(pid, "SIGKILL");
    await until("redis is gone", () => !isRunning(pid));
    assertEquals((await sandbox.json(args)).recovered.reason, "died");
    await sandbox.assertOneServer("web");
    sandbox.assertBystanders();
  },
});

Deno.test({
  name:
    "workers of nginx whose master was killed are the node's, though nothing but the log at their ninth descriptor tells",
  ignore: !isInstalled("nginx"),
  async fn() {
    await using sandbox = await Sandbox.create();
    Deno.chmodSync(sandbox.root, 0o755);
    const [port, home] = [freePort(), sandbox.project];
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
      `${name}_temp_path ${home}/${name};`
    );
    const site = `server { listen 127.0.0.1:${port}; return 200 ok; }`;
    Deno.writeTextFileSync(
      `${home}/nginx.conf`,
      `pid ${home}/nginx.pid; error_log ${home}/error.log; worker_processes 2; events {}
      http { access_log off; ${temporary.join(" ")} ${site} }`,
    );
    const nginx = ["nginx", "-p", home, "-c", `${home}/nginx.conf`, "-e", `${home}/error.log`];
    const args = ["start", "web", "--port", String(port), "--pid-file", `${home}/nginx.pid`, "--", ...nginx];
    const { pid } = await sandbox.json(args);
    Deno.kill(pid, "SIGKILL");
    await until("the master is gone", () => !isRunning(pid));
    const again = await sandbox.json(args);
    assertEquals([again.started, again.recovered.reason], [true, "died"]);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
  },
});

Deno.test("a daemon on its way when its start is ended is ended, too: by a signal, and by the next command after a kill", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/its.pid`;
  const mark = `${Math.random()}`.slice(2);
  // It gives up session, environment and descriptors at once, and takes its time to write its pid file.
  const daemon = `use POSIX; exit 0 if fork; POSIX::setsid(); exit 0 if fork; %ENV = (); POSIX::close($_) for 0 .. 20;
    exec $^X, "-e", 'open(B, ">", $ARGV[1]); select undef, undef, undef, 0.02 until -e $ARGV[2];
      open(F, ">", $ARGV[0]); print F "$$\\n"; close F; sleep 600', @ARGV;`;
  const [begun, go] = [`${sandbox.project}/begun`, `${sandbox.project}/go`];
  const start = ["start", "web", "--pid-file", path, "--no-probe", "--", "perl", "-e", daemon, path, begun, go, mark];
  const living = () =>
    allPids().filter((pid) => {
      const words = isRunning(pid) ? commandLineOf(pid) : "";
      return words.startsWith("/") && words.includes(mark) && words.includes("select undef") &&
        !words.includes("POSIX");
    });
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const starter = sandbox.spawn(start);
    await until("the daemon is on its way", () => exists(begun));
    kill(starter, signal);
    Deno.writeTextFileSync(go, "");
    await starter.output();
    if (signal === "SIGKILL") await sandbox.json(["sweep", "web"]);
    await until("nobody is left", () => living().length === 0);
    assertEquals(exists(path), false, signal);
    Deno.removeSync(begun);
    Deno.removeSync(go);
  }
});

function commandLineOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return ""; // it has ended
    throw error;
  }
}

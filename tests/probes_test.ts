/** Every condition for "ready": what it takes for it to hold, and that nobody but the node can meet it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { accepts, exists, fixture, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { costly, TIER } from "./support/tier.ts";

const hasRedis = installed("redis-server", "redis-server");
const hasPerl = installed("perl", "perl-base");

Deno.test("with --port and --http, a server that listens nowhere is told of in one way, and not as one of unknown port", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const args = ["start", "web", "--port", String(port), "--http", "/", "--timeout", "1s", "--", "sleep", "60"];
  const { error } = await sandbox.json(args, { code: 124 });
  assertStringIncludes(error.message, `nothing accepts connections on port ${port}`);
  assertEquals(error.message.includes("not known"), false, error.message);
});

Deno.test("--http waits until a GET is answered as wanted, and the url is then one of http", async () => {
  await using sandbox = await Sandbox.create();
  const file = `${sandbox.project}/status`;
  Deno.writeTextFileSync(file, "503");
  const server = fixture("http", `status-file=${file}`);
  const starting = sandbox.json(["start", "web", "--http", "/health", "--", ...server]);
  await until("it is asked", () => sandbox.serversOf("web").length > 0);
  const waiting = await sandbox.json(["status", "web"], { code: 3 });
  assertEquals(waiting.state, "starting");
  Deno.writeTextFileSync(file, "302");
  const started = await starting;
  assertEquals([started.ready, started.url], [true, `http://127.0.0.1:${started.port}`]);

  Deno.writeTextFileSync(file, "500");
  const unwell = await sandbox.json(["status", "web"]);
  assertEquals([unwell.state, unwell.ready, unwell.reason], [
    "running",
    false,
    `not ready: ${started.url}/health answers with status 500`,
  ]);
  const joining = await sandbox.json(["start", "web", "--http", "/health", "--timeout", "1s", "--", ...server], {
    code: 124,
  });
  assertStringIncludes(joining.error.message, "answers with status 500");
  Deno.writeTextFileSync(file, "200");
  assertEquals((await sandbox.json(["restart", "web"])).ready, true);
});

costly("--http-status decides which answers count; a chosen port is filled into a URL", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--http", "http://localhost:{port}/"];
  const refused = await sandbox.json([...start, "--timeout", "3s", "--", ...fixture("http=401")], { code: 124 });
  assertMatch(refused.error.message, /http:\/\/localhost:\d+\/ answers with status 401/);
  await sandbox.json([...start, "--http-status", "200-299,401", "--", ...fixture("http=401")]);
  await sandbox.json(["stop", "web"]);
  const silent = await sandbox.json([...start, "--timeout", "3s", "--", ...fixture()], { code: 124 });
  assertMatch(silent.error.message, /does not answer in HTTP/);
});

Deno.test("an HTTP answer of somebody else makes no start ready", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const stranger = sandbox.bystander(fixture(`port=${port}`, "http"));
  await until("the stranger listens", () => accepts(port));
  const start = ["start", "web", "--http", `http://127.0.0.1:${port}/`, "--", ...fixture("http")];
  const { error } = await sandbox.json(start, { code: 5 });
  assertStringIncludes(error.message, `port ${port} is in use by pid ${stranger}`);
  assertEquals(sandbox.serversOf("web"), []);
  await sandbox.json(["start", "web", "--any-listener", ...start.slice(2)]);
  sandbox.assertBystanders();
});

Deno.test("a path that begins with two slashes stays on the node", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "web", "--http", "//example.invalid/", "--", ...fixture("http")]);
  assertEquals(started.url, `http://127.0.0.1:${started.port}`);
});

Deno.test({
  name: "--http over TLS: the node's own listener needs no trusted certificate, anybody else's does",
  ignore: TIER === "fast" || !installed("openssl", "openssl"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const [key, cert] = [`${sandbox.project}/key.pem`, `${sandbox.project}/cert.pem`];
    const subject = ["-subj", "/CN=localhost"];
    const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject];
    const make = async (...extensions: string[]) => {
      const args = [...request, ...extensions];
      assert((await new Deno.Command("openssl", { args, stderr: "null" }).output()).success);
    };
    await make(); // what everybody types; it is a certificate of an authority, which TLS libraries refuse for a server
    const script = `const fs = require("fs");
      require("https").createServer({ key: fs.readFileSync("key.pem"), cert: fs.readFileSync("cert.pem") },
        (request, response) => response.end("ok")).listen(process.env.PORT, "127.0.0.1")`;
    const start = ["start", "web", "--port", "0", "--http", "https://localhost:{port}/"];
    const own = await sandbox.json([...start, "--", "node", "-e", script]);
    assertEquals([own.ready, own.url], [true, `https://127.0.0.1:${own.port}`]);
    assertEquals((await sandbox.json(["status", "web"])).ready, true);
    await sandbox.json(["stop", "web"]);

    const anybody = [...start, "--any-listener", "--", "node", "-e", script];
    const { error } = await sandbox.json([...start, "--timeout", "4s", ...anybody.slice(start.length)], { code: 124 });
    assertStringIncludes(error.message, "has a certificate that is not trusted");
    await make("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE");
    const started = await sandbox.json(anybody, { env: { DENO_CERT: cert } });
    assertEquals(started.url, `https://127.0.0.1:${started.port}`);
  },
});

Deno.test({
  name: "--unix: redis on a socket; the socket of a killed one is removed, by the next start or a sweep",
  ignore: !hasRedis,
  async fn() {
    await using sandbox = await Sandbox.create();
    const path = `${sandbox.project}/r.sock`;
    // Bound by a relative name, as many configurations do.
    const start = ["start", "db", "--unix", "r.sock", "--", "redis-server", "--port", "0", "--unixsocket", "r.sock"];
    const first = await sandbox.json(start);
    assertEquals([first.port, first.ready], [null, true]);
    assertEquals((await sandbox.json(["status", "db"])).ready, true);
    Deno.kill(first.pid, "SIGKILL");
    await until("it is gone", () => !isRunning(first.pid));
    const second = await sandbox.json(start);
    assert(second.recovered.files.includes(path), JSON.stringify(second.recovered));
    Deno.kill(second.pid, "SIGKILL");
    await until("it is gone", () => !isRunning(second.pid));
    await sandbox.json(["sweep", "db"]);
    assertEquals([...Deno.readDirSync(sandbox.project)].map((entry) => entry.name), []);
  },
});

Deno.test("--unix: a stranger on the socket is named, keeps its socket, and makes no start ready", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/app.sock`;
  const stranger = sandbox.bystander(fixture(`unix=${path}`));
  await until("the stranger listens", () => exists(path));
  const before = await sandbox.json(["start", "web", "--unix", path, "--", "sleep", "600"], { code: 5 });
  assertStringIncludes(before.error.message, `the socket "${path}" is in use by pid ${stranger}`);
  assert(exists(path));
  // One that comes only while the start waits.
  const other = `${sandbox.project}/other.sock`;
  const starting = sandbox.json(["start", "web", "--unix", other, "--", "sleep", "600"], { code: 5 });
  await until("the start waits", () => sandbox.serversOf("web").length > 0);
  const late = sandbox.bystander(fixture(`unix=${other}`));
  assertStringIncludes((await starting).error.message, `is in use by pid ${late}`);
  await sandbox.json(["sweep", "web"]);
  assert(exists(path) && exists(other));
  sandbox.assertBystanders();

  const file = `${sandbox.project}/precious.txt`;
  Deno.writeTextFileSync(file, "x");
  const wrong = await sandbox.json(["start", "web", "--unix", file, "--", "true"], { code: 2 });
  assertStringIncludes(wrong.error.message, "it exists and is not a socket");
});

Deno.test("--log looks at whole lines of this start alone, without their colours", async () => {
  await using sandbox = await Sandbox.create();
  const start = (script: string, timeout: string) => [
    "start",
    "web",
    "--log",
    "^Local: +http://localhost:\\d+$",
    "--timeout",
    timeout,
    "--",
    "sh",
    "-c",
    script,
  ];
  const colourful = "printf 'Local:   http://localhost:\\033[1m5173\\033[0m\\r\\n'; exec sleep 600";
  assertEquals((await sandbox.json(start(colourful, "30s"))).ready, true);
  assertEquals((await sandbox.json(["status", "web"])).ready, true);
  await sandbox.json(["stop", "web"]);
  // The line of the earlier start is still there, in server.log.1; half a line is none.
  const half = await sandbox.json(start("printf 'Local: http://localhost:5'; exec sleep 600", "300ms"), { code: 124 });
  assertStringIncludes(half.error.message, "no line of its log matches");
});

Deno.test("--file must have been written since the start", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/ready`;
  Deno.writeTextFileSync(path, "of an earlier run");
  Deno.utimeSync(path, new Date(), new Date(Date.now() - 1000));
  const start = (
    timeout: string,
    ...options: string[]
  ) => ["start", "web", "--file", path, "--timeout", timeout, "--", ...fixture(...options)];
  const old = await sandbox.json(start("1s"), { code: 124 });
  assertStringIncludes(old.error.message, `"${path}" is older than this start`);
  assertEquals(Deno.readTextFileSync(path), "of an earlier run");
  assertEquals((await sandbox.json(start("60s", `touch=${path}`))).ready, true);
  assertEquals((await sandbox.json(["status", "web"])).ready, true);
  await sandbox.json(["stop", "web"]);
  assert(exists(path), "a file that is waited for is the user's own");
});

Deno.test("--exec runs in the server's directory with its variables, until it exits with 0", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/sub`);
  const probe = 'test -e ready && test "$PORT" = {port} && test "$SECRET" = x && echo "$TOMBSTONE_NODE" >seen';
  const flags = ["--port", "0", "--cwd", "sub", "--env", "SECRET=x", "--exec", probe];
  const starting = sandbox.json(["start", "web", ...flags, "--", ...fixture()]);
  await until("it is asked", () => sandbox.serversOf("web").length > 0);
  assert(!exists(`${sandbox.project}/sub/seen`));
  Deno.writeTextFileSync(`${sandbox.project}/sub/ready`, "");
  assertEquals((await starting).ready, true);
  assertEquals(Deno.readTextFileSync(`${sandbox.project}/sub/seen`), "web\n");
});

Deno.test("--exec that hangs does not outlive the start, nor hold up the news of the server's end", async () => {
  await using sandbox = await Sandbox.create();
  const hanging = ["--exec", "trap '' TERM; sleep 600; true"];
  const late = await sandbox.json(["start", "web", ...hanging, "--timeout", "1s", "--", "sleep", "600"], {
    code: 124,
  });
  assertMatch(late.error.message, /did not end/); // in time, or at all, if its shell took long to begin
  assertEquals(sandbox.processes(), []);
  const dead = ["start", "web", ...hanging, "--timeout", "50s", "--", ...fixture("exit=3", "after=200", "delay=0")];
  const gone = await sandbox.json(dead, { code: 1 });
  assertStringIncludes(gone.error.message, "the server exited with code 3");
  assertEquals(sandbox.processes(), []);
});

Deno.test("a signal to a start whose --exec hangs ends it at once; nothing is committed, nothing is left", async () => {
  await using sandbox = await Sandbox.create();
  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    const starter = sandbox.spawn(["start", "web", "--exec", "exec sleep 600", "--", "tail", "-f", "/dev/null"]);
    await until("the probe runs", () => sandbox.serversOf("web").some((pid) => readProcess(pid)?.name === "sleep"));
    starter.kill(signal);
    assertEquals((await starter.output()).code, code);
    assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "failed");
    assertEquals(sandbox.processes(), []);
  }
});

costly("a hanging --exec holds up status and list for their five seconds, and leaves nothing", async () => {
  await using sandbox = await Sandbox.create();
  // In a process group of its own, but in the probe's session.
  const hang = hasPerl ? "perl -e 'setpgrp(0, 0); sleep 600'" : "sleep 600";
  const probe = `test -e hang && ${hang}; true`;
  await sandbox.json(["start", "web", "--exec", probe, "--", "tail", "-f", "/dev/null"]);
  Deno.writeTextFileSync(`${sandbox.project}/hang`, "");
  const told = await Promise.all([sandbox.json(["status", "web"]), sandbox.json(["list"])]);
  assertEquals([told[0].ready, told[1].nodes[0].ready], [false, false]);
  await until("the probes are gone", () => sandbox.serversOf("web").length === 1);
});

Deno.test("a hanging --exec of a killed start is ended by the next one", async () => {
  await using sandbox = await Sandbox.create();
  const starter = sandbox.spawn(["start", "web", "--exec", "sleep 600", "--", "sleep", "601"]);
  await until("the probe runs", () => sandbox.serversOf("web").length >= 2);
  starter.kill("SIGKILL");
  await starter.output();
  const next = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  assert(next.recovered.pids.length >= 2, JSON.stringify(next.recovered));
  await sandbox.assertOneServer("web");
});

Deno.test({
  name: "--notify: redis says so itself, as it does for systemd, and answers then",
  ignore: !hasRedis,
  async fn() {
    await using sandbox = await Sandbox.create();
    const redis = "exec redis-server --bind 127.0.0.1 --save '' --supervised systemd";
    const start = ["start", "db", "--port", "0", "--notify", "--", "sh", "-c", `${redis} --port $PORT`];
    const started = await sandbox.json(start);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: started.port });
    await connection.write(new TextEncoder().encode("PING\r\n"));
    const answer = new Uint8Array(16);
    assertEquals(new TextDecoder().decode(answer.subarray(0, await connection.read(answer) ?? 0)), "+PONG\r\n");
    assertEquals((await sandbox.json(["status", "db"])).ready, true);
    assertEquals((await sandbox.json(["restart", "db"])).ready, true);
  },
});

/** Perl that sends messages to `NOTIFY_SOCKET`, then sleeps. */
function notifier(...steps: string[]): string[] {
  const script = `use Socket; my $to = shift || $ENV{NOTIFY_SOCKET}; $to =~ s/^@/\\0/;
    socket(S, AF_UNIX, SOCK_DGRAM, 0); sub say_ { send(S, $_[0], 0, pack_sockaddr_un($to)) or die $! }
    ${steps.join("; ")}; sleep 600`;
  return ["perl", "-e", script];
}

Deno.test({
  name: "--notify: the server's own status is told, and it may ask for more time",
  ignore: TIER === "fast" || !hasPerl,
  async fn() {
    await using sandbox = await Sandbox.create();
    const start = ["start", "web", "--notify", "--timeout", "2s", "--"];
    const late = await sandbox.json([...start, ...notifier('say_("STATUS=loading 40 %\\n")')], { code: 124 });
    assertStringIncludes(late.error.message, 'it has not said READY=1, but "loading 40 %"');
    const patient = notifier(
      'say_("EXTEND_TIMEOUT_USEC=20000000")',
      "select(undef, undef, undef, 2.5)",
      'say_("READY=1")',
    );
    const started = await sandbox.json([...start, ...patient]);
    assert(started.ready_ms > 2300, String(started.ready_ms));
    await sandbox.json(["stop", "web"]);
    // Without the flag, the socket of whoever supervises the caller is not the server's.
    const bare = ["start", "web", "--exec", "test -e env", "--", "sh", "-c", "env >env; exec sleep 600"];
    await sandbox.json(bare, { env: { NOTIFY_SOCKET: "/run/systemd/notify", LISTEN_FDS: "1", WATCHDOG_USEC: "1" } });
    const env = Deno.readTextFileSync(`${sandbox.project}/env`);
    assert(!/^(NOTIFY_SOCKET|LISTEN_FDS|WATCHDOG_USEC)=/m.test(env), env);
  },
});

Deno.test({
  name: "--notify: a stranger's READY=1 does not count, a short-lived helper's does",
  ignore: !hasPerl,
  async fn() {
    await using sandbox = await Sandbox.create();
    const script =
      'printf "%s" "$NOTIFY_SOCKET" >socket.tmp; mv socket.tmp socket; while ! test -e go; do sleep 0.02; done;';
    const helper = notifier('say_("READY=1")', "exit 0").map((word) => `'${word}'`).join(" ");
    const starting = sandbox.spawn([
      "start",
      "web",
      "--notify",
      "--",
      "sh",
      "-c",
      `${script} ${helper}; exec sleep 600`,
    ]);
    const file = `${sandbox.project}/socket`;
    await until("the server has its socket", () => exists(file));
    sandbox.bystander([
      ...notifier('say_("READY=1")', 'open F, ">", $ARGV[0]'),
      Deno.readTextFileSync(file),
      `${file}.sent`,
    ]);
    await until("the stranger has spoken", () => exists(`${file}.sent`));
    assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "starting");
    Deno.writeTextFileSync(`${sandbox.project}/go`, "");
    assertEquals((await starting.output()).code, 0);
    sandbox.assertBystanders();
  },
});

Deno.test("--stable-for: what holds for a moment only is not ready", async () => {
  await using sandbox = await Sandbox.create();
  const stable = ["--port", "0", "--stable-for", "500ms"];
  const brief = await sandbox.json(["start", "web", ...stable, "--", ...fixture("after=150", "exit=4")], { code: 1 });
  assertStringIncludes(brief.error.message, "the server exited with code 4");
  // It answers well, then not, then well: the time counts anew.
  const file = `${sandbox.project}/status`;
  Deno.writeTextFileSync(file, "200");
  const asked = `${sandbox.project}/asked`;
  const flags = [...stable, "--http", "/", "--exec", `touch ${asked}`];
  const starting = sandbox.json(["start", "web", ...flags, "--", ...fixture("http", `status-file=${file}`)]);
  await until("it has passed once", () => exists(asked));
  Deno.writeTextFileSync(file, "503");
  const answered = `${file}.answered`;
  await until("that has been answered", () => exists(answered) && Deno.readTextFileSync(answered) === "503");
  Deno.writeTextFileSync(file, "200");
  const back = Date.now();
  const started = await starting;
  assert(Date.parse(started.ready_at) - back >= 490, `${started.ready_at}, back at ${new Date(back).toISOString()}`);
});

Deno.test("several conditions, of one kind and of many, must all hold", async () => {
  await using sandbox = await Sandbox.create();
  const script = 'echo one; while ! test -e go; do sleep 0.02; done; echo two; touch b; exec "$@"';
  const flags = ["--port", "0", "--log", "one", "--log", "two", "--file", "a", "--file", "b", "--exec", "test -e c"];
  const start = [
    "start",
    "web",
    ...flags,
    "--http",
    "/x",
    "--http",
    "/y",
    "--timeout",
    "20s",
    "--",
    "sh",
    "-c",
    script,
  ];
  const starting = sandbox.json([...start, "sh", ...fixture("http", `touch=${sandbox.project}/a`)]);
  await until("the server is there", () => sandbox.serversOf("web").length > 0);
  assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "starting");
  Deno.writeTextFileSync(`${sandbox.project}/c`, "");
  Deno.writeTextFileSync(`${sandbox.project}/go`, "");
  const started = await starting;
  const info = JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`));
  assertEquals(
    info.probes.map((probe: { type: string }) => probe.type),
    ["tcp", "http", "http", "log", "log", "file", "file", "exec"],
  );
});

Deno.test("values of probes that cannot be meant are refused before anything is touched", async () => {
  await using sandbox = await Sandbox.create();
  const cases: [string[], string][] = [
    [["--http", "health"], 'Cannot use "health" for --http: expected a path that begins with /'],
    [["--http", "ftp://x/"], "expected a path that begins with /"],
    [["--http-status", "200-100"], "expected statuses or ranges of them"],
    [["--log", "("], 'Cannot use "(" for --log: expected a regular expression'],
    [["--unix", "x".repeat(120)], "longer than the 107 bytes"],
    [["--no-probe", "--log", "x"], "Cannot use --no-probe with --log"],
    [["--stable-for", "soon"], "expected a duration"],
    [["--log-keep", "1000"], "expected a whole number up to 100"],
    [["--log-max", "much"], "expected a size"],
  ];
  await Promise.all(cases.map(async ([flags, message]) => {
    const { error } = await sandbox.json(["start", "web", ...flags, "--", "true"], { code: 2 });
    assertStringIncludes(error.message, message);
  }));
  assertEquals([...Deno.readDirSync(sandbox.root)].map((entry) => entry.name), ["project"]);
});

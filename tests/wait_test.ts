/** `wait` for servers and files that tombstone did not start: ports, URLs, sockets and files, and until they are gone. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists, fixture, freePort, isRunning, type Ran, Sandbox, until } from "./support/sandbox.ts";
import { costly, TIER } from "./support/tier.ts";
import { installed } from "./support/servers.ts";

/** A server of this test's own, which answers each GET with a status that may change. */
function serve(port: number, hostname: string, status: () => number): Deno.HttpServer {
  return Deno.serve({ port, hostname, onListen() {} }, () => new Response(null, { status: status() }));
}

const hintOf = ({ stderr }: Ran) => /^hint: (.*)$/m.exec(stderr)![1]!;

Deno.test("wait --port returns when a server listens only on ::1, and needs no state directory", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const waiting = sandbox.json(["wait", "--port", String(port)]);
  await using _server = serve(port, "::1", () => 200);
  const { targets: [target], gone } = await waiting;
  assertEquals([target.type, target.target, target.address, gone], ["port", String(port), "::1", false]);
  for (const form of [`:${port}`, `localhost:${port}`, `[::1]:${port}`]) {
    const { stdout } = await sandbox.run(["wait", "--port", form]);
    assertMatch(stdout, new RegExp(`: it accepts connections at \\[::1\\]:${port}, after \\d+ ms\n$`));
  }
  const other = await sandbox.json(["wait", "--port", `127.0.0.1:${port}`, "--timeout", "0"], { code: 124 });
  assertStringIncludes(other.error.message, `"127.0.0.1:${port}": after 0 ms, connection refused`);
  assertEquals([other.error.kind, other.error.waiting_for], ["not-ready", ["connection refused"]]);
  assert(!exists(sandbox.state));
});

costly("wait --http waits for a wanted status, follows no redirect, and reports the last answer", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  let status = 503;
  let count = 0;
  await using _server = serve(port, "127.0.0.1", () => (count++, status));
  const url = `http://localhost:${port}/health`;
  const late = await sandbox.run(["wait", "--http", url, "--timeout", "2s"]);
  assertEquals(late.code, 124);
  assertStringIncludes(late.stderr, `"${url}": after 2 s, it answers with status 503`);
  assertStringIncludes(hintOf(late), "--http-status 200-399,503");
  const before = count;
  const waiting = sandbox.json(["wait", "--http", url]);
  await until("it has asked", () => count > before + 2);
  status = 302;
  const { targets: [target] } = await waiting;
  assertEquals([target.status, target.address, target.state], [302, "127.0.0.1", "it answers with status 302"]);
  await sandbox.json(["wait", "--http", url, "--http-status", "200", "--timeout", "0"], { code: 124 });
  await sandbox.json(["wait", "--http", url, "--http-status", "200,300-302"]);
  assertStringIncludes(
    (await sandbox.run(["wait", "--http", `http-get://localhost:${port}/`])).stdout,
    `http://localhost:${port}/: it answers with status 302`,
  );
});

Deno.test("one of the two addresses of localhost is enough", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  await using _wrong = serve(port, "127.0.0.1", () => 404);
  await using _right = serve(port, "::1", () => 200);
  const { targets: [target] } = await sandbox.json(["wait", "--http", `http://localhost:${port}`]);
  assertEquals([target.address, target.status], ["::1", 200]);
});

costly("wait for several things returns when all of them are there at the same time", async () => {
  await using sandbox = await Sandbox.create();
  const [first, second] = [freePort(), freePort()];
  let [countFirst, countSecond, isBack] = [0, 0, false];
  await using _first = serve(first, "127.0.0.1", () => ++countFirst === 1 || isBack ? 200 : 503);
  await using _second = serve(second, "127.0.0.1", () => ++countSecond > 3 ? 200 : 503);
  const urls = [first, second].map((port) => `http://localhost:${port}/`);
  const both = ["wait", "--http", urls[0]!, "--http", urls[1]!];
  const { error } = await sandbox.json([...both, "--timeout", "3s"], { code: 124 });
  const state = `"${urls[0]}": after 3 s, it answers with status 503`;
  assertStringIncludes(error.message, state, "it was there, and is not any more when the other one comes");
  isBack = true;
  using _unix = Deno.listen({ transport: "unix", path: `${sandbox.project}/app.sock` });
  Deno.writeTextFileSync(`${sandbox.project}/built`, "");
  const { targets } = await sandbox.json([...both, "--unix", "app.sock", "--file", "built"]);
  assertEquals(targets.map(({ type, target }: Record<string, string>) => [type, target]), [
    ...urls.map((url) => ["http", url]),
    ["unix", "app.sock"],
    ["file", "built"],
  ]);
});

Deno.test("wait --gone waits until no server listens or answers and no file exists, and names what is still there", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const socket = `${sandbox.project}/app.sock`;
  const url = `http://localhost:${port}/`;
  const server = serve(port, "127.0.0.1", () => 503);
  const unix = Deno.listen({ transport: "unix", path: socket });
  Deno.writeTextFileSync(`${sandbox.project}/lock`, "");
  const late = await sandbox.run(["wait", "--gone", "--port", String(port), "--timeout", "0"]);
  assertEquals(late.code, 124);
  assertStringIncludes(late.stderr, `it accepts connections at 127.0.0.1:${port}, pid ${Deno.pid} (`);
  const answers = await sandbox.json(["wait", "--gone", "--http", url, "--timeout", "2s"], { code: 124 });
  assertStringIncludes(answers.error.message, "it answers with status 503", "any answer shows that it is there");
  await sandbox.json(["wait", "--gone", "--http", url, "--http-status", "200"]);
  await sandbox.json(["wait", "--gone", "--unix", socket, "--timeout", "0"], { code: 124 });
  await sandbox.json(["wait", "--gone", "--file", "lock", "--timeout", "0"], { code: 124 });
  const all = ["wait", "--gone", "--port", `:${port}`, "--http", url, "--unix", socket, "--file", "lock"];
  const waiting = sandbox.json(all);
  await server.shutdown();
  unix.close();
  Deno.removeSync(`${sandbox.project}/lock`);
  const { gone, targets } = await waiting;
  assertEquals([gone, targets.length], [true, 4]);
  assertEquals(
    (await sandbox.run(all)).stdout.split("\n")[0]!.split(",")[0],
    `port ${port} is gone: connection refused`,
  );
});

Deno.test("a dangling link is neither there nor gone, and neither is a server that does not answer", async () => {
  await using sandbox = await Sandbox.create();
  Deno.symlinkSync("/nowhere/at/all", `${sandbox.project}/link`);
  const port = freePort();
  using silent = Deno.listen({ hostname: "127.0.0.1", port }); // its backlog takes the connection; nobody answers
  for (const more of [[], ["--gone"]]) {
    const file = await sandbox.json(["wait", "--file", "link", "--timeout", "0", ...more], { code: 124 });
    assertStringIncludes(file.error.message, "a link that leads nowhere");
    const url = `http://127.0.0.1:${port}/`;
    const http = await sandbox.json(["wait", "--http", url, "--timeout", "100ms", ...more], { code: 124 });
    assertStringIncludes(http.error.message, "no answer");
  }
  silent.close();
});

Deno.test({
  name: "an untrusted certificate counts as no answer without --insecure",
  ignore: TIER === "fast" || !installed("openssl", "openssl"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const make = "req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=localhost".split(" ");
    const openssl = new Deno.Command("openssl", { args: make, cwd: sandbox.project, stderr: "null" });
    assert((await openssl.output()).success);
    const [cert, key] = ["cert", "key"].map((name) => Deno.readTextFileSync(`${sandbox.project}/${name}`)) as [
      string,
      string,
    ];
    const port = freePort();
    await using _server = Deno.serve({ port, hostname: "127.0.0.1", cert, key, onListen() {} }, () => new Response());
    const url = `https://localhost:${port}/`;
    const refused = await sandbox.run(["wait", "--http", url, "--timeout", "2s"]);
    assertEquals(refused.code, 124);
    assertStringIncludes(refused.stderr, "it has a certificate that is not trusted");
    assertStringIncludes(hintOf(refused), "--insecure");
    assertEquals((await sandbox.json(["wait", "--http", url, "--insecure"])).targets[0].status, 200);
    const plain = freePort();
    await using _plain = serve(plain, "127.0.0.1", () => 200);
    const other = await sandbox.json(["wait", "--http", `https://localhost:${plain}`, "--timeout", "2s"], {
      code: 124,
    });
    assertStringIncludes(other.error.message, "it does not speak TLS");
    for (const more of [[], ["--insecure"]]) {
      const none = ["wait", "--http", `https://localhost:${freePort()}`, "--gone", ...more];
      assertEquals((await sandbox.json(none)).targets[0].state, "connection refused");
    }
  },
});

Deno.test("invalid values of wait are refused with a suggestion", async () => {
  await using sandbox = await Sandbox.create();
  const cases: [string[], string][] = [
    [["--http", "/health"], "--http http://localhost:3000/health"],
    [["--port", "8080", "--http", "/health"], "--http http://localhost:8080/health"],
    [["--http", "localhost:8080/x"], "--http http://localhost:8080/x"],
    [["--http", ":8080"], "--http http://localhost:8080/"],
    [["--http", "ftp://host/"], "--http http://localhost:3000/"],
    [["--http", "http://user:secret@host/x"], "--http http://host/x"],
    [["--http", "http://localhost/", "--http-status", "ok"], "--http-status 200-399,401"],
    [["--port", "0"], "--port localhost:3000"],
    [["--port", "65536"], "--port localhost:3000"],
    [["--port", "::1:3000"], "--port [::1]:3000"],
    [["--port", "tcp:3000"], "--port 3000"],
    [["--port", "tcp://db:5432"], "--port db:5432"],
    [["--port", "http://localhost:3000"], "--http http://localhost:3000"],
    [["--port", "a b:3000"], "--port 127.0.0.1"],
    [["--port", "3000", "--timeout", "soon"], "--timeout 30s"],
    [["--port"], "--port=[HOST:]PORT"],
    [["--insecure"], "tombstone wait --http http://localhost:3000/ --insecure"],
    [["--http-status", "404"], "tombstone wait --http http://localhost:3000/ --http-status 404"],
    [["--unix", `/${"x".repeat(200)}`], "choose a shorter path, such as one in /tmp"],
    [
      ["web", "--port", "3000"],
      "tombstone wait web; or, for a server that tombstone did not start, tombstone wait --port 3000",
    ],
    [["http://localhost:3000"], "tombstone wait --http http://localhost:3000"],
    [["tcp:localhost:3000"], "tombstone wait --port localhost:3000"],
    [["file:dist/app.js"], "tombstone wait --file dist/app.js"],
    [["socket:/tmp/app.sock"], "tombstone wait --unix /tmp/app.sock"],
  ];
  for (const [args, hint] of cases) {
    const ran = await sandbox.run(["wait", ...args]);
    assertEquals([ran.code, hintOf(ran)], [2, hint], args.join(" "));
    assert(!ran.stderr.includes("secret"));
  }
  const number = await sandbox.run(["wait", "3000", "--timeout", "0"]);
  assertStringIncludes(hintOf(number), "tombstone wait --port 3000");
});

Deno.test("wait NODE --gone returns when nodes have ended for any reason; wait accepts several", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["wait", "--gone"]);
  for (const node of ["one", "two"]) await sandbox.json(["start", node, "--port", "0", "--", ...fixture()]);
  const both = await sandbox.json(["wait", "one", "two"]);
  assertEquals(both.nodes.map(({ node, ready }: { node: string; ready: boolean }) => [node, ready]), [
    ["one", true],
    ["two", true],
  ]);
  const late = await sandbox.run(["wait", "one", "--gone", "--timeout", "0"]);
  assertEquals([late.code, hintOf(late)], [124, "tombstone stop one, or allow more time with --timeout"]);
  const waiting = sandbox.json(["wait", "--gone"]);
  const { pid } = await sandbox.json(["status", "two"]);
  await sandbox.json(["stop", "one"]);
  Deno.kill(pid, "SIGKILL");
  await until("it is gone", () => !isRunning(pid));
  assertEquals((await waiting).nodes.map(({ state }: { state: string }) => state), ["died"]);
});

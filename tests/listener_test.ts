/** Who answers on the port: never a stranger, wherever and whenever it listens. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { accepts, fixture, freePort, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

Deno.test("a server on another port than asked for is not ready", async () => {
  await using sandbox = await Sandbox.create();
  const [asked, other] = [freePort(), freePort()];
  const ran = await sandbox.run(
    ["start", "web", "--port", String(asked), "--timeout", "3s", "--", ...fixture(`port=${other}`)],
  );
  assertEquals(ran.code, 124);
  assertStringIncludes(
    ran.stderr,
    `nothing accepts connections on port ${asked}, it listens on port ${other} instead`,
  );
  assertEquals(await accepts(other), false);
});

Deno.test("IPv6: --host ::1 and localhost", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const six = await sandbox.json([
    "start",
    "six",
    "--host",
    "::1",
    "--port",
    String(port),
    "--",
    ...fixture("host=::1"),
  ]);
  assertEquals(six.url, `[::1]:${port}`);
  assertEquals((await sandbox.json(["status", "six"])).ready, true);
  const other = freePort();
  const local = await sandbox.json(
    ["start", "local", "--host", "localhost", "--port", String(other), "--", ...fixture("host=::1")],
  );
  assertEquals(local.ready, true);
  const dual = freePort();
  await sandbox.json(["start", "dual", "--port", String(dual), "--", ...fixture("host=::")]);
});

Deno.test("a server on another address than asked for is told of with --host", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const args = [
    "start",
    "web",
    "--port",
    String(port),
    "--host",
    "127.0.0.1",
    "--timeout",
    "2s",
    "--",
    ...fixture("host=::1"),
  ];
  const ran = await sandbox.run(args);
  assertEquals(ran.code, 124);
  assertStringIncludes(ran.stderr, `port ${port} is open on ::1, but not on 127.0.0.1 (see --host)`);
});

Deno.test("a foreign listener never makes a start ready", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const stranger = sandbox.bystander(fixture(`port=${port}`));
  await until("the stranger listens", () => accepts(port));
  const before = await sandbox.run(["start", "web", "--port", String(port), "--", ...fixture("delay=60000")]);
  assertEquals(before.code, 5);
  assertStringIncludes(before.stderr, `port ${port} is in use by pid ${stranger} (`);
  assertStringIncludes(before.stderr, `server.pl port=${port})`);
  assertMatch(before.stderr, /\nhint: .*--port 0\n$/);
  assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");

  // During the start: the stranger takes the port while the node's own server is still slow.
  const late = freePort();
  const child = sandbox.spawn(["start", "web", "--json", "--port", String(late), "--", ...fixture("delay=60000")]);
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  const taker = sandbox.bystander(fixture(`port=${late}`));
  const { code, stdout } = await child.output();
  const { error } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(code, 5);
  assertEquals(error.kind, "port-in-use");
  assertEquals(error.owner_pid, taker);
  assertStringIncludes(error.owner_command, "server.pl");
  assertEquals(sandbox.processes(), []);
  sandbox.assertBystanders();

  const lifted = await sandbox.json(
    ["start", "web", "--port", String(freePort()), "--any-listener", "--", ...fixture()],
  );
  assertEquals(lifted.ready, true);
});

Deno.test("a server that loses the race for its port is told who has it", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const gate = `${sandbox.project}/go`;
  const script = `until [ -e ${gate} ]; do sleep 0.02; done; ${fixture().join(" ")}`;
  const child = sandbox.spawn(["start", "web", "--port", String(port), "--", "sh", "-c", script]);
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  const taker = sandbox.bystander(fixture(`port=${port}`));
  await until("the taker listens", () => accepts(port));
  Deno.writeTextFileSync(gate, "");
  const { code, stderr } = await child.output();
  assertEquals(code, 5);
  assertStringIncludes(new TextDecoder().decode(stderr), `pid ${taker} `);
});

Deno.test("a stranger on every address of the port is found before the spawn", async () => {
  for (const host of ["0.0.0.0", "::", "127.0.0.1"]) {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const stranger = sandbox.bystander(fixture(`port=${port}`, `host=${host}`));
    await until("the stranger listens", () => accepts(port));
    const { error } = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()], { code: 5 });
    assertEquals([error.kind, error.owner_pid], ["port-in-use", stranger], host);
    assertEquals(sandbox.processes(), []);
    sandbox.assertBystanders();
  }
});

/** Listens with SO_REUSEPORT (15 in the kernel's `asm-generic/socket.h`), so that others may do so beside it. */
const sharing = (port: number) => `
  use Socket;
  socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, 15, pack("i", 1));
  bind($s, sockaddr_in(${port}, inet_aton("127.0.0.1"))) or die; listen($s, 16);
  while (1) { accept(my $c, $s); close $c }`;

Deno.test({
  name: "a stranger that shares the port by SO_REUSEPORT: not ready, since half of the connections would be its",
  ignore: !installed("perl", "perl-base"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const start = ["start", "web", "--port", String(port), "--"];
    const stranger = sandbox.bystander(["perl", "-e", sharing(port)]);
    await until("the stranger listens", () => accepts(port));
    const { error } = await sandbox.json([...start, "perl", "-e", sharing(port)], { code: 5 });
    assertEquals(error.owner_pid, stranger);

    // It comes while the server is on its way.
    const late = String(freePort());
    const server = ["sh", "-c", `until [ -e go ]; do sleep 0.02; done; exec perl -e '${sharing(Number(late))}'`];
    const starter = sandbox.spawn(["start", "web", "--json", "--port", late, "--", ...server]);
    await until("the server runs", () => sandbox.serversOf("web").length > 0);
    const second = sandbox.bystander(["perl", "-e", sharing(Number(late))]);
    await until("the other listens", () => accepts(Number(late)));
    Deno.writeTextFileSync(`${sandbox.project}/go`, "");
    const { code, stdout } = await starter.output();
    assertEquals([code, JSON.parse(new TextDecoder().decode(stdout)).error.owner_pid], [5, second]);
    assertEquals(sandbox.processes(), []);

    // Several processes of the node's own may share it.
    const own = freePort();
    const both = `perl -e '${sharing(own)}' & exec perl -e '${sharing(own)}'`;
    assertEquals((await sandbox.json(["start", "web", "--port", String(own), "--", "sh", "-c", both])).ready, true);
    sandbox.assertBystanders();
  },
});

Deno.test("a stranger that takes the port of a running node's server: status and start say not ready", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const gate = `${sandbox.project}/gone`;
  // The main process lives on after its listener has gone.
  const script = `${
    fixture().join(" ")
  } & child=$!; while [ ! -e ${gate} ]; do sleep 0.02; done; kill $child; sleep 600`;
  const start = ["start", "web", "--port", String(port), "--timeout", "2s", "--", "sh", "-c", script];
  await sandbox.json(start);
  Deno.writeTextFileSync(gate, "");
  await until("the port is free", async () => !(await accepts(port)));
  sandbox.bystander(fixture(`port=${port}`));
  await until("the stranger listens", () => accepts(port));
  const status = await sandbox.json(["status", "web"]);
  assertEquals([status.state, status.ready], ["running", false]);
  const ran = await sandbox.run(start);
  assertEquals([ran.code, ran.stdout], [124, ""]);
  assertStringIncludes(ran.stderr, "--replace");
  sandbox.assertBystanders();
});

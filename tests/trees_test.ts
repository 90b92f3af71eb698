/** Processes that try to get away: double forks, sessions of their own, forking while they die, cleared environments. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { accepts, allPids, fixture, freePort, isRunning, readProcess, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { canUnshare, PidNamespace } from "./support/namespace.ts";
import { TIER } from "./support/tier.ts";

const ignore = !installed("perl", "perl-base");

/** A daemon after the book: two forks, a session of its own, cwd `/`, no descriptor of its parent, and the port. */
const daemon = (port: number) => `
  use POSIX; use Socket;
  exit if fork; POSIX::setsid(); exit if fork; chdir "/";
  POSIX::close($_) for 0 .. 63;
  socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($s, sockaddr_in(${port}, inet_aton("127.0.0.1"))) or exit 1; listen($s, 16);
  while (1) { accept(my $c, $s); close $c }`;

/** Becomes another process, in another session, every few milliseconds, and leaves a byte in a file each time. */
const restless = (milliseconds: number, beats: string, setup = "") => `
  use POSIX; ${setup}
  while (1) {
    select undef, undef, undef, ${milliseconds / 1000};
    POSIX::setsid(); exit if fork;
    open my $f, ">>", "${beats}"; print $f "x"; close $f;
  }`;

Deno.test({
  name: "a daemon by double fork, with cwd / and closed descriptors, is ended and gives the port back",
  ignore: TIER === "fast" || ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const args = ["start", "web", "--port", String(port), "--stop-timeout", "2s", "--"];
    const server = ["sh", "-c", 'perl -e "$0"; sleep 600', daemon(port)];
    const { pid } = await sandbox.json([...args, ...server]);
    const holder = sandbox.processes().find((each) => readProcess(each)!.name === "perl")!;
    assert(readProcess(holder)!.sid !== pid && readProcess(holder)!.ppid !== pid, "it has left the session");
    assertEquals(Deno.readLinkSync(`/proc/${holder}/cwd`), "/");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
    assertEquals(await accepts(port), false);

    // The same when the main process dies, and when the start is interrupted.
    const again = await sandbox.json([...args, ...server]);
    Deno.kill(again.pid, "SIGKILL");
    assertEquals((await sandbox.json([...args, ...server])).recovered.reason, "died");
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    await sandbox.spawn([...args, ...server], { env: { TOMBSTONE_FAILPOINT: "port-written" } }).output();
    assertEquals((await sandbox.json([...args, ...fixture()])).recovered.reason, "interrupted-start");
    await sandbox.assertOneServer("web");
  },
});

const canIsolate = await canUnshare();

for (const [how, setup] of [["every 5 ms", ""], ["every 5 ms and ignores TERM", "$SIG{TERM} = 'IGNORE';"]]) {
  Deno.test({
    name: `a process that becomes another one ${how} is caught`,
    ignore: TIER === "fast" || ignore || !canIsolate,
    async fn() {
      await using sandbox = await Sandbox.create();
      // Whatever gets away ends with its namespace; and its zombies would fill the table of a pid 1 that reaps late.
      await using namespace = await PidNamespace.create(sandbox, "reaps");
      // The more processes there are, the longer a look at all of them takes, and the more a runaway can do meanwhile.
      await namespace.run(["sh", "-c", "for i in $(seq 300); do sleep 600 </dev/null >/dev/null 2>&1 & done"]);
      const beats = `${sandbox.root}/beats`;
      Deno.writeTextFileSync(beats, "");
      const size = () => Deno.statSync(beats).size;
      const args = ["start", "web", "--port", String(freePort()), "--stop-timeout", "300ms", "--"];
      const server = ["sh", "-c", `perl -e "$0" & exec ${fixture().join(" ")}`, restless(5, beats, setup)];
      for (const end of ["stop", "sweep", "recover", "stop", "sweep", "recover"]) {
        const before = size();
        const { pid } = await namespace.json([...args, ...server]);
        await until("it lives", () => size() > before);
        if (end !== "stop") await namespace.run(["kill", "-9", String(pid)]);
        if (end === "recover") await namespace.json([...args, ...fixture()]);
        else await namespace.json([end, "web"]);
        const after = size();
        await namespace.json(["stop", "web"]); // a second one takes far longer than it takes to become another
        assertEquals(size(), after, `after ${end} it lives on`);
      }
    },
  });
}

Deno.test({
  name: "a descendant without any proof that keeps the port is named, not killed",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const args = ["start", "web", "--port", String(port), "--any-listener", "--"];
    const server = ["sh", "-c", 'env -i perl -e "$0"; sleep 600', daemon(port)];
    const { pid } = await sandbox.json([...args, ...server]);
    const holder = allPids().find((each) => readProcess(each)?.name === "perl" && isRunning(each) && listensOn(each))!;
    Deno.kill(pid, "SIGKILL");
    try {
      const { error } = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()], { code: 5 });
      assertEquals([error.kind, error.owner_pid], ["port-in-use", holder]);
      assertStringIncludes(error.message, `pid ${holder} (perl -e`);
      assert(isRunning(holder));
    } finally {
      Deno.kill(holder, "SIGKILL");
    }
    await until("it is gone", () => !isRunning(holder));
    await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()]);
    await sandbox.assertOneServer("web");

    function listensOn(each: number): boolean {
      return Deno.readTextFileSync(`/proc/${each}/cmdline`).includes(`sockaddr_in(${port},`);
    }
  },
});

Deno.test("a double-forked grandchild in its own session is found by its environment; a cleared one is left alone", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("child", "clean-child")]);
  const clean = allPids().find((pid) =>
    readProcess(pid)?.ppid === started.pid && Deno.readTextFileSync(`/proc/${pid}/environ`) === ""
  )!;
  Deno.kill(started.pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(started.pid));
  await sandbox.json(["sweep", "web"]);
  assertEquals(sandbox.processes(), [clean], "a process without any proof was ended, or one with proof was not");
  Deno.kill(clean, "SIGKILL");
});

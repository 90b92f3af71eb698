/** The back end through ps and lsof, forced on Linux, without /proc. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parsePs } from "../lib/os/posix/ps_output.ts";
import {
  accepts,
  COMMAND,
  fixture,
  freePort,
  isRunning,
  killPid,
  readProcess,
  Sandbox,
  until,
} from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { TIER } from "./support/tier.ts";

const posix = { TOMBSTONE_PLATFORM: "posix" };
const isMissing = !installed("ps", "procps") || !installed("lsof", "lsof");
/** Scans by ps and lsof are slow; the contract tests of the back end are also in the fast tier. */
const ignore = TIER === "fast" || isMissing;

/** Two forks and its own session. */
const AWAY = "use POSIX; exit if fork; POSIX::setsid(); exit if fork; exec qw(sleep 600)";

Deno.test("parsePs() reads the columns of Linux and macOS and passes over the rest", () => {
  const text = `
    1     0     1 Ss   Sun Nov  2 08:04:56 2026 /sbin/launchd
 4312  4300  4312 S+   Sun Nov 22 08:04:56 2026 my server
  977     1   977 Z    Mon Jan  5 23:59:59 2026 (sleep)
garbage
`;
  assertEquals(parsePs(text), [
    { pid: 1, ppid: 0, pgid: 1, sid: null, isAlive: true, isStopped: false, startTime: 1793606696, name: "launchd" },
    {
      pid: 4312,
      ppid: 4300,
      pgid: 4312,
      sid: null,
      isAlive: true,
      isStopped: false,
      startTime: 1795334696,
      name: "my server",
    },
    {
      pid: 977,
      ppid: 1,
      pgid: 977,
      sid: null,
      isAlive: false,
      isStopped: false,
      startTime: 1767657599,
      name: "(sleep)",
    },
  ]);
  assertEquals(new Date(1795334696 * 1000).toISOString(), "2026-11-22T08:04:56.000Z");
});

Deno.test({
  name: "posix back end: start, status, join, stop of a tree",
  ignore: isMissing,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const wrapped = ["sh", "-c", `${fixture().join(" ")}; true`];
    const args = ["start", "web", "--port", String(port), "--", ...wrapped];
    const started = await sandbox.json(args, { env: posix });
    const status = await sandbox.json(["status", "web"], { env: posix });
    assertEquals([status.state, status.ready, status.pid], ["running", true, started.pid]);
    const info = JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`));
    assert(Math.abs(info.start_time - Date.now() / 1000) < 60, "seconds since 1970");
    assertEquals((await sandbox.json(args, { env: posix })).started, false);
    assertEquals(sandbox.serversOf("web").length, 2);
    await sandbox.json(["stop", "web"], { env: posix });
    assertEquals(sandbox.processes(), []);
  },
});

Deno.test({
  name: "posix back end: an interrupted start is recovered, a recycled pid is never signalled",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const stranger = sandbox.bystander();
    const port = String(freePort());
    const args = ["start", "web", "--port", port, "--", ...fixture()];
    await sandbox.spawn(args, { env: { ...posix, TOMBSTONE_FAILPOINT: "waiting" } }).output();
    const [orphan] = sandbox.serversOf("web");
    const started = await sandbox.json(args, { env: posix });
    assertEquals(started.recovered.pids, [orphan]);
    assertEquals(sandbox.serversOf("web"), [started.pid]);

    await sandbox.json(["stop", "web"], { env: posix });
    const again = await sandbox.json(args, { env: posix });
    const info = JSON.parse(Deno.readTextFileSync(`${again.dir}/node.info`));
    Deno.kill(again.pid, "SIGKILL");
    await until("it is gone", () => !isRunning(again.pid));
    // The stranger is younger than the record says.
    const forged = { ...info, pid: stranger, leader_pid: stranger, start_time: info.start_time - 100 };
    Deno.writeTextFileSync(`${again.dir}/node.info`, JSON.stringify(forged));
    assertEquals((await sandbox.json(["status", "web"], { env: posix, code: 1 })).state, "died");
    assertEquals((await sandbox.json(["stop", "web"], { env: posix })).nodes[0].stopped, false);
    sandbox.assertBystanders();
  },
});

Deno.test({
  name: "posix back end: finds the port, and says what it cannot do",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const args = ["start", "web", "--verbose", "--json", "--", ...fixture(`port=${port}`)];
    const { code, stdout, stderr } = await sandbox.run(args, { env: posix });
    assertEquals([code, JSON.parse(stdout).port], [0, port], stderr);
    assertStringIncludes(stderr, "this platform does not tell which session a process is in");
    assertEquals(stderr.includes("cannot prove that the listener is the node's own"), false, stderr);
  },
});

Deno.test({
  name:
    "posix back end: a port that another process has taken: exit 5 with its pid and command, before and during a start",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const stranger = sandbox.bystander(fixture(`port=${port}`));
    await until("the stranger listens", () => accepts(port));
    const args = ["start", "web", "--port", String(port), "--", ...fixture()];
    const { error } = await sandbox.json(args, { env: posix, code: 5 });
    assertEquals([error.kind, error.owner_pid], ["port-in-use", stranger]);
    assertMatch(error.message, new RegExp(`pid ${stranger} \\(\\S*perl `));

    const other = freePort();
    const silent = ["start", "web", "--port", String(other), "--", "sleep", "600"];
    const child = sandbox.spawn([...silent.slice(0, 4), "--json", ...silent.slice(4)], { env: posix });
    await until("the server runs", () => sandbox.serversOf("web").some((pid) => readProcess(pid)?.name === "sleep"));
    const late = sandbox.bystander(fixture(`port=${other}`));
    const { code, stdout } = await child.output();
    assertEquals([code, JSON.parse(new TextDecoder().decode(stdout)).error.owner_pid], [5, late]);
    assertEquals(sandbox.processes(), []);
    sandbox.assertBystanders();
  },
});

Deno.test({
  name: "posix back end: a port whose listener lsof does not show is taken by a process that cannot be seen",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const shim = `${sandbox.root}/bin`;
    Deno.mkdirSync(shim);
    // It shows only the caller, as every scan that has not failed does.
    Deno.writeTextFileSync(`${shim}/lsof`, "#!/bin/sh\nprintf 'p%s\\nfcwd\\nn/\\n' $PPID\n", { mode: 0o755 });
    const env = { ...posix, PATH: `${shim}:${Deno.env.get("PATH")}` };
    const port = freePort();
    sandbox.bystander(fixture(`port=${port}`));
    await until("the stranger listens", () => accepts(port));
    const args = ["start", "web", "--port", String(port), "--", ...fixture()];
    const { error } = await sandbox.json(args, { env, code: 5 });
    assertEquals([error.kind, error.owner_pid], ["port-in-use", null]);
    assertStringIncludes(error.message, "a process that cannot be seen from here");

    // A failed scan proves nothing: neither that the listener is the node's, nor that it is not.
    Deno.writeTextFileSync(`${shim}/lsof`, "#!/bin/sh\nexit 1\n");
    const own = ["start", "web", "--port", "0", "--timeout", "2s", "--", ...fixture()];
    const late = (await sandbox.json(own, { env, code: 124 })).error;
    assertStringIncludes(late.message + late.hint + JSON.stringify(late), "the owner of the listener on port");
    assertEquals(sandbox.processes(), []);
    sandbox.assertBystanders();
  },
});

Deno.test({
  name: "posix back end: another user's listener is not free, and has no name",
  ignore: ignore || Deno.uid() !== 0 || !installed("setpriv", "util-linux"),
  async fn() {
    await using sandbox = await Sandbox.create();
    Deno.chmodSync(sandbox.root, 0o755);
    const port = freePort();
    sandbox.bystander(fixture(`port=${port}`)); // a server of root, whose descriptors nobody else may see
    await until("the stranger listens", () => accepts(port));
    const state = `${sandbox.root}/of-nobody`;
    Deno.mkdirSync(state, { mode: 0o700 });
    Deno.chownSync(state, 65534, 65534);
    const env = { ...posix, TOMBSTONE_STATE_DIR: state, HOME: state };
    const flags = ["--port", String(port), "--workspace", "w", "--json", "--cwd", "/"];
    // The command may lie where only this user may look.
    const copy = `${sandbox.root}/tombstone.js`;
    const isOneFile = COMMAND.at(-1)!.endsWith(".js");
    if (isOneFile) Deno.writeTextFileSync(copy, Deno.readTextFileSync(COMMAND.at(-1)!), { mode: 0o644 });
    const command = isOneFile ? [...COMMAND.slice(0, -1), copy] : COMMAND;
    const words = [...command, "start", "web", ...flags, "--", "sleep", "600"].map(sandbox.quote);
    const asNobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups";
    const ran = await sandbox.shell(`${asNobody} ${words.join(" ")}`, { env, cwd: "/" });
    if (ran.stdout === "") return console.log(`skipped: another user cannot run the command: ${ran.stderr}`);
    const { error } = JSON.parse(ran.stdout);
    assertEquals([ran.code, error.kind, error.owner_pid], [5, "port-in-use", null], ran.stdout);
    assertStringIncludes(error.message, "a process that cannot be seen from here");
    sandbox.assertBystanders();
  },
});

Deno.test({
  name:
    "posix back end: stop ends a grandchild that has left session and group, by its environment; another node stays",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    await sandbox.json(["start", "other", "--port", "0", "--", ...fixture()], { env: posix });
    const args = ["start", "web", "--port", "0", "--", "sh", "-c"];
    // Its parent exits at once, so that only the environment proves it.
    const inside = `perl -e '${AWAY}' </dev/null >/dev/null 2>&1 9>&-; exec ${fixture().join(" ")}`;
    const { pid } = await sandbox.json([...args, inside], { env: posix });
    const away = () => sandbox.serversOf("web").find((each) => readProcess(each)?.name === "sleep");
    await until("the grandchild is away", () => away() !== undefined);
    assert(readProcess(away()!)!.sid !== pid);
    await sandbox.json(["stop", "web"], { env: posix });
    assertEquals(sandbox.serversOf("web"), []);
    assertEquals(sandbox.serversOf("other").length, 1);
  },
});

Deno.test({
  name: "posix back end: probes, a run, a signal to it, and a run whose server dies",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const flags = ["--port", "0", "--http", "/", "--log", "hello", "--exec", "true"];
    const serve = fixture("http", "say=hello").join(" ");
    const test =
      "fetch(process.env.TOMBSTONE_URL).then((r) => r.text()).then((t) => process.exit(/^pid \\d+/.test(t) ? 7 : 1))";
    const ran = await sandbox.run(["run", "web", "--serve", `exec ${serve}`, ...flags, "--", "node", "-e", test], {
      env: posix,
    });
    assertEquals(ran.code, 7, ran.stderr);
    assertEquals(sandbox.processes(), []);

    const child = sandbox.spawn(["run", "web", "--serve", serve, ...flags, "--", "sleep", "600"], { env: posix });
    await until("the test runs", () => sandbox.processes().some((pid) => readProcess(pid)?.name === "sleep"));
    child.kill("SIGTERM");
    assertEquals((await child.output()).code, 143);
    assertEquals(sandbox.processes(), []);

    const dying = ["run", "web", "--serve", serve, ...flags, "--fail-fast", "--", "sleep", "600"];
    const watched = sandbox.spawn(dying, { env: posix });
    const sleeper = () => sandbox.processes().find((pid) => readProcess(pid)?.name === "sleep");
    await until("the test runs", () => sleeper() !== undefined, 30_000);
    sandbox.serversOf("web").filter((pid) => readProcess(pid)?.name === "perl").forEach(killPid);
    const { code, stderr } = await watched.output();
    const said = new TextDecoder().decode(stderr);
    assertEquals(code, 1, said);
    assertStringIncludes(said, "has died");
    assertEquals(sandbox.processes(), []);

    const socket = await sandbox.json(["start", "web", "--unix", "s", "--", ...fixture("unix=s")], { env: posix });
    Deno.kill(socket.pid, "SIGKILL");
    await until("it is gone", () => !isRunning(socket.pid));
    assertEquals(
      (await sandbox.json(["sweep", "web"], { env: posix })).nodes[0].recovered.files.includes(`${sandbox.project}/s`),
      true,
    );
    const { error } = await sandbox.json(["start", "web", "--notify", "--", "sleep", "600"], { env: posix, code: 1 });
    assertEquals(error.kind, "unsupported");
  },
});

/**
 * Systems that refuse: listings that fail half-way, locks that are none, limits of files. Whatever a command then says is
 * so, and it says it without a stack.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COMMAND, exists, isRunning, type Ran, Sandbox } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

const ignore = !installed("strace", "strace");
const SERVER = ["--no-probe", "--alive-for", "0", "--", "sleep", "600"];

/** Runs the tool under strace, with an error injected into some of the calls on a path. */
async function inject(sandbox: Sandbox, args: string[], call: string, errno: string, path?: string): Promise<Ran> {
  const strace = ["strace", "-f", "-q", "-I", "2", "-o", "/dev/null", "-e", `trace=${call}`];
  const where = path === undefined ? [] : ["-P", path];
  const words = [...strace, ...where, "-e", `inject=${call}:error=${errno}`, ...COMMAND, ...args];
  return await sandbox.shell(`exec timeout 60 ${words.map(sandbox.quote).join(" ")} 2>&1 </dev/null`);
}

Deno.test({
  name:
    "a listing that fails is told as such: nothing is called not running, no second server is started, no record is lost",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const node = await sandbox.json(["start", "web", ...SERVER]);
    const workspace = node.dir.slice(0, node.dir.lastIndexOf("/"));
    const named = [["start", "web", ...SERVER], ["stop", "web"], ["stop", "web", "--force"], ["status", "web"]];
    const all = [["list"], ["sweep", "--all"], ["stop", "--all"]];
    for (
      const [path, commands] of [
        [node.dir, [...named, ["sweep", "web"], ["list"]]],
        [workspace, all],
        ["/proc", [["stop", "web"], ["doctor"]]],
      ] as const
    ) {
      // A file system that does not count the directories in one shows nothing of those that a listing lacks.
      if (path === workspace && (Deno.statSync(workspace).nlink ?? 0) <= 2) continue;
      for (const args of commands) {
        const { code, stdout } = await inject(sandbox, [...args], "getdents64", "EIO", path);
        const what = `${args.join(" ")}, ${path}: ${stdout}`;
        assert(code === 4 || args[0] === "list" && stdout.includes("unknown"), `${code} ${what}`);
        assert(stdout.includes(`Cannot list "${path}": `) || args[0] === "list", what);
        assert(!/^ {4}at |not running|nothing to sweep/m.test(stdout), what);
        assert(isRunning(node.pid), what);
        assertEquals(sandbox.processes(), [node.pid], what);
        assertEquals(JSON.parse(Deno.readTextFileSync(`${node.dir}/node.info`)).attempt, node.attempt, what);
        assertEquals(Deno.readTextFileSync(`${node.dir}/pid`), `${node.pid}\n`, what);
      }
    }
    assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
  },
});

Deno.test({
  name: "a log is not written over by a start that cannot list the earlier ones",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const args = ["start", "web", "--no-probe", "--", "sh", "-c", "echo first; exec sleep 600"];
    const node = await sandbox.json(args);
    await sandbox.json(["stop", "web"]);
    const { code, stdout } = await inject(sandbox, args, "getdents64", "EIO", node.dir);
    assertEquals(code, 4, stdout);
    assertEquals(Deno.readTextFileSync(`${node.dir}/server.log`), "first\n");
  },
});

Deno.test("a command line of more than a megabyte is recorded, read again, and its launcher does not read it", async () => {
  await using sandbox = await Sandbox.create();
  const long = Array.from({ length: 9 }, () => "x".repeat(120_000));
  const args = ["start", "web", "--no-probe", "--", "sh", "-c", "exec sleep 600", ...long];
  const first = await sandbox.json(args);
  const again = await sandbox.json(args);
  assertEquals([again.started, again.pid], [false, first.pid]);
  assertEquals(sandbox.processes(), [first.pid]);
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].pids, [first.pid]);
  await sandbox.spawn(args, { env: { TOMBSTONE_KILL_AT: "waiting" } }).output();
  const lines = Deno.readTextFileSync(`${first.dir}/starting`).split("\n");
  assert(lines[0]!.length < 100, lines[0]);
  const { attempt, command } = JSON.parse(lines.join("\n"));
  assertStringIncludes(lines[0]!, attempt);
  assertEquals(command, args.slice(4));
  const [server] = sandbox.processes();
  assertEquals((await sandbox.json(["sweep", "web"])).nodes[0].recovered.pids, [server]);
  assertEquals(exists(`${first.dir}/starting`), false);
});

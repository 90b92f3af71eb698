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
  await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "waiting" } }).output();
  const lines = Deno.readTextFileSync(`${first.dir}/starting`).split("\n");
  assert(lines[0]!.length < 100, lines[0]);
  const { attempt, command } = JSON.parse(lines.join("\n"));
  assertStringIncludes(lines[0]!, attempt);
  assertEquals(command, args.slice(4));
  const [server] = sandbox.processes();
  assertEquals((await sandbox.json(["sweep", "web"])).nodes[0].recovered.pids, [server]);
  assertEquals(exists(`${first.dir}/starting`), false);
});

for (const errno of ["ENOLCK", "EIO", "EOPNOTSUPP", "EINTR"]) {
  Deno.test({
    name: `locks that fail with ${errno}: every command says so without a stack, and nothing is called what it is not`,
    ignore,
    async fn() {
      await using sandbox = await Sandbox.create();
      const node = await sandbox.json(["start", "web", ...SERVER]);
      for (
        const args of [["start", "web", ...SERVER], ["stop", "web"], ["sweep", "web"], ["doctor"], ["status", "web"]]
      ) {
        const { code, stdout } = await inject(sandbox, args, "flock", errno);
        const what = `${args.join(" ")}: ${code} ${stdout}`;
        const expected: Record<string, number> = { doctor: 1, status: 0 };
        assertEquals(code, expected[args[0]!] ?? 4, what);
        if (code === 4) assert(/^Cannot lock "[^"]+\/lock": .*\nhint: .*$/m.test(stdout), what);
        assert(!/^ {4}at |this is a bug/m.test(stdout), what);
        assertEquals(sandbox.processes(), [node.pid], what);
      }
      assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
    },
  });
}

/** Calls of the tool with the error for all files of a kind, and what they must exit with. */
const LIMITS: [string, string, string[], number[]][] = [
  ["EMFILE", "/proc", ["stop", "web"], [4]],
  ["EMFILE", "/proc", ["list"], [0, 4]],
  ["ENFILE", "PROGRAM", ["start", "other", "--no-probe", "--", "PROGRAM"], [4]],
  ["EMFILE", "PROGRAM", ["start", "other", "--no-probe", "--", "PROGRAM"], [4]],
  ["EIO", "PROGRAM", ["start", "other", "--no-probe", "--", "PROGRAM"], [4]],
];

Deno.test({
  name: "too many open files, wherever: exit 4 with the file's name and without a stack",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const program = `${sandbox.project}/serve`;
    Deno.writeTextFileSync(program, "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
    const node = await sandbox.json(["start", "web", ...SERVER]);
    for (const [errno, path, args, codes] of LIMITS) {
      const real = path === "PROGRAM" ? program : path;
      const words = args.map((word) => word === "PROGRAM" ? program : word);
      const { code, stdout } = await inject(sandbox, words, "openat", errno, real);
      const what = `${errno} ${words.join(" ")}: ${code} ${stdout}`;
      assert(codes.includes(code), what);
      if (code === 4) assertStringIncludes(stdout, `"${real}"`, what);
      assert(!/^ {4}at |this is a bug|not running/m.test(stdout), what);
      assertEquals(sandbox.processes(), [node.pid], what);
    }
  },
});

Deno.test("a limit on the size of files: exit 4, named, and nothing runs", async () => {
  await using sandbox = await Sandbox.create();
  // Whoever ignores SIGXFSZ gets the error instead. The smallest limit that Deno itself starts with is one block.
  const start = sandbox.commandLine(["start", "web", "--env", `X=${"x".repeat(20)}`, ...SERVER, "y".repeat(3000)]);
  await sandbox.json(["start", "web", ...SERVER]);
  await sandbox.json(["stop", "web"]);
  const ran = await sandbox.shell(`trap '' XFSZ; ulimit -f 2; exec ${start}`);
  assertEquals(ran.code, 4, ran.stderr);
  assertStringIncludes(ran.stderr, "the file would be larger than allowed");
  assertStringIncludes(ran.stderr, "hint: raise the limit of file sizes with ulimit -f");
  assertEquals(sandbox.processes(), []);
});

Deno.test("a port is not chosen at an address that no server here can have: exit 2, nothing left", async () => {
  await using sandbox = await Sandbox.create();
  const cases = [["nosuch.invalid", "it cannot be resolved"], ["192.0.2.1", "it is not an address of this machine"]];
  for (const [host, reason] of cases) {
    const ran = await sandbox.run(["start", "web", "--port", "0", "--host", host!, "--", "sleep", "600"]);
    assertEquals(ran.code, 2, ran.stderr);
    assertStringIncludes(ran.stderr, `Cannot choose a port on "${host}": ${reason}\nhint: `);
    assertEquals([sandbox.processes(), sandbox.runtimeFiles("web")], [[], []]);
  }
});

Deno.test("a start that was killed while it wrote the workspace's record leaves a file that the next one removes", async () => {
  await using sandbox = await Sandbox.create();
  const node = await sandbox.json(["start", "web", ...SERVER]);
  const workspace = node.dir.slice(0, node.dir.lastIndexOf("/"));
  Deno.renameSync(`${workspace}/workspace.json`, `${workspace}/.workspace.json.${crypto.randomUUID()}.tmp`);
  await Promise.all(["a", "b", "c"].map((name) => sandbox.json(["start", name, ...SERVER])));
  assertEquals([...Deno.readDirSync(workspace)].map(({ name }) => name).sort(), [
    "a",
    "b",
    "c",
    "web",
    "workspace.json",
  ]);
});

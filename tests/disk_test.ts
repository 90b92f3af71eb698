/** A full disk, on a small tmpfs: before the spawn nothing changes, after it nothing is left running. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ensureDir } from "@std/fs";
import { CrashSite, SCENARIOS, spread, WRITES } from "./support/crash_points.ts";
import { COMMAND, fixture, Sandbox } from "./support/sandbox.ts";
import { chooseServer, installed } from "./support/servers.ts";
import { costly, TIER } from "./support/tier.ts";

/** Flags of setpriv(1) by which root is bound to the rights of files like everybody. */
const WITHOUT_OVERRIDE = ["--bounding-set=-dac_override,-dac_read_search"];

async function succeeds(program: string, ...args: string[]): Promise<boolean> {
  return (await new Deno.Command(program, { args, stderr: "null" }).output()).success;
}

/** A tmpfs, unmounted when disposed. */
async function mountTmpfs(path: string, options: string): Promise<AsyncDisposable> {
  await ensureDir(path);
  assert(await succeeds("mount", "-t", "tmpfs", "-o", `${options},mode=0700`, "tombstone", path));
  return {
    async [Symbol.asyncDispose]() {
      assert(await succeeds("umount", "-l", path));
    },
  };
}

/** Whether this user may mount, tried once. */
const ignore = !await (async () => {
  await using sandbox = await Sandbox.create();
  if (!await succeeds("mount", "-t", "tmpfs", "tombstone", sandbox.project)) return false;
  return await succeeds("umount", sandbox.project);
})();
if (ignore) {
  console.log("skipped: a full disk takes a small tmpfs, and mounting one needs root (run the tests as root)");
}

function fill(path: string): void {
  using file = Deno.openSync(path, { write: true, create: true });
  try {
    for (;;) file.writeSync(new Uint8Array(4096));
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOSPC") throw error;
  }
}

/** Content of every file of a node that tells of earlier starts. */
function snapshot(dir: string): Record<string, string> {
  return Object.fromEntries(
    [...Deno.readDirSync(dir)].filter((entry) => entry.isFile && entry.name !== "lock")
      .map((entry) => [entry.name, Deno.readTextFileSync(`${dir}/${entry.name}`)]),
  );
}

Deno.test({
  name: "no space left for the tombstone: exit 4, and nothing has changed",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using _tmpfs = await mountTmpfs(sandbox.state, "size=256k");
    const args = ["start", "web", "--port", "0", "--", ...fixture("say=first")];
    const first = await sandbox.json(args);
    await sandbox.json(["stop", "web"]);
    const before = snapshot(first.dir);
    fill(`${sandbox.state}/filler`);
    const ran = await sandbox.run(args);
    assertEquals(ran.code, 4);
    assertStringIncludes(ran.stderr, "no space left on the device");
    assertStringIncludes(ran.stderr, "hint: make room");
    assertEquals(snapshot(first.dir), before);
    assertEquals(sandbox.processes(), []);
    Deno.removeSync(`${sandbox.state}/filler`);
    await sandbox.json(args);
    await sandbox.assertOneServer("web");
    // A full disk keeps nobody from stopping a server.
    fill(`${sandbox.state}/filler`);
    assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
    assertEquals(sandbox.processes(), []);
  },
});

/** Makes files until the disk takes no more; those that are given back are free for the tool. */
function exhaust(dir: string, size: number): string[] {
  const made: string[] = [];
  for (;;) {
    const path = `${dir}/filler${made.length}`;
    try {
      Deno.writeFileSync(path, new Uint8Array(size), { createNew: true });
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
      if (size > 0) Deno.removeSync(path);
      return made;
    }
    made.push(path);
  }
}

for (
  const [what, options, size] of [["pages", "size=256k", 4096], ["inodes", "size=1m,nr_inodes=48", 0]] as const
) {
  Deno.test({
    name: `a few free ${what} less than a start takes: exit 4 wherever it runs out, and nothing is left running`,
    ignore,
    async fn() {
      await using sandbox = await Sandbox.create();
      await using _tmpfs = await mountTmpfs(sandbox.state, options);
      const args = ["start", "web", "--port", "0", "--", ...fixture("say=first", "child")];
      const first = await sandbox.json(args);
      await sandbox.json(["stop", "web"]);
      let before = snapshot(first.dir);
      const fillers = exhaust(sandbox.state, size);
      const messages = new Set<string>();
      // One more is free each time, so that each write in turn is the one that fails.
      for (let code = 4; code !== 0;) {
        assert(fillers.length > 0, "a start takes more than there is");
        Deno.removeSync(fillers.pop()!);
        const ran = await sandbox.run(args);
        code = ran.code;
        if (code === 0) break;
        assertEquals(code, 4, ran.stderr);
        messages.add(/Cannot [^\n]*/.exec(ran.stderr.replaceAll(sandbox.state, ""))?.[0] ?? ran.stderr);
        assertEquals(sandbox.processes(), [], ran.stderr);
        // The log of the start before is there as it was, under this number or the next.
        const now = snapshot(first.dir);
        assert([now["server.log"], now["server.log.1"]].includes(before["server.log"]));
        before = now;
        assertEquals(Object.keys(now).filter((name) => name.endsWith(".tmp")), [], "a temporary file is left");
      }
      assert(messages.size >= 3, [...messages].join("\n"));
      await sandbox.assertOneServer("web");
      await sandbox.json(["stop", "web"]);
    },
  });
}

Deno.test({
  name: "a disk that turns read-only between the tombstone and the commit: the server is gone again",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const args = ["start", "web", "--port", "0", "--"];
    const first = await sandbox.json([...args, ...fixture("say=first")]);
    await sandbox.json(["stop", "web"]);
    // The kernel refuses while the starter has just a file open for writing there.
    const remount = `until mount -o remount,bind,ro ${sandbox.state} 2>/dev/null; do sleep 0.01; done`;
    const readOnly = `mount --bind ${sandbox.state} ${sandbox.state} && { ${remount}; }`;
    const server = ["sh", "-c", `${readOnly} && exec ${fixture("child").join(" ")}`];
    try {
      const { error } = await sandbox.json([...args, ...server], { code: 4 });
      assertStringIncludes(error.message, "read-only");
      assertEquals(sandbox.processes(), []);
      const again = await sandbox.json([...args, ...fixture()], { code: 4 });
      assertStringIncludes(again.error.message, "read-only");
      assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "interrupted");
      assertEquals(snapshot(first.dir)["server.log.1"], "first\n");
    } finally {
      assert(await succeeds("umount", "-l", sandbox.state));
    }
    assertEquals((await sandbox.json([...args, ...fixture()])).recovered.reason, "interrupted-start");
    await sandbox.assertOneServer("web");
  },
});

Deno.test({
  name:
    "a workspace that cannot be listed is one error, and stdout still one document, however much could be told before",
  ignore: ignore || !await succeeds("setpriv", ...WITHOUT_OVERRIDE, "true"),
  async fn() {
    await using sandbox = await Sandbox.create();
    await sandbox.json(["start", "web", "--workspace", "a", "--port", "0", "--", ...fixture()]);
    // More than is written at a time.
    for (let number = 0; number < 300; number++) Deno.mkdirSync(`${sandbox.state}/a/n${number}`, { mode: 0o700 });
    Deno.mkdirSync(`${sandbox.state}/z`, { mode: 0o000 });
    for (const args of [["list"], ["status", "--all"], ["sweep", "--all"]]) {
      const command = sandbox.commandLine([...args, "--json"]);
      const ran = await sandbox.shell(`exec setpriv ${WITHOUT_OVERRIDE.join(" ")} ${command}`);
      assertEquals(ran.code, 4, ran.stderr);
      assertEquals(JSON.parse(ran.stdout).error.kind, "state");
    }
    Deno.chmodSync(`${sandbox.state}/z`, 0o700);
    for (let number = 0; number < 300; number++) Deno.removeSync(`${sandbox.state}/a/n${number}`);
  },
});

Deno.test({
  name: "directories without the right to write: exit 4, nothing changed, nothing running",
  ignore: TIER === "fast" || ignore || !await succeeds("setpriv", ...WITHOUT_OVERRIDE, "true"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const args = ["start", "web", "--port", "0", "--json", "--", ...fixture("say=first")];
    const run = async () => {
      const { code, stdout, stderr } = await new Deno.Command("setpriv", {
        args: [...WITHOUT_OVERRIDE, ...COMMAND, ...args],
        cwd: sandbox.project,
        env: sandbox.env(),
      }).output();
      return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    assertEquals((await run()).code, 0);
    const dir = sandbox.nodeDir("web");
    await sandbox.json(["stop", "web"]);
    let before = snapshot(dir);
    for (const path of [dir, dir.slice(0, dir.lastIndexOf("/")), sandbox.state]) {
      for (const mode of [0o555, 0o000]) {
        Deno.chmodSync(path, mode);
        const isAbove = path !== dir && mode === 0o555; // what is below can still be written
        const { code, text } = await run();
        assertEquals(code, isAbove ? 0 : 4, text);
        if (!isAbove) assertStringIncludes(text, "permission denied");
        Deno.chmodSync(path, 0o700);
        if (isAbove) await sandbox.json(["stop", "web"]);
        else assertEquals(snapshot(dir), before);
        assertEquals(sandbox.processes(), []);
        before = snapshot(dir);
      }
    }
    assertEquals((await run()).code, 0);
    await sandbox.assertOneServer("web");
  },
});

Deno.test("a state directory behind a symbolic link is one place, by whatever path", async () => {
  await using sandbox = await Sandbox.create();
  const real = `${sandbox.root}/elsewhere/real`;
  Deno.mkdirSync(real, { recursive: true, mode: 0o700 });
  Deno.symlinkSync(real, sandbox.state);
  const args = ["start", "web", "--port", "0", "--", ...fixture()];
  await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "waiting" } }).output();
  const started = await sandbox.json(args);
  assertEquals(started.recovered.pids.length, 1);
  await sandbox.assertOneServer("web");
  assertEquals((await sandbox.json(args, { env: { TOMBSTONE_STATE_DIR: real } })).pid, started.pid);
  // Proof by the log's path holds behind the link, too.
  Deno.writeTextFileSync(`${started.dir}/node.info`, "");
  assertEquals((await sandbox.json(["stop", "web"])).nodes[0].recovered.pids, [started.pid]);
});

for (const error of ["ENOSPC", "EIO"]) {
  Deno.test({
    name: `${error} at each write of a start: told without a stack, nothing left running, and the next start works`,
    ignore: TIER === "fast" || !installed("strace", "strace"),
    async fn() {
      await using site = await CrashSite.create(chooseServer());
      const points = (await site.points(SCENARIOS[0]!)).filter(({ call }) => WRITES.includes(call));
      for (const point of spread(points, 12)) {
        assertEquals((await site.tryFault(SCENARIOS[0]!, point, error)).failure, null, `${point.call} ${point.at}`);
      }
    },
  });
}

Deno.test({
  name: "no space left after the spawn: the server is gone again, and the next start with space works",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using _tmpfs = await mountTmpfs(sandbox.state, "size=256k");
    const filler = `${sandbox.state}/filler`;
    const args = ["start", "web", "--port", "0", "--"];
    const ran = await sandbox.run([...args, ...fixture(`fill=${filler}`, "child")]);
    assertEquals(ran.code, 4, ran.stdout + ran.stderr);
    assertStringIncludes(ran.stderr, "no space left on the device");
    assertEquals(sandbox.processes(), []);
    const status = await sandbox.run(["status", "web"]);
    assertEquals(status.code, 1);
    Deno.removeSync(filler);
    await sandbox.json([...args, ...fixture()]);
    await sandbox.assertOneServer("web");
  },
});

costly("a state directory that is removed during the start: the server is gone again", async () => {
  // The sooner it is removed, the less the starter has seen of its server.
  for (const delay of ["0", "0.05", "0.3"]) {
    await using sandbox = await Sandbox.create();
    const args = ["start", "web", "--port", "0", "--"];
    const remove = `sleep ${delay}; rm -rf ${sandbox.state}; exec ${fixture("child").join(" ")}`;
    const { error } = await sandbox.json([...args, "sh", "-c", remove], { code: 4 });
    assertEquals(error.kind, "state");
    assertEquals(sandbox.processes(), []);
    await sandbox.json([...args, ...fixture()]);
    await sandbox.assertOneServer("web");
  }
});

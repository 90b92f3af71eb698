/** A full disk, on a small tmpfs: before the spawn nothing changes, after it nothing is left running. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ensureDir } from "@std/fs";
import { fixture, Sandbox } from "./support/sandbox.ts";

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

Deno.test({
  name: "no inode left for the log: exit 4, and nothing has changed",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using _tmpfs = await mountTmpfs(sandbox.state, "size=1m,nr_inodes=32");
    const args = ["start", "web", "--port", "0", "--", ...fixture("say=first")];
    const first = await sandbox.json(args);
    await sandbox.json(["stop", "web"]);
    const before = snapshot(first.dir);
    for (let number = 0;; number++) {
      try {
        Deno.writeTextFileSync(`${sandbox.state}/inode${number}`, "", { createNew: true });
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOSPC") throw error;
        break;
      }
    }
    Deno.removeSync(`${sandbox.state}/inode0`); // enough for the tombstone, but not for the log as well
    const { error } = await sandbox.json(args, { code: 4 });
    assertStringIncludes(error.message, 'server.log": no space left on the device');
    assertEquals(snapshot(first.dir), before);
    assertEquals(sandbox.processes(), []);
    assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");
  },
});

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

Deno.test("a state directory that is removed during the start: the server is gone again", async () => {
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

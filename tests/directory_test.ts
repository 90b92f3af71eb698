/** Nodes whose directory is deleted, and commands in a directory that is. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { canUnshare } from "./support/namespace.ts";
import { untilEnded } from "./support/leases.ts";
import { isInstalled } from "./support/servers.ts";
import {
  COMMAND,
  type Document,
  exists,
  fixture,
  isRunning,
  type Ran,
  ROOT,
  Sandbox,
  until,
} from "./support/sandbox.ts";

/** The command, where it is the sources: with the flags that they are run with. */
const FLAGS = COMMAND.at(-1)!.endsWith("/main.ts") ? COMMAND.slice(0, -1) : null;

/** Runs the tool in a current directory that has been removed. */
async function runInRemoved(sandbox: Sandbox, args: string[]): Promise<Ran> {
  return await sandbox.shell(
    [...FLAGS!, `${ROOT}/tests/support/in_removed_directory.ts`, ...args].map(sandbox.quote).join(" "),
  );
}

/** Starts `web` in a directory of its own, next to another. */
async function startIn(sandbox: Sandbox, directory: string, node = "web"): Promise<Document> {
  Deno.mkdirSync(`${directory}/.git`, { recursive: true });
  return await sandbox.json(["start", node, "--port", "0", "--", ...fixture()], { cwd: directory });
}

for (const how of ["rm -rf", "git worktree remove"]) {
  Deno.test({
    name: `a server whose directory was deleted by ${how} is ended by the next command elsewhere, and no other is`,
    ignore: how.startsWith("git") && !isInstalled("git"),
    async fn() {
      await using sandbox = await Sandbox.create();
      const tree = `${sandbox.root}/trees/feature`;
      if (how === "rm -rf") Deno.mkdirSync(tree, { recursive: true });
      else {
        const git = "git -c user.name=a -c user.email=a@b";
        const made = `${git} init -q && ${git} commit -q --allow-empty -m a && ${git} worktree add -q ${tree}`;
        assertEquals((await sandbox.shell(made)).code, 0);
      }
      const command = ["start", "web", "--port", "0", "--", ...fixture()];
      if (how === "rm -rf") Deno.mkdirSync(`${tree}/.git`);
      const { workspace, pid, directory_gone } = await sandbox.json(command, { cwd: tree });
      const other = await startIn(sandbox, `${sandbox.root}/other`);
      assertEquals([directory_gone, other.directory_gone], [false, false]);
      const removed = await sandbox.shell(how === "rm -rf" ? `rm -rf ${tree}` : `git worktree remove --force ${tree}`);
      assertEquals(removed.code, 0, removed.stderr);

      // The check of the system ends nothing, and names the command that does.
      const { checks } = await sandbox.json(["doctor"], { code: 1 });
      const check = checks.find(({ ok }: Document) => !ok);
      assertStringIncludes(check.message, `its directory ${tree} is gone`);
      assertEquals(check.hint, `tombstone stop web --workspace ${workspace}`);
      assert(isRunning(pid));

      const expected = { node: "web", lease: "directory", pid };
      const ran = await untilEnded(sandbox, expected, { cwd: `${sandbox.root}/other` }, ["status", "web"]);
      assertEquals([ran.code, ran.document.pid], [0, other.pid], "the command does its own work");
      const reason = `its directory ${tree} is gone`;
      if (!ran.stderr.includes("still")) {
        assertEquals(ran.ended, { workspace, node: "web", lease: "directory", reason, pids: [pid], killed: [] });
        assertEquals(ran.stderr, `ended "web" of ${tree} (pid ${pid}): ${reason}\n`);
      }
      assert(isRunning(other.pid));
      await sandbox.json(["doctor"]);
      // Nothing runs: nothing has to be said, but the fact is there.
      const after = await sandbox.json(["status", "web", "--workspace", workspace], { code: 3 });
      assertEquals([after.state, after.reason, after.leases_ended], ["stopped", null, undefined]);
    },
  });
}

Deno.test("a stop of a server without a directory is a stop, also in a current directory that has been removed", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/tree`;
  const { workspace, pid } = await startIn(sandbox, tree);
  Deno.removeSync(tree, { recursive: true });
  const words = ["stop", "web", "--workspace", workspace];
  const stopped = FLAGS === null ? await sandbox.run(words) : await runInRemoved(sandbox, words);
  assertEquals([stopped.code, stopped.stdout], [0, `stopped "web" (pid ${pid})\n`], stopped.stderr);
  assert(!isRunning(pid));
});

Deno.test("the command that ends a node without a directory names the state directory where that is not the usual one", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/tree`;
  const { workspace } = await startIn(sandbox, tree);
  Deno.removeSync(tree, { recursive: true });
  const env = { TOMBSTONE_STATE_DIR: `${sandbox.root}/usual` };
  const { checks } = await sandbox.json(["doctor", "--state-dir", sandbox.state], { env, code: 1 });
  const stop = checks.find(({ ok }: Document) => !ok).hint;
  assertEquals(stop, `tombstone stop web --workspace ${workspace} --state-dir ${sandbox.state}`);
  await sandbox.json(stop.split(" ").slice(1), { env });
  assertEquals(sandbox.serversOf("web"), []);
});

Deno.test("a directory that was deleted and made anew is not called gone", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/tree`;
  const { pid } = await startIn(sandbox, tree);
  Deno.removeSync(tree, { recursive: true });
  Deno.mkdirSync(`${tree}/.git`, { recursive: true });
  const status = await sandbox.json(["status", "web"], { cwd: tree });
  assertEquals([status.pid, status.directory_gone, status.reason], [pid, false, null]);
});

Deno.test("a deleted directory of which the server has created a part again is gone; one that the user has made anew is not", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/tree`;
  const cache = `${tree}/.next/cache`;
  const pause = `${sandbox.root}/pause`;
  const pauses = `${sandbox.root}/pauses`;
  const work = `while :; do if [ -e ${pause} ]; then touch ${pauses}; else mkdir -p ${cache}; fi; sleep 0.02; done`;
  Deno.mkdirSync(`${tree}/.git`, { recursive: true });
  const start = ["start", "web", "--file", cache, "--", "sh", "-c", `trap 'exit 0' TERM; ${work}`];
  const { pid } = await sandbox.json(start, { cwd: tree });
  const ended = async () =>
    (await sandbox.json(["list"])).leases_ended?.map(({ lease, pids }: Document) => [lease, pids[0]]);
  Deno.removeSync(`${tree}/.git`, { recursive: true });
  assertEquals(await ended(), undefined, "the directory itself was not deleted");
  Deno.writeTextFileSync(pause, "");
  await until("the server pauses", () => exists(pauses));
  Deno.removeSync(tree, { recursive: true });
  Deno.mkdirSync(`${tree}/.git`, { recursive: true });
  assertEquals(await ended(), undefined, "the user has made it anew");
  Deno.removeSync(tree, { recursive: true });
  Deno.removeSync(pause);
  await until("the server has created a part of it again", () => exists(cache));
  await untilEnded(sandbox, { node: "web", lease: "directory", pid });
  assert(exists(cache), "no file is removed");
});

Deno.test("what may not be mounted, or cannot be looked at, is not called gone", async () => {
  await using sandbox = await Sandbox.create();
  const mount = `${sandbox.root}/mount`;
  const { workspace, pid } = await startIn(sandbox, `${mount}/shop`);
  const goneAfter = async (line: string): Promise<boolean> => {
    assertEquals((await sandbox.shell(line)).code, 0);
    return (await sandbox.json(["status", "web", "--workspace", workspace], { code: isRunning(pid) ? 0 : 1 }))
      .directory_gone;
  };
  // Something else is in its place; or a link that leads nowhere.
  assertEquals(await goneAfter(`mv ${mount}/shop ${mount}/moved; touch ${mount}/shop`), false);
  assertEquals(await goneAfter(`rm ${mount}/shop; ln -s nowhere ${mount}/shop`), false);
  // The server does not run, so nobody is witness that the directory was deleted, and not its file system taken away.
  Deno.kill(pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(pid));
  const away = `${sandbox.root}/away`;
  assertEquals(await goneAfter(`rm ${mount}/shop; mv ${mount} ${away}; mkdir ${mount}`), false, "another parent");
  assertEquals(await goneAfter(`mkdir ${mount}/other`), false, "another parent, that holds something");
  assertEquals(await goneAfter(`rm -r ${mount}; touch ${mount}`), false, "no directory as its parent");
  if (Deno.uid() !== 0) {
    assertEquals(await goneAfter(`rm ${mount}; mv ${away} ${mount}; chmod 0 ${mount}`), false, "a closed parent");
    await sandbox.shell(`chmod 700 ${mount}; mv ${mount} ${away}; touch ${mount}`);
  }
  // The parent that was there, now empty: that is what a deletion leaves, so what is left of the node is swept.
  assertEquals((await sandbox.shell(`rm -r ${away}/moved ${mount}; mv ${away} ${mount}`)).code, 0);
  let ended: Document[] = [];
  await until("it is swept", async () => (ended = (await sandbox.json(["list"])).leases_ended ?? []).length > 0);
  assertEquals(ended.map(({ lease, pids }) => [lease, pids]), [["directory", []]]);
  await sandbox.json(["status", "web", "--workspace", workspace], { code: 3 });
});

Deno.test("a project that was moved while its server works in it is not over", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/tree`;
  const { pid } = await startIn(sandbox, tree);
  Deno.renameSync(tree, `${sandbox.root}/moved`);
  assertEquals((await sandbox.json(["list"])).leases_ended, undefined);
  assert(isRunning(pid));
});

const hasMounts = await canUnshare();

/** Runs a script in a mount namespace of its own, whose mounts end with its processes. */
async function inMountNamespace(sandbox: Sandbox, script: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-ec", script],
    cwd: sandbox.project,
    env: sandbox.env(),
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

/** How a file system is made, and how it is mounted, also a second time. */
const FILE_SYSTEMS = {
  "a bind mount": ({ root }: Sandbox) => [`mkdir ${root}/disk`, `mount --bind ${root}/disk ${root}/mount`],
  "a tmpfs": ({ root }: Sandbox) => [
    `mkdir ${root}/kept; mount -t tmpfs tmpfs ${root}/kept; mkdir ${root}/kept/disk`,
    `mount --bind ${root}/kept/disk ${root}/mount`,
  ],
};

for (const [kind, how] of Object.entries(FILE_SYSTEMS)) {
  Deno.test({
    name: `a project on ${kind} that is unmounted is not over; one that is deleted there is`,
    ignore: !hasMounts,
    async fn() {
      await using sandbox = await Sandbox.create();
      const { root } = sandbox;
      const [make, mount] = how(sandbox);
      const tool = (args: string[]) => sandbox.commandLine(args);
      const list = (name: string) => `${tool(["list", "--json"])} >${root}/${name}`;
      const start = tool(["start", "web", "--port", "0", "--", ...fixture()]);
      // Once more, since a busy machine may take longer than one command waits.
      const ended = `until grep -q '"state": "stopped"' ${root}/deleted; do ${list("deleted")}; done`;
      await inMountNamespace(
        sandbox,
        `
        mkdir -p ${root}/mount/in-its-place; ${make}; ${mount}
        mkdir -p ${root}/mount/shop/.git ${root}/mount/other; cd ${root}/mount/shop; ${start}; cd ${root}/project
        umount -l ${root}/mount; ${list("unmounted")}
        mount -t tmpfs tmpfs ${root}/mount; ${list("another")}; umount ${root}/mount
        ${mount}; rm -r ${root}/mount/shop; ${list("deleted")}; ${ended}`,
      );
      const read = (name: string) => JSON.parse(Deno.readTextFileSync(`${root}/${name}`));
      for (const name of ["unmounted", "another"]) {
        const { nodes: [{ state }], leases_ended } = read(name);
        assertEquals([state, leases_ended], ["running", undefined], name);
      }
      assertEquals(read("deleted").nodes[0].state, "stopped");
      assertEquals(sandbox.processes(), []);
    },
  });
}

Deno.test({
  name: "a project below a directory that cannot be read is not over, until it can be read and lacks it",
  ignore: !hasMounts || !isInstalled("setpriv"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const parent = `${sandbox.root}/closed`;
    const { pid } = await startIn(sandbox, `${parent}/shop`);
    // Without these, root is refused, too.
    const bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"].map(sandbox.quote).join(" ");
    const list = async () => {
      const { code, stdout, stderr } = await sandbox.shell(`${bound} ${sandbox.commandLine(["list", "--json"])}`);
      assertEquals(code, 0, stderr);
      return JSON.parse(stdout).leases_ended;
    };
    for (const mode of [0o000, 0o300, 0o600]) {
      Deno.chmodSync(parent, mode);
      assertEquals([await list(), isRunning(pid)], [undefined, true], mode.toString(8));
    }
    Deno.chmodSync(parent, 0o700);
    Deno.removeSync(`${parent}/shop`, { recursive: true });
    Deno.chmodSync(parent, 0o000);
    assertEquals(await list(), undefined, "it is gone, but that cannot be seen");
    Deno.chmodSync(parent, 0o700);
    await until("it is ended", async () => (await list()) !== undefined || !isRunning(pid));
    assert(!isRunning(pid));
  },
});

Deno.test("a project that was only seen in another mount namespace is not called gone", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/trees/a`;
  const { workspace, pid, dir, attempt } = await startIn(sandbox, tree);
  await startIn(sandbox, `${sandbox.root}/trees/b`);
  Deno.kill(pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(pid));
  const gone = async () =>
    (await sandbox.json(["status", "web", "--workspace", workspace], { code: 1 })).directory_gone;
  const replace = (path: string, pattern: RegExp, text: string) =>
    Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replace(pattern, text));
  const entry = `${sandbox.state}/.leases/${attempt}`;
  replace(entry, /"mnt:[^"]*"/, '"mnt:[1]"');
  Deno.removeSync(tree, { recursive: true });
  assertEquals(await gone(), false);
  // As started by a version that kept less of it: it is told, but not ended.
  Deno.removeSync(entry);
  assertEquals(await gone(), true);
  const record = `${dir}/../workspace.json`;
  replace(record, /"mnt:[^"]*"/, '"mnt:[1]"');
  assertEquals(await gone(), false);
  replace(record, /"mount_namespace":"[^"]*",/, "");
  assertEquals(await gone(), false);
});

Deno.test({
  name: "in a current directory that has been removed, commands work where the workspace is named",
  ignore: FLAGS === null,
  async fn() {
    await using sandbox = await Sandbox.create();
    const named = ["--workspace", "shop"];
    const run = async (args: string[], code = 0) => {
      const ran = await runInRemoved(sandbox, args);
      assertEquals(ran.code, code, `${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
      assert(!/^ {4}at |this is a bug|panicked/m.test(ran.stderr), ran.stderr);
      return ran;
    };
    await run(["start", "web", ...named, "--cwd", sandbox.project, "--port", "0", "--", ...fixture()]);
    for (const args of [["status"], ["status", "web"], ["wait", "web"], ["logs", "web"], ["sweep"], ["sweep", "web"]]) {
      await run([...args, ...named]);
    }
    await run(["restart", "web", ...named]);
    assertEquals((await sandbox.json(["status", "web", ...named])).directory_gone, false);
    assertStringIncludes((await run(["completions", "nodes", ...named])).stdout, "web");
    for (const args of [["list"], ["status", "--all"], ["sweep", "--all"], ["doctor"], ["completions", "bash"]]) {
      await run(args);
    }
    await run(["stop", ...named]);
    await run(["status", "web", ...named], 3);
    assertEquals(sandbox.serversOf("web"), []);
  },
});

Deno.test({
  name: "in a current directory that has been removed, a command that needs it says so and what helps, without a stack",
  ignore: FLAGS === null,
  async fn() {
    await using sandbox = await Sandbox.create();
    for (
      const args of [
        ["start", "web", "--", "true"],
        ["start", "--workspace", "shop", "--", "true"],
        ["start", "web", "--workspace", "shop", "--", "true"],
        ["start"],
        ["status"],
        ["status", "web"],
        ["stop"],
        ["stop", "web"],
        ["wait", "web"],
        ["logs", "web"],
        ["restart", "web"],
        ["sweep"],
        ["run", "--serve", "true", "--", "true"],
        // The test command runs in the current directory.
        ["run", "web", "--workspace", "shop", "--cwd", "/", "--serve", "true", "--", "true"],
        ["init"],
        ["export", "systemd"],
        ["export", "systemd", "--workspace", "shop"],
        ["completions", "nodes"],
        ["list", "--state-dir", "state"],
      ]
    ) {
      const { code, stdout, stderr } = await runInRemoved(sandbox, args);
      assertEquals([code, stdout], [4, ""], `${args.join(" ")}: ${stderr}`);
      assertMatch(stderr, /^Cannot use the current directory: it has been removed\nhint: .*--workspace.*\n$/);
    }
    assertEquals(sandbox.processes(), []);
  },
});

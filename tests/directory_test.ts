/** Nodes whose directory is deleted, and commands in a directory that is. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { isInstalled } from "./support/servers.ts";
import { COMMAND, type Document, fixture, isRunning, type Ran, ROOT, Sandbox, until } from "./support/sandbox.ts";

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
    name:
      `of a server whose directory was deleted by ${how}, every command says so, and the command that they name ends it`,
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
      const other = await startIn(sandbox, `${sandbox.root}/trees/other`);
      assertEquals([directory_gone, other.directory_gone], [false, false]);
      const removed = await sandbox.shell(how === "rm -rf" ? `rm -rf ${tree}` : `git worktree remove --force ${tree}`);
      assertEquals(removed.code, 0, removed.stderr);

      const stop = `tombstone stop web --workspace ${workspace}`;
      const said = `its directory ${tree} is gone: ${stop} ends it`;
      const where = ["--workspace", workspace];
      for (
        const args of [
          ["list"],
          ["status", "--all"],
          ["status", ...where],
          ["status", "web", ...where],
          [
            "sweep",
            "--all",
          ],
          ["sweep", ...where],
          ["sweep", "web", ...where],
        ]
      ) {
        const { stdout } = await sandbox.run(args);
        assertStringIncludes(stdout, said, args.join(" "));
        assertEquals(stdout.split("is gone").length, 2, "of the other it is not said");
        const document = await sandbox.json(args);
        const nodes: Document[] = document.nodes ?? [document];
        for (const node of nodes) assertEquals(node.directory_gone, node.workspace === workspace, args.join(" "));
      }
      const { checks } = await sandbox.json(["doctor"], { code: 1 });
      const check = checks.find(({ ok }: Document) => !ok);
      assertStringIncludes(check.message, `its directory ${tree} is gone`);
      assertEquals(check.hint, stop);

      const words = stop.split(" ").slice(1);
      const stopped = FLAGS === null ? await sandbox.run(words) : await runInRemoved(sandbox, words);
      assertEquals([stopped.code, stopped.stdout], [0, `stopped "web" (pid ${pid})\n`], stopped.stderr);
      assert(!isRunning(pid) && isRunning(other.pid));
      await sandbox.json(["doctor"]);
      // Nothing runs: nothing has to be said, but the fact is there.
      const after = await sandbox.json(["status", "web", ...where], { code: 3 });
      assertEquals([after.state, after.reason, after.directory_gone], ["stopped", null, true]);
    },
  });
}

Deno.test("the command that ends a node without a directory names the state directory where that is not the usual one", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/tree`;
  const { workspace } = await startIn(sandbox, tree);
  Deno.removeSync(tree, { recursive: true });
  const state = ["--state-dir", sandbox.state];
  const env = { TOMBSTONE_STATE_DIR: `${sandbox.root}/usual` };
  const { reason } = await sandbox.json(["status", "web", "--workspace", workspace, ...state], { env });
  const stop = /: (tombstone stop .*) ends it$/.exec(reason)![1]!;
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
  assertEquals(await goneAfter(`rm ${mount}/shop; mv ${mount}/moved ${sandbox.root}/moved`), false, "an empty parent");
  assertEquals(await goneAfter(`rmdir ${mount}`), false, "no parent");
  assertEquals(await goneAfter(`touch ${mount}`), false, "no directory as its parent");
  assertEquals(await goneAfter(`rm ${mount}; mkdir -p ${mount}/other`), true, "a parent that holds something else");
  if (Deno.uid() !== 0) {
    assertEquals(await goneAfter(`chmod 0 ${mount}`), false, "a parent that nobody may look into");
    await sandbox.shell(`chmod 700 ${mount}`);
  }
});

Deno.test("a project that was only seen in another mount namespace is not called gone", async () => {
  await using sandbox = await Sandbox.create();
  const tree = `${sandbox.root}/trees/a`;
  const { workspace, pid, dir } = await startIn(sandbox, tree);
  await startIn(sandbox, `${sandbox.root}/trees/b`);
  Deno.kill(pid, "SIGKILL");
  await until("the server is gone", () => !isRunning(pid));
  Deno.removeSync(tree, { recursive: true });
  const gone = async () =>
    (await sandbox.json(["status", "web", "--workspace", workspace], { code: 1 })).directory_gone;
  assertEquals(await gone(), true);
  const record = `${dir}/../workspace.json`;
  const text = Deno.readTextFileSync(record);
  Deno.writeTextFileSync(record, text.replace(/"mnt:[^"]*"/, '"mnt:[1]"'));
  assertEquals(await gone(), false);
  // As written by a version that did not record it.
  Deno.writeTextFileSync(record, text.replace(/"mount_namespace":"[^"]*",/, ""));
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

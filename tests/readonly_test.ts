/**
 * What an agent's sandbox takes away: a home that can be written, and a server that outlives its command.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { chainOutlives } from "../lib/os/linux/namespace.ts";
import { exists, fixture, freePort, type Ran, Sandbox, until } from "./support/sandbox.ts";

const BWRAP = ["bwrap", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"];
const WHOLE = [...BWRAP, "--bind", "/", "/", "--proc", "/proc", "--dev", "/dev"];

const ignore = !(await new Deno.Command(WHOLE[0]!, { args: [...WHOLE.slice(1), "true"] }).output()
  .then(({ success }) => success).catch(() => false));
if (ignore) console.log("skipped: sandboxes by bwrap(1) of Debian's package bubblewrap");

/** Runs a line in a sandbox. Its output goes to files, since a first process that stays would hold pipes open. */
async function inside(sandbox: Sandbox, way: string[], line: string, env: Record<string, string> = {}): Promise<Ran> {
  const out = `${sandbox.project}/out.${crypto.randomUUID()}`;
  const whole = `${way.map((word) => sandbox.quote(word)).join(" ")} ${line} >${out} 2>${out}.err`;
  const { code } = await sandbox.shell(whole, { env });
  const read = (path: string) => {
    const text = Deno.readTextFileSync(path);
    Deno.removeSync(path);
    return text;
  };
  return { code, stdout: read(out), stderr: read(`${out}.err`) };
}

Deno.test({
  name: "start says that a server ends with the sandbox of its command line, and only where that is so",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const start = sandbox.commandLine(["start", "web", "--port", String(freePort()), "--json", "--", ...fixture()]);
    const dying = [...WHOLE, "--die-with-parent"];
    const own = ["unshare", "--pid", "--fork", "--mount-proc"];
    const ways: [string[], string][] = [[dying, start], [dying, `sh -c ${sandbox.quote(`${start}; true`)}`]];
    if ((await sandbox.shell(`${own.join(" ")} true`)).code === 0) ways.push([own, start]);
    for (const [way, line] of ways) {
      const { code, stdout, stderr } = await inside(sandbox, way, line);
      assertEquals(code, 0, stderr);
      assertEquals(JSON.parse(stdout).survives, false, line);
      assertStringIncludes(stderr, 'warning: "web" ends with this command line, because its sandbox does');
      await until("the sandbox has ended", () => sandbox.processes().length === 0);
    }
    // Without --die-with-parent, bwrap's first process stays as long as any other.
    const { stdout, stderr } = await inside(sandbox, WHOLE, start);
    assertEquals(JSON.parse(stdout).survives, true);
    assert(!stderr.includes("warning"), stderr);
    assertEquals(sandbox.serversOf("web").length, 1);
  },
});

Deno.test("outside a sandbox, a server survives the command line, and status does not know of it", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--", ...fixture()];
  const first = await sandbox.run([...start.slice(0, 4), "--json", ...start.slice(4)]);
  assert(JSON.parse(first.stdout).survives !== false);
  assert(!first.stderr.includes("command line"), first.stderr);
  assertEquals((await sandbox.json(["status", "web"])).survives, null);
});

Deno.test("a first process and what it runs tell whether a sandbox ends with the command", () => {
  const start = ["deno", "run", "-A", "main.ts", "start"];
  const cases: [string[][], boolean | null][] = [
    [[start], false], // this process is the first one itself
    [[start, ["bwrap", "--die-with-parent", "--", "sh"]], false],
    [[start, ["/bin/bash", "-lc", "tombstone start; x"], ["bwrap", "--die-with-parent", "bash"]], false],
    [[start, ["bash", "-euo", "pipefail", "-c", "tombstone start"], ["tini", "--", "bash"]], false],
    [[start, ["node", "/x/node_modules/.bin/tombstone"], ["sh", "-c", "npx tombstone start"]], false],
    [[start, ["npm exec tombstone start"], ["/usr/bin/dumb-init", "npx"]], false],
    [[start, ["bwrap", "--bind", "/", "/", "--", "tool", "--die-with-parent"]], true],
    [[start, ["bash"], ["bwrap", "--unshare-pid", "bash"]], true],
    // A shell, agent or supervisor that goes on.
    [[start, ["bash"], ["bwrap", "--die-with-parent", "bash"]], null],
    [[start, ["-bash"], ["tini", "--", "bash"]], null],
    [[start, ["sh", "-c", "tombstone start"], ["node", "agent.js"]], null],
    [[start, ["sh", "script.sh", "-c"], ["bwrap", "--die-with-parent", "sh"]], null],
    [[start, ["bwrap", "--args", "11", "sh"]], null],
    [[start, ["sleep", "infinity"]], null],
    [[start, []], null],
  ];
  for (const [chain, expected] of cases) assertEquals(chainOutlives(chain), expected, JSON.stringify(chain));
});

/** A sandbox in which only the project can be written. */
function readOnly(sandbox: Sandbox): [string[], Record<string, string>] {
  const way = [
    ...["bwrap", "--unshare-pid", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"],
    ...["--bind", sandbox.project, sandbox.project],
  ];
  return [way, { TOMBSTONE_STATE_DIR: "", XDG_STATE_HOME: `${sandbox.root}/home` }];
}

Deno.test({
  name: "where the home is read-only, state goes into the project, which is said, and the next sandbox finds it there",
  ignore,
  async fn(test) {
    for (const home of ["there", "missing"]) {
      await test.step(`the usual directory is ${home}`, async () => {
        await using sandbox = await Sandbox.create();
        await sandbox.shell("git init -q . || mkdir .git");
        if (home === "there") Deno.mkdirSync(`${sandbox.root}/home/tombstone`, { recursive: true, mode: 0o700 });
        const [way, env] = readOnly(sandbox);
        const own = `${sandbox.project}/.tombstone`;
        const run = async (args: string[], code = 0) => {
          const ran = await inside(sandbox, way, sandbox.commandLine(args), env);
          assertEquals(ran.code, code, `${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
          return ran;
        };
        assertStringIncludes((await run(["status"], 3)).stdout, "no nodes");
        assert(!exists(own), "a question makes nothing");
        const start = ["start", "web", "--port", String(freePort()), "--", ...fixture("say=hello")];
        const { stderr } = await run(start);
        assertMatch(
          stderr,
          /state goes to ".*\/project\/\.tombstone", since ".*\/home\/tombstone" cannot be used: the /,
        );
        assertStringIncludes((await run(["status"], 1)).stdout, "has ended");
        assertStringIncludes((await run(["logs"])).stdout, "hello");
        const again = JSON.parse((await run(["start", "web", "--json"])).stdout);
        assertEquals([again.started, again.recovered.reason], [true, "died"]);
        assertEquals(again.dir.slice(0, own.length), own);
        const once = JSON.parse((await run(["restart", "--json"])).stdout);
        assertEquals(once.nodes[0].recovered.pids, []);
        await run(["sweep"]);
        await run(["stop"]);
        await run(["run", "--port", String(freePort()), "--serve", fixture().join(" "), "--", "true"]);
        await run(["doctor"]);
        assertEquals((await sandbox.shell("git status --short")).stdout, "", "git leaves it alone");
        await run(["forget"]);
      });
    }
  },
});

Deno.test({
  name: "where nothing but the temporary directory can be written, state goes there",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const [way, env] = readOnly(sandbox);
    Deno.mkdirSync(`${sandbox.project}/tmp`);
    const inTmp = { ...env, TMPDIR: `${sandbox.project}/tmp` };
    // A file in the place of the project's directory is the user's.
    Deno.writeTextFileSync(`${sandbox.project}/.tombstone`, "mine");
    const start = ["start", "web", "--port", String(freePort()), "--", ...fixture()];
    const { code, stderr } = await inside(sandbox, way, sandbox.commandLine(start), inTmp);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /state goes to ".*\/tmp\/tombstone-\d+", since/);
    const { stdout } = await inside(sandbox, way, sandbox.commandLine(["status", "web", "--json"]), inTmp);
    assertEquals(JSON.parse(stdout).state, "died");
    assertEquals(Deno.readTextFileSync(`${sandbox.project}/.tombstone`), "mine");
  },
});

Deno.test("a directory that was named is not replaced by another one", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(`${sandbox.root}/file`, "");
  const start = ["start", "web", "--state-dir", `${sandbox.root}/file/state`, "--no-probe", "--", "sleep", "9"];
  assertEquals((await sandbox.run(start)).code, 4);
  assert(!exists(`${sandbox.project}/.tombstone`));
});

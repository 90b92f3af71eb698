/** What the launcher hands to the server: an input that stays open where that is asked for, and the whole environment. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists, fixture, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";
import { isInstalled } from "./support/servers.ts";

/** A server that ends when its input does, as `esbuild --serve` and others do, which take that for the end of their parent. */
const ENDS_WITH_INPUT = [
  "node",
  "-e",
  `process.stdin.resume().on("end", () => process.exit(0));
   setTimeout(() => require("net").createServer().listen(process.env.PORT, "127.0.0.1"), 300);`,
];

costly(
  "a server that ends at the end of its input runs with --stdin-open, and without it is told of the flag",
  async () => {
    await using sandbox = await Sandbox.create();
    const start = ["start", "web", "--port", "0"];
    const { error } = await sandbox.json([...start, "--", ...ENDS_WITH_INPUT], { code: 1 });
    assertStringIncludes(error.message, "the server exited with code 0");
    assertStringIncludes(error.hint, "--stdin-open");

    const started = await sandbox.json([...start, "--stdin-open", "--", ...ENDS_WITH_INPUT]);
    assertEquals(JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`)).stdin_open, true);
    assert(Deno.statSync(`/proc/${started.pid}/fd/0`).isFifo);
    await sandbox.assertOneServer("web"); // no file of it is left
    // What was recorded holds for a restart.
    const { nodes, ...again } = await sandbox.json(["restart", "web"]);
    assert(Deno.statSync(`/proc/${nodes?.[0].pid ?? again.pid}/fd/0`).isFifo);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
  },
);

Deno.test("an input whose launcher was killed before its name was gone is swept, and blocks nobody", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", "0", "--stdin-open", "--", ...ENDS_WITH_INPUT];
  await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "spawned" } }).output();
  const { attempt } = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/starting`));
  const input = `${sandbox.nodeDir("web")}/.stdin.${attempt}.tmp`;
  await until("the launcher has become the server", () => exists(`${sandbox.nodeDir("web")}/launch.${attempt}`));
  await until("the launcher has removed its input's name", () => !exists(input));
  for (const pid of sandbox.serversOf("web")) Deno.kill(pid, "SIGKILL");
  assertEquals((await sandbox.shell(`mkfifo ${input}`)).code, 0);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "interrupted");
  const started = await sandbox.json(args);
  assert(started.recovered.files.includes(`.stdin.${attempt}.tmp`));
  await sandbox.assertOneServer("web");
});

Deno.test({
  name: "variables whose names are none in a shell reach the server, and no command line shows a value",
  ignore: !isInstalled("bash"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const odd = { "A.B": "secret 1", "my-var": "secret 2", "BASH_FUNC_greet%%": "() { echo secret; }" };
    const started = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()], {
      env: odd,
    });
    const environ = Deno.readTextFileSync(`/proc/${started.pid}/environ`).split("\0");
    for (const [name, value] of Object.entries(odd)) {
      assert(environ.includes(`${name}=${value}`), `${name} is missing`);
    }
    assert(!Deno.readTextFileSync(`/proc/${started.pid}/cmdline`).includes("secret"));
    await sandbox.assertOneServer("web");
  },
});

Deno.test({
  name: "BASH_ENV is the server's: no launcher runs it, not even where bash has to close the caller's descriptors",
  ignore: !isInstalled("bash"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const script = `${sandbox.root}/bash_env`;
    Deno.writeTextFileSync(script, `touch ${sandbox.root}/sourced\n`);
    const start = (name: string) => sandbox.commandLine(["start", name, "--port", "0", "--json", "--", ...fixture()]);
    const env = { BASH_ENV: script };
    const lines = [`bash -p -c ${sandbox.quote(`exec 17</dev/zero; ${start("web")}`)}`, `env A.B=1 ${start("other")}`];
    for (const line of lines) {
      const ran = await sandbox.shell(line, { env });
      assertEquals(ran.code, 0, ran.stderr);
      const { pid } = JSON.parse(ran.stdout);
      assert(isRunning(pid));
      assert(Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").includes(`BASH_ENV=${script}`));
      const targets = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => `/proc/${pid}/fd/${name}`);
      assert(targets.every((path) => Deno.readLinkSync(path) !== "/dev/zero"), "it has the caller's descriptor");
    }
    assert(!exists(`${sandbox.root}/sourced`));
  },
});

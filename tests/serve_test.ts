/** `tombstone run` in one line: the package's own scripts, several servers, and the end of their logs. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { findScripts } from "../lib/spec/scripts.ts";
import { type Document, exists, fixture, freePort, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** Writes a `package.json` with these scripts. */
function writePackage(dir: string, scripts: Record<string, string>, more: Record<string, unknown> = {}): void {
  Deno.writeTextFileSync(`${dir}/package.json`, JSON.stringify({ name: "shop", scripts, ...more }));
}

/** A quick stand-in for npm on the `PATH` of the test's commands. */
function standIn(sandbox: Sandbox): { env: Record<string, string> } {
  const bin = `${sandbox.root}/bin`;
  const program = `open F, "package.json" or die; exec "sh", "-c", decode_json(join "", <F>)->{scripts}{$ARGV[1]}`;
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(`${bin}/npm`, `#!/bin/sh\nexec perl -MJSON::PP -e '${program}' "$@"\n`, { mode: 0o755 });
  return { env: { PATH: `${bin}:${Deno.env.get("PATH")}` } };
}

const serve = (...options: string[]) => fixture(...options).join(" ");

costly("in a package with scripts, run serves start, else dev, and says so", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  writePackage(sandbox.project, { start: serve(`port=${port}`), dev: "exit 1", check: `test "$PORT" = ${port}` });
  const ran = await sandbox.run(["run", "--", "npm", "run", "check"]);
  assertEquals(ran.code, 0, ran.stderr);
  assertMatch(
    ran.stderr,
    /^serving the script "start" of package.json: npm run start\nstarted "project" \(pid \d+\) on .*\nstopped "project"\n$/,
  );
  writePackage(sandbox.project, { dev: serve(`port=${port}`) });
  Deno.mkdirSync(`${sandbox.project}/.git`);
  Deno.mkdirSync(`${sandbox.project}/src`);
  const below = await sandbox.json(["run", "--", "true"], { cwd: `${sandbox.project}/src` });
  assertEquals([below.node, below.port, below.command], ["src", port, ["npm", "run", "dev"]]);
  assertEquals(sandbox.processes(), []);
});

Deno.test("without scripts, run says what is missing, and a hint helps", async () => {
  await using sandbox = await Sandbox.create();
  const hint = 'tombstone run --serve "COMMAND" -- touch tested';
  const refused = async (message: string) => {
    const { error } = await sandbox.json(["run", "--", "touch", "tested"], { code: 2 });
    assertStringIncludes(error.message, message);
    assertEquals(error.hint, hint);
  };
  await refused('Cannot run "project": nothing says what to serve, and there is no package.json');
  writePackage(sandbox.project, { build: "true" });
  await refused(`"${sandbox.project}" has no script "start" or "dev"`);
  Deno.writeTextFileSync(`${sandbox.project}/package.json`, '{ "scripts": ');
  await refused(`"${sandbox.project}/package.json" is not valid JSON`);
  assert(!exists(sandbox.state) && !exists(`${sandbox.project}/tested`));
});

Deno.test("--serve prefers a script to a program, takes a command line otherwise, and suggests a name for a typo", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const npm = standIn(sandbox);
  // A program of this name is on every PATH.
  writePackage(sandbox.project, { "sleep": serve(`port=${port}`), "start:api": serve("port=1") });
  const script = await sandbox.json(["run", "--serve", "sleep", "--", "true"], npm);
  assertEquals([script.port, script.command], [port, ["npm", "run", "sleep"]]);
  const line = await sandbox.json(["run", "--serve", `exec ${serve()}`, "--port", "0", "--", "true"]);
  assertEquals(line.command.slice(1, 2), ["-c"]);
  const typo = await sandbox.json(["run", "--serve", "strat:api", "--", "true"], { code: 127 });
  assertEquals(typo.error, {
    kind: "command-not-found",
    message: 'Cannot serve "strat:api": it is neither a script of the package nor a command on PATH',
    hint: "did you mean --serve start:api?",
    exit_code: 127,
  });
  const elsewhere = await sandbox.json(["run", "--cwd", "..", "--serve", "sleep", "--no-probe", "--", "true"], {
    code: 1,
  });
  assertStringIncludes(elsewhere.error.message, "the server exited");
});

Deno.test("the lock file or the field packageManager of the nearest directory determines the package manager", () => {
  const look = (files: Record<string, string>, from = "/shop/apps/web") =>
    findScripts(from, "/shop", { read: (path) => files[path] ?? null, has: (path) => path in files });
  const scripts = '{ "scripts": { "dev": "x" } }';
  const command = (files: Record<string, string>) =>
    look({ "/shop/apps/web/package.json": scripts, ...files })?.scripts.get("dev")?.command.join(" ");
  assertEquals(command({}), "npm run dev");
  for (
    const [lock, run] of [
      ["package-lock.json", "npm run"],
      ["npm-shrinkwrap.json", "npm run"],
      ["pnpm-lock.yaml", "pnpm run"],
      ["yarn.lock", "yarn run"],
      ["bun.lock", "bun run"],
      ["bun.lockb", "bun run"],
      ["deno.lock", "deno task"],
    ]
  ) {
    assertEquals(command({ [`/shop/apps/web/${lock}`]: "" }), `${run} dev`);
    assertEquals(command({ [`/shop/${lock}`]: "" }), `${run} dev`, "the lock file of a workspace is at its top");
  }
  const field = { "/shop/package.json": '{ "packageManager": "pnpm@9.1.0+sha" }', "/shop/yarn.lock": "" };
  assertEquals(command(field), "pnpm run dev");
  assertEquals(command({ ...field, "/shop/apps/web/bun.lock": "" }), "bun run dev", "the nearer one counts");
  assertEquals(command({ "/package-lock.json": "", "/yarn.lock": "" }), "npm run dev", "nothing above the project");
  for (const odd of ["{", "[]", '{ "packageManager": 3 }', '{ "packageManager": "toString@1" }']) {
    assertEquals(command({ "/shop/package.json": odd, "/shop/pnpm-lock.yaml": "" }), "pnpm run dev");
  }
  const both = look({
    "/shop/deno.json": '{ "tasks": { "dev": "x", "start": { "command": "y" }, "odd": 3 } }',
    "/shop/package.json": scripts,
  })!;
  assertEquals([...both.scripts].map(([name, { command, file }]) => [name, command[0], file]), [
    ["dev", "npm", "package.json"],
    ["start", "deno", "deno.json"],
  ]);
  assertEquals(look({}), null);
  assertEquals(look({ "/package.json": scripts }), null);
  assertEquals(look({ "/shop/package.json": "{" })?.broken, "/shop/package.json");
  assertEquals(look({ "/shop/package.json": '{ "scripts": [1] }' })?.scripts.size, 0);
});

Deno.test("the error for a missing package manager names the script that needs it, and nothing is started", async () => {
  await using sandbox = await Sandbox.create();
  writePackage(sandbox.project, { start: "touch served" }, { packageManager: "pnpm@9.0.0" });
  const path = { PATH: `${sandbox.project}/bin:/bin:/usr/bin` };
  if (exists("/usr/bin/pnpm")) return; // it is not missing here
  const command = sandbox.commandLine(["run", "--", "true"]);
  const { code, stderr } = await sandbox.shell(command, { env: path });
  assertEquals(code, 127);
  assertStringIncludes(
    stderr,
    'Cannot find "pnpm": no such command on PATH; it runs the script "start" of package.json',
  );
  // The stand-in for the package manager is called like the real one.
  Deno.mkdirSync(`${sandbox.project}/bin`);
  const standIn = `#!/bin/sh\necho "$@" >called\nexec ${serve()}\n`;
  Deno.writeTextFileSync(`${sandbox.project}/bin/pnpm`, standIn, { mode: 0o755 });
  const ran = await sandbox.shell(sandbox.commandLine(["run", "--port", "0", "--", "cat", "called"]), { env: path });
  assertEquals([ran.code, ran.stdout], [0, "run start\n"], ran.stderr);
});

costly("a test given as one word is a program, a script, or a line for the shell", async () => {
  await using sandbox = await Sandbox.create();
  writePackage(sandbox.project, { test: "echo the script; exit 4" });
  const npm = standIn(sandbox);
  const run = (...test: string[]) => sandbox.run(["run", "--serve", serve(), "--port", "0", "--", ...test], npm);
  const script = await run("test");
  assertEquals(script.code, 4, script.stderr);
  assertStringIncludes(script.stderr, 'running the script "test" of package.json: npm run test\n');
  assertStringIncludes(script.stdout, "the script\n");
  const line = await run('echo "$PORT" | grep -q . && echo {port} && false || exit 5');
  assertEquals(line.code, 5, line.stderr);
  assertMatch(line.stdout, /^\d+\n$/);
  assertEquals((await run("true")).code, 0);
  assertEquals((await run("no-such-test")).code, 127);
  Deno.writeTextFileSync(`${sandbox.project}/my test`, "#!/bin/sh\nexit 6\n", { mode: 0o755 });
  assertEquals((await run("./my test")).code, 6);
});

costly("several --serve start in order, each with the addresses of the earlier ones, and stop in reverse", async () => {
  await using sandbox = await Sandbox.create();
  const [first, second] = [freePort(), freePort()];
  const npm = standIn(sandbox);
  writePackage(sandbox.project, {
    "start:api": serve(`port=${first}`),
    "start:web": `echo api is $TOMBSTONE_API_PORT; exec ${serve(`port=${second}`)}`,
  });
  const both = ["--serve", "start:api", "--serve", "start:web"];
  const test = 'test "$TOMBSTONE_API_PORT $TOMBSTONE_WEB_PORT" = "$0" && test -z "$TOMBSTONE_URL"';
  const ran = await sandbox.run(
    ["run", ...both, "--show-log", "always", "--", "sh", "-c", test, `${first} ${second}`],
    npm,
  );
  assertEquals(ran.code, 0, ran.stderr);
  assertStringIncludes(ran.stderr, `  | api is ${first}\n`);
  const steps = [...ran.stderr.matchAll(/^(started|stopped) "(\w+)"/gm)].map(([, what, node]) => `${what} ${node}`);
  assertEquals(steps, ["started api", "started web", "stopped web", "stopped api"]);

  const named = await sandbox.json(["run", "one", "two", ...both, "--", "true"], npm);
  assertEquals(
    named.nodes.map(({ node, port, stopped }: { node: string; port: number; stopped: boolean }) => [
      node,
      port,
      stopped,
    ]),
    [["one", first, true], ["two", second, true]],
  );
  const lines = await sandbox.json(["run", "--serve", serve(), "--serve", serve(), "--port", "0", "--", "true"]);
  assertEquals(lines.nodes.map(({ node }: { node: string }) => node), ["project", "project-2"]);
  assert(lines.nodes[0].port !== lines.nodes[1].port);
  const failed = await sandbox.json(["run", "--serve", "start:api", "--serve", "echo no; exit 3", "--", "true"], {
    ...npm,
    code: 1,
  });
  assertStringIncludes(failed.error.message, "the server exited with code 3");
  assertEquals(sandbox.processes(), []);
});

Deno.test("a run killed between two servers: the next sweep ends the one that runs and the one that was starting", async () => {
  await using sandbox = await Sandbox.create();
  const second = "touch begun; exec sleep 600";
  const run = ["run", "api", "web", "--port", "0", "--serve", serve(), "--serve", second, "--", "touch", "tested"];
  const child = sandbox.spawn(run);
  await until("the second one starts", () => exists(`${sandbox.project}/begun`));
  child.kill("SIGKILL");
  await child.output();
  const { nodes } = await sandbox.json(["sweep"]);
  assertEquals(
    nodes.map(({ node, recovered: { reason, progress } }: Document) => [node, reason, progress]),
    [["api", "interrupted-run", "committed"], ["web", "interrupted-start", "spawned"]],
  );
  assertEquals(sandbox.processes(), []);
  assertEquals([...sandbox.runtimeFiles("api"), ...sandbox.runtimeFiles("web")], []);
  assertEquals(exists(`${sandbox.project}/tested`), false);
});

Deno.test("flags that several servers cannot share are refused, and so are too few names", async () => {
  await using sandbox = await Sandbox.create();
  const both = ["--serve", "true a", "--serve", "true b"];
  const refused = async (args: string[], message: string, hint: string) => {
    const { error } = await sandbox.json(["run", ...args, ...both, "--", "true"], { code: 2 });
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.hint, hint);
  };
  await refused(["--port", "3000"], "Cannot use --port 3000 with several --serve", "--port 3000+");
  await refused(["--pid-file", "x"], "Cannot use --pid-file x with several --serve", "tombstone init");
  await refused(["web"], 'Cannot use the name "web": 2 servers take 2 different names, or none', "NODE1 NODE2 --serve");
  await refused(["web", "web"], 'Cannot use the name "web"', "NODE1 NODE2");
  assert(!exists(sandbox.state));
});

costly(
  "when the test fails, run shows the end of the server's log; --show-log always and never change that",
  async () => {
    await using sandbox = await Sandbox.create();
    const run = (test: string, ...flags: string[]) => [
      ...["run", "web", "--serve", `echo the cause; exec ${serve()}`, "--port", "0", ...flags],
      ...["--", "sh", "-c", test],
    ];
    const shown = 'the last lines of the log of "web":\n  | the cause\n';
    const cases: [string, string[], boolean][] = [
      ["kill -9 $$", [], true],
      ["exit 0", [], false],
      ["exit 0", ["--show-log", "always"], true],
      ["exit 3", ["--show-log", "never"], false],
      ["exit 3", ["--quiet"], false],
    ];
    for (const [test, flags, isShown] of cases) {
      const { stderr } = await sandbox.run(run(test, ...flags));
      assertEquals(stderr.includes(shown), isShown, `${test} ${flags}: ${stderr}`);
    }
    // It is taken before the stop, so that it does not include the server's last messages.
    const { stderr } = await sandbox.run(run("exit 3"));
    assert(stderr.indexOf(shown) < stderr.indexOf('stopped "web"'));
    assertEquals((await sandbox.json(run("exit 3"), { code: 3 })).log_tail, ["the cause"]);
    assertEquals((await sandbox.json(run("exit 0"))).log_tail, []);
    const wrong = await sandbox.json(run("exit 0", "--show-log", "yes"), { code: 2 });
    assertEquals(
      [wrong.error.message, wrong.error.hint],
      ['Cannot use "yes" for --show-log: expected always, failure, never', "--show-log failure"],
    );
  },
);

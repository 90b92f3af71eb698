/** The commands in messages help when typed in the situation that printed them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COMMAND, fixture, freePort, killPid, type Ran, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** The first command in a text. */
function commandIn(text: string): string {
  const [, command] = /(tombstone (?:'[^']*'|[^',;?\n])+?)(?=, | shows| ends|;|\?|\)|\n|$)/.exec(text) ?? [];
  assert(command !== undefined, `no command in: ${text}`);
  return command!;
}

/** Types it where the test's calls are made. */
async function type(sandbox: Sandbox, text: string, env: Record<string, string> = {}): Promise<Ran> {
  const command = commandIn(text).replace(/^tombstone/, COMMAND.map(sandbox.quote).join(" "));
  return await sandbox.shell(command, { env });
}

costly("commands in messages have the workspace and the state directory of the call", async () => {
  await using sandbox = await Sandbox.create();
  const state = `${sandbox.root}/another place`;
  const at = ["--workspace", "shop.v1", "--state-dir", state];
  const run = (words: string[]) => sandbox.run([...at, ...words]);
  const failed = await run(["start", "bad.1", "--", "sh", "-c", "echo why >&2; exit 1"]);
  assertStringIncludes(failed.stderr, `hint: tombstone logs --workspace shop.v1 --state-dir '${state}' bad.1\n`);
  const logs = await type(sandbox, failed.stderr);
  assertEquals([logs.code, logs.stdout], [0, "why\n"]);

  const port = freePort();
  assertEquals((await run(["start", "web", "--port", String(port), "--", ...fixture()])).code, 0);
  const taken = await run(["start", "api", "--port", String(port), "--", ...fixture()]);
  assertEquals(taken.code, 5);
  const kept = await run(["forget", "web"]);
  assertEquals(kept.code, 1);
  for (const text of [taken.stderr, kept.stdout]) {
    const stopped = await type(sandbox, text);
    assertStringIncludes(stopped.stdout, 'stopped "web"', text);
    assertEquals((await run(["start", "web"])).code, 0);
  }
  const { pid } = JSON.parse((await run(["status", "web", "--json"])).stdout);
  killPid(pid);
  await until("it has died", async () => (await run(["status", "web"])).code === 1);
  const waited = await run(["wait", "web", "--timeout", "0"]);
  assertStringIncludes(waited.stderr, 'Cannot wait for "web": it has died');
  const checked = await run(["doctor"]);
  assertStringIncludes((await type(sandbox, checked.stdout.split("hint: ")[1]!)).stdout, 'recovered "web"');
  assertStringIncludes((await type(sandbox, waited.stderr.split("hint: ")[1]!)).stdout, 'started "web"');

  const loud = ["sh", "-c", "seq 300; exec sleep 600"];
  assertEquals((await run(["start", "loud", "--log", "300", "--", ...loud])).code, 0);
  const some = await run(["logs", "loud"]);
  assertEquals((await type(sandbox, some.stderr.split("left out; ")[1]!)).stdout.split("\n").length, 301);
  const document = JSON.parse((await run(["restart", "nobody", "--json"])).stdout);
  assertStringIncludes(document.error.hint, `--workspace shop.v1 --state-dir '${state}' nobody -- COMMAND`);
  assertEquals((await run(["stop"])).code, 0);
});

Deno.test("for an unknown name, the hint has the nearest node and the command for a new one, even if nodes are only recorded", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--no-probe", "--", "sleep", "600"]);
  for (const [command, code] of [["start", 2], ["restart", 3], ["env", 3], ["logs", 3]] as const) {
    const { error } = await sandbox.json([command, "wbe"], { code });
    assertStringIncludes(error.hint, 'did you mean "web"? A new node: tombstone start wbe -- COMMAND', command);
  }
});

costly("a node that was started before, or is described, needs only its name: the hint has no COMMAND", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "db", "--no-probe", "--", "sleep", "600"]);
  await sandbox.json(["stop", "db"]);
  const nodes = { web: { command: fixture(), port: 0 } };
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
  for (const node of ["db", "web"]) {
    const hints = [
      (await sandbox.json(["wait", node, "--timeout", "0"], { code: 124 })).error.hint,
      ...(node === "web" ? [(await sandbox.json(["logs", node], { code: 3 })).error.hint] : []),
    ];
    for (const hint of hints) {
      assertEquals(commandIn(hint), `tombstone start ${node}`);
      assertStringIncludes((await type(sandbox, hint)).stdout, `started "${node}"`);
      await sandbox.json(["stop", node]);
    }
  }
});

Deno.test("a flag that needs a command is refused with the recorded command in the hint", async () => {
  await using sandbox = await Sandbox.create();
  const [first, second] = [freePort(), freePort()];
  Deno.mkdirSync(`${sandbox.project}/a b`);
  await sandbox.json(["start", "web", "--cwd", "a b", "--port", String(first), "--", ...fixture()]);
  await sandbox.json(["stop"]);
  const { error } = await sandbox.json(["start", "--port", String(second)], { code: 2 });
  assertStringIncludes(error.message, 'Cannot use --port without a command: "web" starts as');
  assertStringIncludes((await type(sandbox, error.hint)).stdout, `:${second} in `);
  assertEquals((await sandbox.json(["status", "web"])).cwd, `${sandbox.project}/a b`);
});

Deno.test("a start of a running node needs no values of its variables; a new start names them", async () => {
  await using sandbox = await Sandbox.create();
  const { pid } = await sandbox.json(["start", "web", "--port", "0", "--env", "TOKEN=a", "--", ...fixture()]);
  const joined = await sandbox.json(["start", "web"]);
  assertEquals([joined.pid, joined.started, joined.differs], [pid, false, []]);
  const { error } = await sandbox.json(["start", "web", "--replace"], { code: 2 });
  assertEquals(error.hint, "tombstone start web --replace --env TOKEN=VALUE");
  const replaced = await type(sandbox, error.hint);
  assertStringIncludes(replaced.stdout, 'started "web"');
  const environ = Deno.readTextFileSync(`/proc/${(await sandbox.json(["status", "web"])).pid}/environ`).split("\0");
  assert(environ.includes("TOKEN=VALUE"));
});

Deno.test("a node that is not ready is restarted by the hint", async () => {
  await using sandbox = await Sandbox.create();
  const ready = `${sandbox.project}/ready`;
  Deno.writeTextFileSync(ready, "");
  const start = ["start", "web", "--exec", "test -e ready", "--", "sleep", "600"];
  const { pid } = await sandbox.json(start);
  Deno.removeSync(ready);
  const { error } = await sandbox.json([...start.slice(0, 2), "--timeout", "200ms"], { code: 124 });
  Deno.writeTextFileSync(ready, "");
  assertStringIncludes((await type(sandbox, error.hint)).stdout, 'started "web"');
  assert((await sandbox.json(["status", "web"])).pid !== pid);
});

Deno.test("env distinguishes a node that runs without a port from one that does not run", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "job", "--no-probe", "--", "sleep", "600"]);
  assertStringIncludes((await sandbox.json(["env", "job"], { code: 3 })).error.message, "it runs without a port");
  await sandbox.json(["stop"]);
  const { error } = await sandbox.json(["env", "job"], { code: 3 });
  assertStringIncludes(error.message, "it does not run, and no port is set for it");
  assertStringIncludes((await type(sandbox, error.hint)).stdout, 'started "job"');
});

Deno.test("the error for a port that does not become free names the node that has it, and a command that stops it from anywhere", async () => {
  await using sandbox = await Sandbox.create();
  const state = `${sandbox.root}/other state`;
  const port = freePort();
  Deno.mkdirSync(`${sandbox.root}/web`); // even if the node has the name of this directory
  const cwd = `${sandbox.root}/web`;
  await sandbox.json(["--state-dir", state, "start", "web", "--port", String(port), "--", ...fixture()], { cwd });
  const wait = ["--state-dir", state, "wait", "--port", String(port), "--gone"];
  const { error } = await sandbox.json([...wait, "--timeout", "0"], { code: 124, cwd });
  assertStringIncludes(error.message, `, "web" of ${cwd}, pid `);
  assertStringIncludes((await type(sandbox, error.hint)).stdout, 'stopped "web"');
  assertEquals((await sandbox.run(wait)).code, 0);
});

Deno.test("run: the hint has the servers that were typed; for an unknown test command it has the nearest script", async () => {
  await using sandbox = await Sandbox.create();
  const none = await sandbox.json(["run", "web", "--no-probe", "--serve", "sleep 600"], { code: 2 });
  assertEquals(none.error.hint, "tombstone run web --serve 'sleep 600' -- TEST [ARG...]");
  const unknown = ["run", "--no-probe", "--serve", "sleep 600", "--", "tesst"];
  const bare = await sandbox.json(unknown, { code: 127 });
  assertEquals(bare.error.hint, "install it, or give its full path after --");
  Deno.writeTextFileSync(`${sandbox.project}/package.json`, JSON.stringify({ scripts: { test: "true" } }));
  const near = await sandbox.json(unknown, { code: 127 });
  assertStringIncludes(near.error.hint, 'did you mean the script "test"?');
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes: { web: { command: "x" } } }));
  const refused = await sandbox.json(["run", "--port", "1", "--", "true"], { code: 2 });
  assertEquals(refused.error.hint, 'describe it there, or tombstone run --port 1 --serve "COMMAND" -- TEST [ARG...]');
});

Deno.test("in a described project, the nearest name may be a recorded node's", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "worker", "--no-probe", "--", "sleep", "600"]);
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes: { db: { command: "x" } } }));
  for (const command of ["start", "restart"]) {
    const { error } = await sandbox.json([command, "wroker"], { code: 2 });
    assertStringIncludes(error.hint, 'did you mean "worker"?');
  }
});

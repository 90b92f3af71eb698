/** Names of nodes, and flags before the command. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fixture, Sandbox } from "./support/sandbox.ts";

Deno.test("status, sweep and stop take several names; a name that is neither described nor recorded gets a warning", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--no-probe", "--", "sleep", "600"]);
  await sandbox.json(["start", "db", "--no-probe", "--", "sleep", "600"]);
  const both = await sandbox.json(["status", "web", "db"]);
  assertEquals(both.nodes.map(({ node, state }: { node: string; state: string }) => [node, state]), [
    ["web", "running"],
    ["db", "running"],
  ]);
  for (const command of ["status", "sweep", "stop", "logs", "forget"]) {
    const one = await sandbox.run([command, "wbe"]);
    assertStringIncludes(one.stderr, 'warning: there is no node "wbe" (did you mean "web"?)\n', command);
    const known = await sandbox.run([command, "--help"]);
    assertStringIncludes(known.stdout, "[NODE...]");
  }
  const waited = await sandbox.run(["wait", "wbe", "--timeout", "0"]);
  assertStringIncludes(waited.stderr, 'there is no node "wbe" (did you mean "web"?)');
  const swept = await sandbox.json(["sweep", "web", "db", "web"]);
  assertEquals(swept.nodes.map(({ node, action }: { node: string; action: string }) => [node, action]), [
    ["web", "running"],
    ["db", "running"],
  ]);
  await sandbox.json(["stop", "db"]);
  const named = await sandbox.run(["status", "web", "db"]);
  assertEquals([named.code, named.stderr], [3, ""]); // a named node counts, even one that was stopped on purpose
});

Deno.test("a described node that was never started gets no warning; a mistake in the file does not affect a recorded one", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(
    `${sandbox.project}/tombstone.json`,
    JSON.stringify({ nodes: { web: { command: fixture(), port: 0 } } }),
  );
  assertEquals((await sandbox.run(["stop", "web"])).stderr, "");
  assertEquals((await sandbox.run(["status", "web"])).stderr, "");
  await sandbox.json(["start", "db", "--no-probe", "--", "sleep", "600"]);
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, "{");
  assertEquals((await sandbox.run(["stop", "db"])).stderr, "");
});

Deno.test("flags of every command may stand before the command", async () => {
  await using sandbox = await Sandbox.create();
  const status = await sandbox.run(["--json", "--workspace", "other", "status"]);
  assertEquals([status.code, JSON.parse(status.stdout)], [3, { nodes: [] }]);
  const started = await sandbox.run(["--workspace=other", "-q", "start", "web", "--no-probe", "--", "sleep", "600"]);
  assertEquals([started.code, started.stdout, started.stderr], [0, "", ""]);
  assertEquals((await sandbox.json(["status", "web", "--workspace", "other"])).workspace, "other");
  await sandbox.json(["stop", "--workspace", "other"]);
  const version = await sandbox.run(["--json", "--version"]);
  assertEquals(Object.keys(JSON.parse(version.stdout)), ["version"]);
  for (const words of [["help", "stop"], ["--help", "stop"], ["stop", "--help"]]) {
    assertStringIncludes((await sandbox.run(words)).stdout, "usage: tombstone stop");
  }
});

Deno.test("other flags before the command, missing values and values of switches are refused", async () => {
  await using sandbox = await Sandbox.create();
  const cases: [string[], string][] = [
    [["--port", "3000", "start"], 'Cannot use "--port" before the command: only --state-dir'],
    [["--workspace"], "Cannot use --workspace: its value NAME is missing"],
    [["list", "--json=true"], "Cannot use --json=true: --json takes no value"],
    [["stop", "--all=false"], "Cannot use --all=false: --all takes no value"],
  ];
  for (const [words, message] of cases) {
    const { code, stderr } = await sandbox.run(words);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, message);
  }
});

/** Bad input: a clear error, the right exit code, and nothing lost. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Sandbox } from "./support/sandbox.ts";

/** Wrong calls: arguments, exit code, part of the message, part of the hint. */
const WRONG: [string[], number, string, string][] = [
  [["start", "web"], 2, 'Cannot start "web": no command after --', "tombstone start web -- COMMAND"],
  [["start", "npm", "run", "dev"], 2, "no command after --", "tombstone start -- npm run dev"],
  [["start", "web", "--"], 2, 'Cannot start "web": no command after --', "tombstone start web -- COMMAND"],
  [["start", "--", ""], 2, "the command is empty", "-- COMMAND"],
  [["start", "--", "no-such-command"], 127, 'Cannot find "no-such-command": no such command on PATH', "--env PATH="],
  [["start", "--", "./no/such"], 127, 'Cannot find "./no/such": no such file', "full path"],
  [["start", "--", "./plain.txt"], 126, 'Cannot execute "./plain.txt": it is not an executable file', "chmod +x"],
  [["start", "--", "."], 127, "Cannot find", "full path"],
  [["start", "--", "./"], 126, 'Cannot execute "./"', "chmod +x"],
  [["start", "--", "./orphan.sh"], 127, 'its interpreter "/no/such/interpreter" is missing', "first line"],
  [["start", "--cwd", "missing", "--", "true"], 2, "for --cwd: no such directory", "existing directory"],
  [["start", "--cwd", "plain.txt", "--", "true"], 2, "for --cwd: no such directory", "existing directory"],
  [
    ["start", "--port", "65536", "--", "true"],
    2,
    'Cannot use "65536" for --port: expected a port from 0 to 65535',
    "--port 3000",
  ],
  [["start", "--port=-1", "--", "true"], 2, 'Cannot use "-1" for --port', "--port 3000"],
  [["start", "--port", "80a", "--", "true"], 2, 'Cannot use "80a" for --port', "--port 3000"],
  [
    ["start", "--port", "0.0.0.0:8080", "--", "true"],
    2,
    'Cannot use "0.0.0.0:8080" for --port: it names a host',
    "--port 8080 --host 0.0.0.0",
  ],
  [
    ["start", "--port", "http://localhost:3000/up", "--", "true"],
    2,
    "for --port: it is a URL",
    "--port 3000 --http http://localhost:3000/up",
  ],
  [["start", "--port", "http-get://localhost:8080", "--", "true"], 2, "it is a URL", "--http http://localhost:8080/"],
  [["start", "--port", "tcp:8080", "--", "true"], 2, "for --port: it has a prefix", "hint: --port 8080"],
  [["start", "--port", "tcp://localhost:8080", "--", "true"], 2, "for --port: it has a prefix", "hint: --port 8080"],
  [["start", "--port", "*:80", "--", "true"], 2, "expected the port alone", "hint: --port 80"],
  [["start", "--port", "localhost:x", "--", "true"], 2, 'Cannot use "localhost:x" for --port', "--port 3000"],
  [["start", "--port", "--", "true"], 2, "Cannot use --port: its value N is missing", "--port=N"],
  [["start", "--port", "1", "--port", "2", "--", "true"], 2, "Cannot use --port twice", "tombstone start"],
  [["start", "a/b", "--", "true"], 2, 'Cannot use "a/b" as the name of a node', "letter or digit"],
  [
    ["start", "workspace.json", "--", "true"],
    2,
    'Cannot use "workspace.json" as the name of a node',
    "letter or digit",
  ],
  [["start", "..", "--", "true"], 2, 'Cannot use ".." as the name of a node', "letter or digit"],
  [["start", ".hidden", "--", "true"], 2, 'Cannot use ".hidden" as the name of a node', "letter or digit"],
  [["start", "x".repeat(65), "--", "true"], 2, "as the name of a node", "letter or digit"],
  [["start", "--workspace", "../up", "--", "true"], 2, 'Cannot use "../up" as the name of a workspace', "--workspace"],
  [["start", "a", "b", "--", "true"], 2, 'Cannot use the argument "b"', "the server's command comes after --"],
  [["start", "--prot", "1", "--", "true"], 2, "Cannot use --prot: start has no such flag", "did you mean --port?"],
  [["start", "-x", "--", "true"], 2, "Cannot use -x: start has no such flag", "tombstone start --help"],
  [
    ["start", "--timeout", "soon", "--", "true"],
    2,
    'Cannot use "soon" for --timeout: expected a duration',
    "--timeout 30s",
  ],
  [["start", "--timeout", "5d", "--", "true"], 2, 'Cannot use "5d" for --timeout', "30s"],
  [["start", "--lock-timeout", "1e9999", "--", "true"], 2, "for --lock-timeout", "30s"],
  [
    ["start", "--env", "NOVALUE", "--", "true"],
    2,
    'Cannot use "NOVALUE" for --env: expected NAME=VALUE',
    "--env NODE_ENV=test",
  ],
  [["start", "--env", "1X=2", "--", "true"], 2, "expected NAME=VALUE", "--env"],
  [["start", "--env", "=hunter2", "--", "true"], 2, 'Cannot use "=…" for --env: expected NAME=VALUE', "--env"],
  [
    ["start", "--host", "a\npid=1", "--", "true"],
    2,
    'Cannot use "a\\npid=1" for --host: expected a host name',
    "--host",
  ],
  [["start", "--host", "a b", "--", "true"], 2, 'Cannot use "a b" for --host', "--host 127.0.0.1"],
  [["start", "--stop-signal", "NOPE", "--", "true"], 2, 'Cannot use "NOPE" for --stop-signal', "--stop-signal INT"],
  [["start", "--sweep-file", ".", "--", "true"], 2, "for --sweep-file: it is a directory", "--sweep-file FILE"],
  [
    ["start", "--port-file", "large.txt", "--", "true"],
    2,
    "for --port-file: it exists and is 5000 bytes long",
    "--port-file",
  ],
  [["start", "--no-probe", "--port-file", "p", "--", "true"], 2, "--no-probe with --port-file", "leave one"],
  [["stop", "--", "x"], 2, 'Cannot use "--": stop takes no command', "tombstone stop"],
  [["stop", "web", "--all"], 2, "--all with names", "stop --all"],
  [["list", "a"], 2, 'Cannot use the argument "a": list takes none', "tombstone list"],
  [["list", "x"], 2, 'Cannot use the argument "x"', "tombstone list"],
  [["logs", "-n", "many"], 2, 'Cannot use "many" for --lines', "20"],
  [["logs", "-f", "--previous"], 2, "--follow with --previous", "--previous"],
  [["sweep", "--dry"], 2, "sweep has no such flag", "did you mean --dry-run?"],
  [["strat"], 2, 'Cannot run "strat": no such command', "tombstone start --help"],
];

Deno.test("wrong calls: one line that names the thing, one hint, the right exit code, and no state", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(`${sandbox.project}/plain.txt`, "text");
  Deno.writeTextFileSync(`${sandbox.project}/large.txt`, "x".repeat(5000));
  Deno.writeTextFileSync(`${sandbox.project}/orphan.sh`, "#!/no/such/interpreter\n", { mode: 0o755 });
  await Promise.all(WRONG.map(async ([args, code, message, hint]) => {
    const ran = await sandbox.run(args);
    const what = args.join(" ");
    assertEquals(ran.code, code, `${what}: ${ran.stderr}`);
    assertEquals(ran.stdout, "", what);
    const lines = ran.stderr.split("\n");
    assertEquals(lines.length, 3, `${what}: ${ran.stderr}`);
    assertMatch(lines[0]!, /^Cannot /);
    assertStringIncludes(lines[0]!, message, what);
    assert(!lines[0]!.endsWith("."));
    assertMatch(lines[1]!, /^hint: /);
    assertStringIncludes(lines[0]! + lines[1], hint, what);
    assert(!ran.stderr.includes("hunter2"), what);
  }));
  assertEquals([...Deno.readDirSync(sandbox.root)].map((entry) => entry.name), ["project"]);
});

Deno.test("run: npm's script of the test is looked for before a server is started", async () => {
  await using sandbox = await Sandbox.create();
  const scripts = { dev: "sleep 60", check: "true" };
  Deno.writeTextFileSync(`${sandbox.project}/package.json`, JSON.stringify({ scripts }));
  for (const test of [["npm", "test"], ["npm", "run", "chek"]]) {
    const ran = await sandbox.run(["run", "--serve", "touch started; sleep 60", "--no-probe", "--", ...test]);
    assertEquals(ran.code, 2, ran.stderr);
    assertMatch(ran.stderr, /^Cannot run "npm (test|run chek)": ".*package.json" has no script "(test|chek)"\nhint: /);
    assertStringIncludes(ran.stderr, "or run one of dev, check");
  }
  assertEquals([...Deno.readDirSync(sandbox.root)].map((entry) => entry.name), ["project"]);
  assertEquals([...Deno.readDirSync(sandbox.project)].map((entry) => entry.name), ["package.json"]);
});

Deno.test("init --agents says that a directory is in the way, and how to move it", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/AGENTS.md`);
  const ran = await sandbox.run(["init", "--agents"]);
  assertEquals(ran.code, 2);
  assertMatch(
    ran.stderr,
    /^Cannot write ".*AGENTS.md": it is a directory\nhint: mv ".*AGENTS.md" ".*AGENTS.md.old"\n$/,
  );
});

Deno.test("a directory called tombstone.json is named, and the hint moves it out of the way", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/tombstone.json`);
  const ran = await sandbox.run(["start"]);
  assertEquals(ran.code, 2);
  assertMatch(ran.stderr, /^Cannot use ".*tombstone.json": it is not a file\nhint: mv ".*json" ".*json.old"\n$/);
});

Deno.test("with --json an error is one document on stdout, with the same exit code", async () => {
  await using sandbox = await Sandbox.create();
  const ran = await sandbox.run(["start", "web", "--json", "--port", "x", "--", "true"]);
  assertEquals(ran.code, 2);
  assertEquals(JSON.parse(ran.stdout).error, {
    kind: "usage",
    message:
      'Cannot use "x" for --port: expected a port from 0 to 65535 (0 picks a free one), or 3000+ for 3000 or the next free one',
    hint: "--port 3000",
    exit_code: 2,
  });
});

Deno.test("a server's own arguments are never parsed", async () => {
  await using sandbox = await Sandbox.create();
  const odd = ["--json", "--port", "x", "--", "--help", "-q", "a b", "007", "$HOME", "*", "", "new\nline", "'\""];
  const shell = ["start", "web", "--no-probe", "--", "sh", "-c"];
  await sandbox.json([
    ...shell,
    'printf "<%s>\\n" "$@"; exec sleep 600',
    "sh",
    ...odd,
  ]);
  const { lines } = await sandbox.json(["logs", "web"]);
  assertEquals(lines.join("\n"), odd.map((word) => `<${word}>`).join("\n"));
});

Deno.test("a command that only exec finds fault with exits 126", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeFileSync(`${sandbox.project}/broken`, new TextEncoder().encode("\x7fELF broken"), { mode: 0o755 });
  const { error } = await sandbox.json(["start", "web", "--no-probe", "--alive-for", "30s", "--", "./broken"], {
    code: 126,
  });
  assertEquals(error.kind, "command-not-executable");
  assertEquals(error.message, 'Cannot start "web": "./broken" could not be executed');
  assertStringIncludes(error.log_tail.join("\n"), "broken");
  assertEquals(sandbox.processes(), []);
});

Deno.test("an unusable file of the user: the hint is about that file, not about --state-dir", async () => {
  await using sandbox = await Sandbox.create();
  const file = `${sandbox.project}/tombstone.json`;
  Deno.symlinkSync("tombstone.json", file);
  const { error } = await sandbox.json(["start"], { code: 4 });
  assertEquals([error.message, error.hint], [`Cannot read "${file}": too many symbolic links`, `ls -ld "${file}"`]);
  Deno.removeSync(file);
  Deno.writeTextFileSync(file, JSON.stringify({ nodes: { web: { command: "true" } } }));
  const exported = await sandbox.json(["export", "systemd", "--output", `${file}/units`], { code: 4 });
  assertStringIncludes(exported.error.message, "a part of the path is not a directory");
  assert(exported.error.hint.startsWith(`ls -ld "${file}/units/`), exported.error.hint);
});

Deno.test("an unsafe or unusable state directory is refused with exit 4, and nothing in it changes", async () => {
  await using sandbox = await Sandbox.create();
  const start = (dir: string) => sandbox.run(["start", "--no-probe", "--state-dir", dir, "--", "sleep", "600"]);
  const file = `${sandbox.root}/file`;
  Deno.writeTextFileSync(file, "");
  const world = `${sandbox.root}/world`;
  Deno.mkdirSync(world);
  Deno.chmodSync(world, 0o777);
  const cases: [string, string][] = [
    [file, "it is not a directory"],
    [`${file}/below`, "a part of the path is not a directory"],
    [world, "it is writable by others (mode 0777)"],
    ["/proc/tombstone", "no such file or directory"],
  ];
  if (Deno.uid() === 0) {
    const other = `${sandbox.root}/other`;
    Deno.mkdirSync(other);
    Deno.chownSync(other, 65534, 65534);
    cases.push([other, "it belongs to user 65534, not to you (0)"]);
  }
  for (const [dir, message] of cases) {
    for (const command of [await start(dir), await sandbox.run(["status", "node", "--state-dir", dir])]) {
      if (command.code === 3) continue; // no directory at all: stopped
      assertEquals(command.code, 4, command.stderr);
      assertStringIncludes(command.stderr, message);
      assertStringIncludes(command.stderr, "\nhint: ");
    }
    assertEquals((await start(dir)).code, 4);
  }
  assertEquals([...Deno.readDirSync(world)], []);
  assertEquals(sandbox.processes(), []);
});

Deno.test("a tombstone.json that is no JSON: the place of the mistake is told, and nothing of what stands there", async () => {
  await using sandbox = await Sandbox.create();
  const cases = [
    ['{\n  "nodes": { "web": { "env": { "PASSWORD": hunter2 } } }\n}', "line 2, column 44"],
    ['{ "nodes": { "web": { "env": { "PASSWORD": "hunter2 } } } }', "line 1, column 44"],
    ['{ "nodes": { "web": { "env": { "PASSWORD": "hunter2",, } } } }', "line 1, column 54"],
    ['{ "nodes": {} } "hunter2"', "line 1, column 17"],
    ['{ "nodes": ["hunter2" ', "line 1, column 23"],
    ["hunter2", "line 1, column 1"],
  ];
  for (const [text, place] of cases) {
    Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, text!);
    const ran = await sandbox.run(["start"]);
    assertEquals(ran.code, 2, ran.stderr);
    assertStringIncludes(ran.stderr, `it is not valid JSON, see ${place}\nhint: `, text);
    assert(!ran.stderr.includes("hunter2"), ran.stderr);
  }
});

Deno.test("a file outside the state directory is not mended by --state-dir, so no hint says so", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(`${sandbox.project}/package.json`, '{ "scripts": { "dev": "x" } }');
  Deno.symlinkSync("tombstone.json", `${sandbox.project}/tombstone.json`);
  for (const args of [["start"], ["init"], ["export", "compose"]]) {
    const ran = await sandbox.run(args);
    assert(ran.code === 4 || args[0] === "init" && ran.code === 2, `${args}: ${ran.stderr}`);
    assertStringIncludes(ran.stderr, "\nhint: ");
    assert(!ran.stderr.includes("--state-dir"), ran.stderr);
  }
});

Deno.test("a flag that no other one is near to gets no suggestion, but the list of all", async () => {
  await using sandbox = await Sandbox.create();
  const hintOf = async (args: string[]) => (await sandbox.json(args, { code: 2 })).error.hint;
  assertEquals(await hintOf(["init", "--force"]), "all flags: tombstone init --help");
  assertEquals(await hintOf(["stop", "--watch"]), "all flags: tombstone stop --help");
  assertEquals(await hintOf(["logs", "-9"]), "all flags: tombstone logs --help");
  assertEquals(await hintOf(["start", "--prot", "1"]), "did you mean --port? All flags: tombstone start --help");
  assertEquals(await hintOf(["logs", "--log-lines", "1"]), "did you mean --lines? All flags: tombstone logs --help");
});

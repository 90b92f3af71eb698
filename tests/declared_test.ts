/** Declared files: what is swept, what is refused, and that no path can lock a node for ever. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists, fixture, isRunning, kill, ROOT, Sandbox, until } from "./support/sandbox.ts";
import { costly, inTurn } from "./support/tier.ts";

const SERVER = ["--no-probe", "--alive-for", "0", "--", "sleep", "600"];
const isRoot = Deno.uid() === 0;

/** Flags of setpriv(1) by which root is bound to the rights of files like everybody. */
const WITHOUT_OVERRIDE = ["--bounding-set=-dac_override,-dac_read_search"];

/** Puts something in a place, and what `--port-file`, `--pid-file`, `--sweep-file` and `--unix` say to it. */
interface Thing {
  name: string;
  put: (path: string, elsewhere: string) => void | Promise<void>;
  /** Part of the refusal for a number, a leftover and a socket; `null`: it is taken, and swept. */
  number: string | null;
  leftover: string | null;
  socket: string | null;
}

const document = '{ "name": "shop" }\n';

const THINGS: Thing[] = [
  {
    name: "a document",
    put: (path) => Deno.writeTextFileSync(path, document),
    number: "does not hold a number",
    leftover: null,
    socket: "is not a socket",
  },
  {
    name: "three lines",
    put: (path) => Deno.writeTextFileSync(path, "1\n2\n3\n"),
    number: "does not hold a number",
    leftover: null,
    socket: "is not a socket",
  },
  {
    name: "an empty file",
    put: (path) => Deno.writeTextFileSync(path, ""),
    number: null,
    leftover: null,
    socket: "is not a socket",
  },
  {
    name: "a number",
    put: (path) => Deno.writeTextFileSync(path, "4711\n"),
    number: null,
    leftover: null,
    socket: "is not a socket",
  },
  {
    name: "a number and a nonce",
    put: (path) => Deno.writeTextFileSync(path, "3000\nc0ffee\n"),
    number: null,
    leftover: null,
    socket: "is not a socket",
  },
  {
    name: "an empty directory",
    put: (path) => Deno.mkdirSync(path),
    number: "it is a directory",
    leftover: "it is a directory",
    socket: "it is a directory",
  },
  {
    name: "a FIFO",
    put: async (path) => void await new Deno.Command("mkfifo", { args: [path] }).output(),
    number: "it is a FIFO",
    leftover: "it is a FIFO",
    socket: "it is a FIFO",
  },
  {
    name: "a link to a file",
    put: (path, elsewhere) => Deno.symlinkSync(elsewhere, path),
    number: "it is a symbolic link",
    leftover: null,
    socket: "it is a symbolic link",
  },
  {
    name: "a link to a directory",
    put: (path) => Deno.symlinkSync(".", path),
    number: "it is a symbolic link",
    leftover: "it is a symbolic link to a directory",
    socket: "it is a symbolic link",
  },
  {
    name: "a dead socket",
    put: (path) => {
      using _listener = Deno.listen({ transport: "unix", path: `${path}.own` }); // which removes its path in the end
      Deno.renameSync(`${path}.own`, path);
    },
    number: "it is not a regular file",
    leftover: null,
    socket: null,
  },
  ...isRoot
    ? [{
      name: "a device",
      put: async (path: string) => void await new Deno.Command("mknod", { args: [path, "c", "1", "3"] }).output(),
      number: "it is a device",
      leftover: "it is a device",
      socket: "it is a device",
    }]
    : [],
];

const FLAGS = [["--port-file", "number"], ["--pid-file", "number"], ["--sweep-file", "leftover"], [
  "--unix",
  "socket",
]] as const;

for (const [number, [flag, kind]] of FLAGS.entries()) {
  Deno.test(`what is in the place of a ${flag}: only what was declared is ever removed, the rest is refused before anything runs`, async () => {
    await using sandbox = await Sandbox.create();
    const elsewhere = `${sandbox.project}/elsewhere`;
    Deno.writeTextFileSync(elsewhere, document);
    const probe = flag === "--sweep-file" || flag === "--pid-file" ? ["--no-probe", "--alive-for", "0"] : [];
    const place = `${sandbox.project}/place`;
    // A start that is killed half-way remembers the place; what comes to stand there then meets a sweep.
    const start = ["start", "web", flag, "place", ...probe, "--", "sleep", "600"];
    for (const thing of inTurn(THINGS, 3, number)) {
      await thing.put(place, elsewhere);
      const refusal = thing[kind];
      if (refusal !== null) {
        const ran = await sandbox.run(start);
        assertEquals(ran.code, 2, `${thing.name}: ${ran.stderr}`);
        assertStringIncludes(ran.stderr, refusal, thing.name);
        assertStringIncludes(ran.stderr, `\nhint: ${flag} `, thing.name);
        assertEquals(sandbox.processes(), [], thing.name);
      }
      Deno.removeSync(place, { recursive: true });

      await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: "tombstone-written" } }).output();
      await thing.put(place, elsewhere);
      const swept = await sandbox.run(["sweep", "web"]);
      assertEquals(swept.code, 0, `${thing.name}: ${swept.stderr}`);
      assertEquals(exists(place), refusal !== null, `${thing.name}: ${swept.stderr}`);
      if (refusal !== null) assertStringIncludes(swept.stderr, `left "${place}" alone: `);
      assertEquals(sandbox.runtimeFiles("web"), [], thing.name);
      assertEquals(Deno.readTextFileSync(elsewhere), document, thing.name);
      if (refusal !== null) Deno.removeSync(place, { recursive: true });
    }
  });
}

Deno.test("a mistyped path is refused before there is state, in a flag, in tombstone.json and in the library", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(`${sandbox.project}/plain`, document);
  Deno.symlinkSync("loop", `${sandbox.project}/loop`);
  const wrong: [string, string][] = [
    ["plain/x", "a part of the path is not a directory"],
    ["x".repeat(300), "the name is too long"],
    ["loop/x", "too many symbolic links"],
    ["plain", "does not hold a number"],
    [".", "it is a directory"],
  ];
  for (const [number, [path, reason]] of wrong.entries()) {
    for (const flag of inTurn(["--port-file", "--pid-file", "--sweep-file", "--unix", "--file"], 3, number)) {
      const isTaken = path === "plain" && ["--sweep-file", "--file"].includes(flag) ||
        path === "." && flag === "--file";
      if (isTaken) continue;
      const ran = await sandbox.run(["start", "web", flag, path, "--", "sleep", "600"]);
      assertEquals(ran.code, 2, `${flag} ${path}: ${ran.stderr}`);
      assertStringIncludes(ran.stderr, `for ${flag}: `);
      assertStringIncludes(ran.stderr, flag === "--unix" && path === "plain" ? "is not a socket" : reason);
    }
    if (inTurn(wrong, 2).every(([each]) => each !== path)) continue;
    const described = { command: ["sleep", "600"], port_file: path };
    Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes: { web: described } }));
    const { error } = await sandbox.json(["start", "web"], { code: 2 });
    assertStringIncludes(error.message, `"port_file" of node "web" in tombstone.json: `);
    assertStringIncludes(error.message, reason);
    const program = `import { start } from "${ROOT}/lib/mod.ts";
      const error = await start({ command: "sleep 600", portFile: ${JSON.stringify(path)} }).catch((e) => e);
      console.log(error.exitCode, error.message);`;
    Deno.writeTextFileSync(`${sandbox.root}/program.ts`, program);
    const map = `--import-map=${ROOT}/npm_imports.json`;
    const ran = await sandbox.shell(`exec ${Deno.execPath()} run -A --no-check ${map} ${sandbox.root}/program.ts`);
    assertStringIncludes(ran.stdout, "2 Cannot use ", ran.stderr);
    assertStringIncludes(ran.stdout, reason);
  }
  Deno.removeSync(`${sandbox.project}/tombstone.json`);
  assertEquals(exists(sandbox.state), false);
});

costly("a declared place that goes wrong later keeps nobody from starting, stopping or sweeping the node", async () => {
  await using sandbox = await Sandbox.create();
  const spoil: [string, (dir: string) => void | Promise<void>][] = [
    ["its directory has become a file", (dir) => {
      Deno.removeSync(dir, { recursive: true });
      Deno.writeTextFileSync(dir, document);
    }],
    ["its directory has become a link to itself", (dir) => {
      Deno.removeSync(dir, { recursive: true });
      Deno.symlinkSync(dir, dir);
    }],
    ["its directory is gone", (dir) => Deno.removeSync(dir, { recursive: true })],
  ];
  const dir = `${sandbox.project}/run`;
  const flags = ["--port-file", "run/port", "--pid-file", "run/pid", "--sweep-file", "run/x", "--unix", "run/sock"];
  for (const [number, [what, change]] of spoil.entries()) {
    for (
      const command of inTurn([["start", "web", ...SERVER], ["stop", "web", "--force"], ["sweep", "web"]], 3, number)
    ) {
      Deno.mkdirSync(dir);
      await sandbox.spawn(["start", "web", ...flags, "--", "sleep", "600"], {
        env: { TOMBSTONE_FAILPOINT: "spawned" },
      }).output();
      await change(dir);
      const ran = await sandbox.run(command);
      assertEquals(ran.code, 0, `${what}: ${ran.stderr}`);
      if (exists(dir)) Deno.removeSync(dir);
      await sandbox.json(["start", "web", ...SERVER]);
      await sandbox.json(["stop", "web"]);
      assertEquals(sandbox.runtimeFiles("web"), []);
      assertEquals(sandbox.processes(), []);
    }
  }
});

Deno.test({
  name:
    "a declared file that cannot be removed is a warning of what comes later, and an error of the start that declares it",
  ignore: !isRoot,
  async fn() {
    await using sandbox = await Sandbox.create();
    const dir = `${sandbox.project}/closed`;
    const run = (args: string[]) =>
      sandbox.shell(`exec setpriv ${WITHOUT_OVERRIDE.join(" ")} ${sandbox.commandLine(args)}`);
    const declare = ["start", "web", "--sweep-file", "closed/x", ...SERVER];
    const state = "permission denied";
    for (const [number, mode] of [0o555, 0o000].entries()) {
      const commands = [["start", "web", ...SERVER], ["stop", "web", "--force"], ["sweep", "web"]];
      for (const command of inTurn(commands, 2, number)) {
        Deno.mkdirSync(dir);
        await sandbox.spawn(declare, { env: { TOMBSTONE_FAILPOINT: "spawned" } }).output();
        Deno.writeTextFileSync(`${dir}/x`, "");
        Deno.chmodSync(dir, mode);
        const ran = await run(command);
        assertEquals(ran.code, 0, ran.stderr);
        assertStringIncludes(ran.stderr, `warning: Cannot remove "${dir}/x": ${state}`);
        assert(!ran.stderr.includes(`removed ${dir}/x`), ran.stderr);

        await sandbox.json(["stop", "web"]);
        const again = await run(declare);
        assertEquals(again.code, mode === 0 ? 2 : 4, again.stderr);
        assertStringIncludes(again.stderr, state);
        assertEquals(sandbox.processes(), []);
        assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "stopped");
        Deno.removeSync(dir, { recursive: true });
      }
    }
  },
});

Deno.test("a stranger's socket in another network namespace is in use, and stays", {
  ignore: !(await new Deno.Command("unshare", { args: ["-n", "true"], stderr: "null" }).output()).success,
}, async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/sock`;
  const start = ["start", "web", "--sweep-file", "sock", ...SERVER];
  await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: "tombstone-written" } }).output();
  sandbox.bystander(["unshare", "-n", ...fixture(`unix=${path}`)]);
  while (!exists(path)) await new Promise((resolve) => setTimeout(resolve, 10));
  await sandbox.json(["sweep", "web"]);
  assert(exists(path));
  sandbox.assertBystanders();
});

costly(
  "a stranger's datagram socket is in use, and stays: start, stop, sweep, as a leftover and as a unix socket",
  async () => {
    for (const flag of ["--sweep-file", "--unix"]) {
      await using sandbox = await Sandbox.create();
      const path = `${sandbox.project}/sock`;
      const bind = "socket(S, AF_UNIX, SOCK_DGRAM, 0) && bind(S, pack_sockaddr_un($ARGV[0])) or die; sleep 600";
      sandbox.bystander(["perl", "-MSocket", "-e", bind, path]);
      await until("the stranger has its socket", () => exists(path));
      const waits = flag === "--unix";
      const probe = waits ? ["--timeout", "300ms"] : ["--no-probe"];
      await sandbox.json(["start", "web", flag, "sock", ...probe, "--", "sleep", "600"], { code: waits ? 124 : 0 });
      assert(exists(path), "start");
      await sandbox.json(["stop", "web"]);
      assert(exists(path), "stop");
      const killed = { env: { TOMBSTONE_FAILPOINT: "spawned" } };
      await sandbox.spawn(["start", "web", flag, "sock", ...probe, "--", "sleep", "600"], killed).output();
      await sandbox.json(["sweep", "web"]);
      assert(exists(path), "sweep");
      sandbox.assertBystanders();
    }
  },
);

/** A daemon that clears its environment, as nginx and redis do, and writes its pid to a file. */
const daemon = (pidFile: string) => [
  "perl",
  "-e",
  `use POSIX; exit 0 if fork; POSIX::setsid(); exit 0 if fork;
   if (($ARGV[1] // "") ne "clear") { %ENV = (); exec $^X, "-e", $ARGV[2], $ARGV[0], "clear", $ARGV[2]; }`,
  pidFile,
  "",
  `open(F, ">", $ARGV[0]); print F "$$\\n"; close F; sleep 600`,
];

costly(
  "two nodes with one pid file: the second is refused while the first runs, starts or is not recovered, and takes nothing of it",
  async () => {
    await using sandbox = await Sandbox.create();
    const path = `${sandbox.project}/shared.pid`;
    const start = (
      node: string,
      ...options: string[]
    ) => ["start", node, "--pid-file", path, "--no-probe", ...options, "--", ...daemon(path)];
    const refused = async (state: string, hint: string) => {
      const { error } = await sandbox.json(start("two"), { code: 5 });
      assertStringIncludes(error.message, state);
      assertEquals(error.owner_node, "one");
      assertStringIncludes(error.hint, hint);
      assertEquals((await sandbox.json(["status", "two"], { code: 3 })).state, "stopped");
    };
    const { pid } = await sandbox.json(start("one"));
    assertEquals(Deno.readTextFileSync(path).trim(), String(pid));
    await refused(`"${path}" belongs to "one", which runs`, "tombstone stop one");
    assertEquals(Deno.readTextFileSync(path).trim(), String(pid));
    assert(isRunning(pid));
    await sandbox.json(["stop", "one"]);
    assertEquals(isRunning(pid), false);

    await sandbox.spawn(start("one"), { env: { TOMBSTONE_FAILPOINT: "spawned" } }).output();
    await refused(`belongs to "one", whose start was interrupted`, "tombstone sweep one");
    await sandbox.json(["sweep", "one"]);
    const two = await sandbox.json(start("two"));
    await sandbox.json(["stop", "two"]);
    assertEquals(isRunning(two.pid), false);

    const slow = sandbox.spawn(["start", "one", "--pid-file", path, "--no-probe", "--", "sleep", "600"]);
    await until(
      "it is being started",
      async () => (await sandbox.json(["status", "one"], { code: 3 })).state === "starting",
    );
    await refused(`belongs to "one", which is being started`, "");
    kill(slow, "SIGTERM");
    await slow.output();
  },
);

Deno.test("the pid file of a living server that somebody else started is refused, and stays", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/its.pid`;
  const pid = sandbox.bystander(["sleep", "600"]);
  await new Promise((resolve) => setTimeout(resolve, 50)); // the file is certainly younger
  Deno.writeTextFileSync(path, `${pid}\n`);
  const start = ["start", "web", "--pid-file", path, "--no-probe", "--", ...daemon(path)];
  const { error } = await sandbox.json(start, { code: 5 });
  assertStringIncludes(error.message, `"${path}" names pid ${pid} (`);
  assertEquals(Deno.readTextFileSync(path), `${pid}\n`);
  await sandbox.json(["sweep", "web"]);
  await sandbox.json(["stop", "web"]);
  assertEquals(Deno.readTextFileSync(path), `${pid}\n`);
  // Written before that process was there, it is a number that was handed out anew.
  Deno.utimeSync(path, new Date(0), new Date(0));
  await sandbox.json(start);
  await sandbox.json(["stop", "web"]);
  sandbox.assertBystanders();
});

costly("the tool's own files are never swept: refused for a start, left alone where a record names them", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "other", ...SERVER]);
  const { dir } = await sandbox.json(["start", "web", "--sweep-file", "x", ...SERVER]);
  const state = dir.replace(/\/[^/]+\/[^/]+$/, "");
  Deno.symlinkSync(dir, `${sandbox.project}/link`);
  const own = ["lock", "starting", "node.info", "server.log", "server.log.1", "../workspace.json", "../other/port"];
  for (const path of [...own.map((name) => `${dir}/${name}`), "link/lock", `${state}/x`]) {
    for (const flag of ["--sweep-file", "--pid-file", "--port-file"]) {
      const ran = await sandbox.run(["start", "third", flag, path.replace(/\/web\/(?=[^.])/, "/third/"), ...SERVER]);
      assertEquals(ran.code, 2, `${flag} ${path}: ${ran.stderr}`);
    }
  }
  const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
  const declared = own.slice(-2).concat("lock", "server.log").map((name) => `${dir}/${name}`);
  Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, sweep_files: declared }) + "\n");
  const stopped = await sandbox.run(["stop", "web"]);
  assertEquals(stopped.code, 0, stopped.stderr);
  assertStringIncludes(stopped.stderr, `left "${dir}/lock" alone: it is in tombstone's own state`);
  for (const path of ["../workspace.json", "lock", "server.log"]) assert(exists(`${dir}/${path}`), path);
  await sandbox.json(["start", "web", ...SERVER]);
});

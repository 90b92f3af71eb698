/** Declared files: what is swept, what is refused, and that no path can lock a node for ever. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists, fixture, ROOT, Sandbox } from "./support/sandbox.ts";

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
    socket: "is no socket",
  },
  {
    name: "three lines",
    put: (path) => Deno.writeTextFileSync(path, "1\n2\n3\n"),
    number: "does not hold a number",
    leftover: null,
    socket: "is no socket",
  },
  {
    name: "an empty file",
    put: (path) => Deno.writeTextFileSync(path, ""),
    number: null,
    leftover: null,
    socket: "is no socket",
  },
  {
    name: "a number",
    put: (path) => Deno.writeTextFileSync(path, "4711\n"),
    number: null,
    leftover: null,
    socket: "is no socket",
  },
  {
    name: "a number and a nonce",
    put: (path) => Deno.writeTextFileSync(path, "3000\nc0ffee\n"),
    number: null,
    leftover: null,
    socket: "is no socket",
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
    number: "it is no regular file",
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

for (const [flag, kind] of FLAGS) {
  Deno.test(`what is in the place of a ${flag}: only what was declared is ever removed, the rest is refused before anything runs`, async () => {
    await using sandbox = await Sandbox.create();
    const elsewhere = `${sandbox.project}/elsewhere`;
    Deno.writeTextFileSync(elsewhere, document);
    const probe = flag === "--sweep-file" || flag === "--pid-file" ? ["--no-probe", "--alive-for", "0"] : [];
    const place = `${sandbox.project}/place`;
    // A start that is killed half-way remembers the place; what comes to stand there then meets a sweep.
    const start = ["start", "web", flag, "place", ...probe, "--", "sleep", "600"];
    for (const thing of THINGS) {
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

      await sandbox.spawn(start, { env: { TOMBSTONE_KILL_AT: "tombstone-written" } }).output();
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
  for (const [path, reason] of wrong) {
    for (const flag of ["--port-file", "--pid-file", "--sweep-file", "--unix", "--file"]) {
      const isTaken = path === "plain" && ["--sweep-file", "--file"].includes(flag) ||
        path === "." && flag === "--file";
      if (isTaken) continue;
      const ran = await sandbox.run(["start", "web", flag, path, "--", "sleep", "600"]);
      assertEquals(ran.code, 2, `${flag} ${path}: ${ran.stderr}`);
      assertStringIncludes(ran.stderr, `for ${flag}: `);
      assertStringIncludes(ran.stderr, flag === "--unix" && path === "plain" ? "is no socket" : reason);
    }
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

Deno.test("a declared place that goes wrong later keeps nobody from starting, stopping or sweeping the node", async () => {
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
  for (const [what, change] of spoil) {
    for (const command of [["start", "web", ...SERVER], ["stop", "web", "--force"], ["sweep", "web"]]) {
      Deno.mkdirSync(dir);
      await sandbox.spawn(["start", "web", ...flags, "--", "sleep", "600"], {
        env: { TOMBSTONE_KILL_AT: "spawned" },
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
    for (const [mode, state] of [[0o555, "permission denied"], [0o000, "permission denied"]] as const) {
      for (const command of [["start", "web", ...SERVER], ["stop", "web", "--force"], ["sweep", "web"]]) {
        Deno.mkdirSync(dir);
        await sandbox.spawn(declare, { env: { TOMBSTONE_KILL_AT: "spawned" } }).output();
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
  await sandbox.spawn(start, { env: { TOMBSTONE_KILL_AT: "tombstone-written" } }).output();
  sandbox.bystander(["unshare", "-n", ...fixture(`unix=${path}`)]);
  while (!exists(path)) await new Promise((resolve) => setTimeout(resolve, 10));
  await sandbox.json(["sweep", "web"]);
  assert(exists(path));
  sandbox.assertBystanders();
});

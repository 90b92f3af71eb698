/** The project's own promises: the bundle, the help and the README. */
import { Ajv } from "npm:ajv@8";
import { generated, schema } from "../tools/docs.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { commandHelp, generalHelp } from "../lib/cli/help.ts";
import { COMMANDS, COMMON_FLAGS } from "../lib/cli/table.ts";
import { isGivenIn } from "../lib/spec/field.ts";
import { FIELDS } from "../lib/spec/fields.ts";
import { platformWords, violations } from "./support/rooms.ts";
import { exists, fixture, ROOT, Sandbox } from "./support/sandbox.ts";

/** Makes a bundle in a sandbox. */
async function bundle(sandbox: Sandbox): Promise<string> {
  const path = `${sandbox.root}/dist/tombstone.js`;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${ROOT}/tools/task.ts`, "bundle", path],
    stderr: "piped",
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return path;
}

Deno.test("the bundle is one file without imports, and deno run takes it from disk and by URL", async () => {
  await using sandbox = await Sandbox.create();
  const path = await bundle(sandbox);
  // Not one of Node's own modules, either: each costs every command 15 ms and more.
  const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", path] }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(info.stdout));
  assertEquals(modules.map(({ dependencies }: { dependencies?: unknown[] }) => dependencies ?? []), [[]]);

  const empty = { DENO_DIR: `${sandbox.root}/deno` };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(Deno.readTextFileSync(path), { headers: { "content-type": "text/javascript" } }),
  );
  const url = `http://127.0.0.1:${server.addr.port}/tombstone.js`;
  for (const source of [path, url]) {
    const run = async (...args: string[]) => {
      const output = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", source, ...args],
        cwd: sandbox.project,
        env: sandbox.env(empty),
      }).output();
      return {
        code: output.code,
        text: new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr),
      };
    };
    assertEquals(await run("--version"), { code: 0, text: "tombstone 0.1.0\n" });
    const started = await run("start", "web", "--port", "0", "--", ...fixture());
    assertEquals(started.code, 0, started.text);
    assertStringIncludes((await run("status", "web")).text, "web: running");
    assertEquals((await run("stop", "web")).code, 0);
    const wrong = await run("start", "--prot", "1", "--", "true");
    assertStringIncludes(wrong.text, "did you mean --port?");
  }
  await server.shutdown();
});

/** Why no binary can be made here; `null` if it can. It takes Deno's runtime, from Deno's host or `DENORT_BIN`. */
const whyNoBinary = await (async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(`${sandbox.project}/empty.ts`, "");
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", "-o", `${sandbox.root}/empty`, `${sandbox.project}/empty.ts`],
    env: { NO_COLOR: "1" },
  }).output();
  return success ? null : new TextDecoder().decode(stderr).split("Stack backtrace")[0]!.replace(/\s+/g, " ").trim();
})();
if (whyNoBinary !== null) {
  console.log(`skipped: deno compile needs Deno's runtime, name one with DENORT_BIN (${whyNoBinary})`);
}

Deno.test({
  name: "deno compile makes a binary that starts, tells and stops",
  ignore: whyNoBinary !== null,
  async fn() {
    await using sandbox = await Sandbox.create();
    const binary = `${sandbox.root}/tombstone`;
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "-A", "--quiet", "-o", binary, await bundle(sandbox)],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    const run = (...args: string[]) =>
      new Deno.Command(binary, { args, cwd: sandbox.project, env: sandbox.env() }).output();
    assertEquals((await run("start", "web", "--port", "0", "--", ...fixture())).code, 0);
    assertEquals((await run("status", "web")).code, 0);
    assertEquals((await run("stop", "web")).code, 0);
  },
});

/** No flags for the modules of the standard library: they come from JSR, so it can be reached. */
const canReachJsr = Deno.env.get("TOMBSTONE_API_FLAGS") === "";
if (!canReachJsr) console.log("skipped: deno publish --dry-run needs JSR, which cannot be reached");

Deno.test({
  name: "deno publish has nothing to complain of",
  ignore: !canReachJsr,
  async fn() {
    const args = ["publish", "--dry-run", "--allow-dirty"];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
    assert(success, new TextDecoder().decode(stderr));
  },
});

Deno.test("every command has help, which costs no state; --version and an empty call", async () => {
  await using sandbox = await Sandbox.create();
  const general = await sandbox.run(["--help"]);
  assertEquals([general.code, general.stdout], [0, generalHelp().join("\n") + "\n"]);
  const empty = await sandbox.run([]);
  assertEquals([empty.code, empty.stdout], [2, general.stdout]);
  await Promise.all(COMMANDS.map(async (command) => {
    const ran = await sandbox.run([command.name, "--help"]);
    assertEquals([ran.code, ran.stdout], [0, commandHelp(command).join("\n") + "\n"]);
    assert(ran.stdout.split("\n").every((line) => line.length <= 120), command.name);
  }));
  assertEquals((await sandbox.run(["--version"])).stdout, "tombstone 0.1.0\n");
  assertEquals([...Deno.readDirSync(sandbox.root)].map((entry) => entry.name), ["project"]);
});

Deno.test("docs/commands.md, the tables of errors and tombstone.schema.json match the code", async () => {
  for (const [path, text] of Object.entries(generated())) {
    const extension = path.split(".").at(-1)!;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["fmt", "--quiet", "--ext", extension, "-"],
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    const formatted = new TextDecoder().decode((await child.output()).stdout);
    assertEquals(Deno.readTextFileSync(`${ROOT}/${path}`), formatted, `${path} is stale: deno task docs`);
  }
});

Deno.test("the schema accepts what start accepts, and refuses what it refuses", () => {
  const isValid = new Ajv({ allowUnionTypes: true }).compile(schema());
  const node = (fields: Record<string, unknown>) => ({ nodes: { web: { command: "x", ...fields } } });
  const right = [
    {},
    { command: ["a", ""] },
    { port: 0, probes: { http: ["/", "/b"], stable_for: 1 }, stop: { timeout: "5m" }, log: { max: "50MB" } },
    { env: { A: "x", B: 1, C: true }, after: ["db"], sweep_files: "a" },
  ];
  for (const fields of right) {
    assert(isValid(node(fields)), `${JSON.stringify(fields)} ${JSON.stringify(isValid.errors)}`);
  }
  const wrong = [{ port: "80" }, { port: 70000 }, { prot: 1 }, { command: [] }, { probes: { http: 1 } }, {
    timeout: "soon",
  }];
  for (const fields of wrong) assert(!isValid(node(fields)), JSON.stringify(fields));
  assert(!isValid({ nodes: { "a b": { command: "x" } } }));
  assert(!isValid({ nodes: { web: {} } }));
});

/** The pages for users, by path. */
const PAGES = ["README.md", ...[...Deno.readDirSync(`${ROOT}/docs`)].map(({ name }) => `docs/${name}`)]
  .filter((path) => path.endsWith(".md"))
  .map((path) => ({ path, text: Deno.readTextFileSync(`${ROOT}/${path}`) }));

Deno.test("links between the pages lead somewhere", () => {
  const others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "RELIABILITY.md", "CHANGELOG.md"];
  const all = [...PAGES, ...others.map((path) => ({ path, text: Deno.readTextFileSync(`${ROOT}/${path}`) }))];
  const anchors = (path: string) =>
    Deno.readTextFileSync(path).split("\n").filter((line) => line.startsWith("#"))
      .map((line) => line.replace(/^#+ /, "").toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-"));
  let links = 0;
  for (const { path, text } of all) {
    for (const [, file, anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const target = new URL(file === "" ? path.split("/").at(-1)! : file!, `file://${ROOT}/${path}`).pathname;
      assert(exists(target), `${path} links ${file}`);
      if (anchor !== undefined) assert(anchors(target).includes(anchor), `${path} links ${file}#${anchor}`);
      links++;
    }
  }
  assert(links > 30);
});

Deno.test("the pages use commands and options that there are", () => {
  let lines = 0;
  for (const { path, text } of PAGES) {
    const spans = [...text.matchAll(/`tombstone ([^`]+)`/g), ...text.matchAll(/^\$? ?tombstone (.+)$/gm)];
    for (const [, line] of spans) {
      const [name, ...words] = line!.replaceAll("\\|", "|").replace(/'[^']*'|"[^"]*"/g, "X").split(
        / -- | #|\||&&|;/,
      )[0]!.trim().split(/\s+/);
      if (name!.startsWith("-") || /^[A-Z…]/.test(name!)) continue;
      const command = COMMANDS.find((command) => command.name === name);
      assert(command !== undefined, `${path}: tombstone ${line}`);
      const flags = [...command!.flags, ...COMMON_FLAGS].flatMap(({ name, short }) => [`--${name}`, `-${short}`]);
      for (const word of words.filter((word) => /^--?[a-z]/.test(word))) {
        assert(flags.includes(word.split(/[=`]/)[0]!), `${path}: tombstone ${line}: ${word}`);
      }
      lines++;
    }
  }
  assert(lines > 60);
});

Deno.test("docs/tombstone-json.md has a valid example, and names every field", () => {
  const { text } = PAGES.find(({ path }) => path === "docs/tombstone-json.md")!;
  const isValid = new Ajv({ allowUnionTypes: true }).compile(schema());
  const example = JSON.parse(/```json\n([\s\S]*?)```/.exec(text)![1]!);
  assert(isValid(example), JSON.stringify(isValid.errors));
  const [, rows] = text.split("\n## Fields\n");
  const missing = FIELDS.filter((field) => isGivenIn(field, "file")).filter(({ path }) =>
    !rows!.includes(`\`${path}\``) && !rows!.includes(`\`.${path.split(".")[1]}\``)
  );
  assertEquals(missing, []);
});

/** The files below `lib/`, as path there to text. */
function filesOfLib(dir = ""): Record<string, string> {
  return Object.fromEntries(
    [...Deno.readDirSync(`${ROOT}/lib/${dir}`)].flatMap(({ name, isDirectory }) =>
      isDirectory
        ? Object.entries(filesOfLib(`${dir}${name}/`))
        : name.endsWith(".ts")
        ? [[`${dir}${name}`, Deno.readTextFileSync(`${ROOT}/lib/${dir}${name}`)]]
        : []
    ),
  );
}

Deno.test("imports in lib point down without circles, and no file has more than 250 lines", () => {
  const files = filesOfLib();
  assert(Object.keys(files).length > 50);
  assertEquals(violations(files), []);
});

Deno.test("ARCHITECTURE.md is one page, and names existing files and rooms", () => {
  const text = Deno.readTextFileSync(`${ROOT}/ARCHITECTURE.md`);
  assert(text.split("\n").length <= 110);
  const files = filesOfLib();
  const named = [...text.matchAll(/`([a-z_]+\/(?:[a-z_]+\/)*[a-z_]+\.ts)`/g)].map(([, path]) => path!);
  assert(named.length > 30);
  assertEquals(named.filter((path) => !(path in files)), []);
  const rooms = new Set(Object.keys(files).filter((path) => path.includes("/")).map((path) => path.split("/")[0]!));
  assertEquals([...rooms].filter((room) => !text.includes(`\`${room}/\``)), []);
});

Deno.test("the check of the rooms sees import(), types, circles, ranks, sizes and files that are not there", () => {
  const fine = {
    "errors.ts": "export class Expected {}\n",
    "spec/settings.ts": 'import { Expected } from "../errors.ts";\n',
    "engine/start.ts": 'import type { Settings } from "../spec/settings.ts";\nimport { stop } from "./stop.ts";\n',
    "engine/stop.ts": '/**\n * import { start } from "./start.ts";\n */\n// import "./start.ts"\n',
    "cli/commands/stop.ts": 'export { stop } from "../../engine/stop.ts";\n',
    "mod.ts": 'export { start } from "./engine/start.ts";\n',
  };
  assertEquals(violations(fine), []);
  const planted: [Record<string, string>, string[]][] = [
    [{ "spec/settings.ts": 'import { start } from "../engine/start.ts";\n' }, [
      "spec/settings.ts imports engine/start.ts, which is not below it",
      "a circle: engine/start.ts, spec/settings.ts",
    ]],
    [{ "state/lock.ts": 'import {\n  type Row,\n} from "../process/tree.ts";\n', "process/tree.ts": "" }, [
      "state/lock.ts imports process/tree.ts, which is not below it",
    ]],
    [{ "export/unit.ts": 'const { start } = await import("../cli/main.ts");\n', "cli/main.ts": "" }, [
      "export/unit.ts imports cli/main.ts, which is not below it",
    ]],
    [{ "errors.ts": 'import "./spec/settings.ts";\n', "spec/settings.ts": "" }, [
      "errors.ts imports spec/settings.ts, which is not below it",
    ]],
    [{ "cli/main.ts": 'import { start } from "../mod.ts";\n' }, ["cli/main.ts imports mod.ts, which is not below it"]],
    [{ "engine/stop.ts": 'export type { Start } from "./start.ts";\n' }, ["a circle: engine/start.ts, engine/stop.ts"]],
    [{ "engine/stop.ts": 'type Start = import("./start.ts").Start;\n' }, ["a circle: engine/start.ts, engine/stop.ts"]],
    [{
      "cli/a.ts": 'import "./b.ts";\n',
      "cli/b.ts": 'import "./commands/c.ts";\n',
      "cli/commands/c.ts": 'import("../a.ts");\n',
    }, ["a circle: cli/a.ts, cli/b.ts, cli/commands/c.ts"]],
    [{ "engine/sweep.ts": 'import "./sweep.ts";\n' }, ["a circle: engine/sweep.ts"]],
    [{ "engine/stop.ts": 'import "./gone.ts";\n' }, ["engine/stop.ts imports engine/gone.ts, which is not there"]],
    [{ "attic/old.ts": "" }, ["attic/old.ts is in no room"]],
    [{ "engine/stop.ts": "\n".repeat(251) }, ["engine/stop.ts has 251 lines"]],
  ];
  for (const [files, wrong] of planted) assertEquals(violations({ ...fine, ...files }), wrong);
});

Deno.test("lib/spec imports only lib/errors.ts and lib/paths.ts, and asks no system", () => {
  for (const [path, text] of Object.entries(filesOfLib())) {
    if (!path.startsWith("spec/")) continue;
    const above = [...text.matchAll(/"(\.\.\/[^"]+)"/g)].map(([, imported]) => imported);
    assertEquals(above.filter((imported) => imported !== "../errors.ts" && imported !== "../paths.ts"), [], path);
    assert(!/\bDeno\.(?!Signal\b)|\bprocess\.|\bfetch\(/.test(text), path);
  }
});

Deno.test("nothing above lib/os knows the operating system", () => {
  assertEquals(platformWords(filesOfLib()), []);
});

Deno.test("the check of the boundary sees paths, modes, users, signals, sessions, programs, start times and back ends", () => {
  const planted: [string, string][] = [
    ['run("/bin/sh")', "a path of the system"],
    ['path.startsWith("/")', "rules of paths"],
    ["info.uid === Deno.uid()", "a user id"],
    ["{ mode: 0o600 }", "mode bits"],
    ["128 + number", "an exit code of a signal"],
    ["row.sid === pid", "a session or group id"],
    ["Deno.kill(pid, name)", "a system call"],
    ['signal(row, "SIGSTOP")', "a signal"],
    ['Deno.build.os === "darwin"', "which system it is"],
    ["hint: `ps -fp ${pid}`", "a program of the system"],
    ["a.startTime - b.startTime", "what a start time counts in"],
    ['import { linux } from "../os/linux/system.ts";', "one back end"],
  ];
  for (const [text, name] of planted) {
    const [complaint, ...more] = platformWords({ "engine/stop.ts": `const x = 1;\n${text}\n` });
    assertEquals(more, []);
    assertStringIncludes(complaint ?? "", `engine/stop.ts knows ${name}: `);
    assertEquals(
      platformWords({ "os/posix/shell.ts": text, "engine/stop.ts": `// ${text}\n/**\n * ${text}\n */` }),
      [],
    );
  }
});

Deno.test("only main.ts exits, only the output module prints", () => {
  for (const [path, text] of Object.entries(filesOfLib())) {
    assert(!text.includes("Deno.exit("), path);
    if (!path.startsWith("cli/")) assert(!/console\.|Deno\.std(out|err)/.test(text), path);
  }
});

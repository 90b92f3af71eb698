/** The project's own promises: the bundle, the help and the README. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { commandHelp, flagRows, generalHelp } from "../lib/cli/help.ts";
import { COMMANDS, COMMON_FLAGS } from "../lib/cli/table.ts";
import { fixture, ROOT, Sandbox } from "./support/sandbox.ts";

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
  const text = Deno.readTextFileSync(path);
  const imports = text.split("\n").filter((line) =>
    /^\s*(import\b(?!\.meta)|export .* from)|\b(import|require)\(/.test(line)
  );
  assertEquals(imports.filter((line) => !line.trimStart().startsWith("*") && !line.trimStart().startsWith("//")), []);

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

Deno.test("the tables of the README are those of the help", () => {
  const readme = Deno.readTextFileSync(`${ROOT}/README.md`).replace(/ +/g, " "); // deno fmt aligns the columns
  const cell = (text: string) => text.replaceAll("|", "\\|");
  for (const command of COMMANDS) {
    assertStringIncludes(
      readme,
      `| \`${cell(command.name)}\` | \`${cell(command.synopsis)}\` | ${cell(command.summary)} |`,
    );
  }
  const flagsOf = (name: string) => COMMANDS.find((command) => command.name === name)!.flags;
  for (const [left, right] of [...flagRows(flagsOf("start")), ...flagRows(flagsOf("run")), ...flagRows(COMMON_FLAGS)]) {
    assertStringIncludes(readme, `| \`${cell(left)}\` | ${cell(right)} |`);
  }
});

Deno.test("imports in lib point one way: commands, lifecycle, then the rooms below, the platform last", () => {
  const height: Record<string, number> = {
    api: 5,
    cli: 5,
    commands: 5,
    output: 5,
    lifecycle: 4,
    config: 3,
    export: 3,
    probe: 3,
    process: 2,
    state: 1,
    os: 0,
  };
  for (const room of Object.keys(height)) {
    for (const entry of Deno.readDirSync(`${ROOT}/lib/${room}`)) {
      const text = Deno.readTextFileSync(`${ROOT}/lib/${room}/${entry.name}`);
      for (const [, other] of text.matchAll(/from "\.\.\/(\w+)\//g)) {
        assert(other! in height, `${room}/${entry.name} imports ${other}, which has no place`);
        assert(height[other!]! <= height[room]!, `${room}/${entry.name} imports ${other}`);
      }
    }
  }
});

Deno.test("only main.ts exits, only the output module prints", () => {
  const walk = (dir: string): string[] =>
    [...Deno.readDirSync(dir)].flatMap((entry) =>
      entry.isDirectory ? walk(`${dir}/${entry.name}`) : [`${dir}/${entry.name}`]
    );
  for (const path of walk(`${ROOT}/lib`)) {
    const text = Deno.readTextFileSync(path);
    assert(!text.includes("Deno.exit("), path);
    if (!path.includes("/lib/output/")) assert(!/console\.|Deno\.std(out|err)/.test(text), path);
  }
});

/** The npm package, from its tarball, in projects of its users. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fixture, type Ran, ROOT, Sandbox } from "./support/sandbox.ts";
import { TIER } from "./support/tier.ts";

async function output(program: string, args: string[], cwd: string, env: Record<string, string>): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, cwd, env, stdin: "null" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Whether npm gets packages here; the runtime comes from its registry. */
const canInstall = TIER === "full" && await (async () => {
  await using sandbox = await Sandbox.create();
  return (await output("npm", ["view", "deno", "version"], sandbox.project, {})).code === 0;
})().catch(() => false);
if (TIER === "fast") console.log("skipped: installs of the npm package are of the full tier (deno task test:full)");
else if (!canInstall) {
  console.log("skipped: the npm package takes its runtime from the npm registry, which cannot be reached");
}

/** A project, in a directory with a blank in its name, that has the package installed. */
class Project {
  private constructor(readonly sandbox: Sandbox, readonly dir: string) {}

  static async create(sandbox: Sandbox, installFlags: string[]): Promise<Project> {
    const packed = await output(
      Deno.execPath(),
      ["run", "-A", `${ROOT}/tools/task.ts`, "npm", `${sandbox.root}/dist`],
      ROOT,
      {},
    );
    assertEquals(packed.code, 0, packed.stderr);
    const project = new Project(sandbox, `${sandbox.project}/my project`);
    const server = `require("http").createServer((_, res) => res.end("hello")).listen(process.env.PORT, "127.0.0.1")`;
    Deno.mkdirSync(project.dir);
    Deno.writeTextFileSync(`${project.dir}/server.js`, server);
    const scripts = {
      start: "node server.js",
      "test:e2e":
        'tombstone run web --port 0 --http / --serve "npm start" -- node -e "fetch(process.env.TOMBSTONE_URL)"',
    };
    Deno.writeTextFileSync(`${project.dir}/package.json`, JSON.stringify({ name: "shop", scripts }));
    const tarball = [...Deno.readDirSync(`${sandbox.root}/dist`)].find(({ name }) => name.endsWith(".tgz"))!.name;
    await project.npm(
      "install",
      "--save-dev",
      "--no-audit",
      "--no-fund",
      ...installFlags,
      `${sandbox.root}/dist/${tarball}`,
    );
    return project;
  }

  async npm(...args: string[]): Promise<Ran> {
    const ran = await output("npm", args, this.dir, this.sandbox.env());
    assertEquals(ran.code, 0, ran.stdout + ran.stderr);
    return ran;
  }

  async tombstone(...args: string[]): Promise<string> {
    const ran = await output("npx", ["tombstone", ...args], this.dir, this.sandbox.env());
    assertEquals(ran.code, 0, ran.stdout + ran.stderr);
    return ran.stdout;
  }
}

for (const flags of [[], ["--ignore-scripts"]]) {
  Deno.test({
    name: `the npm package${
      flags.length > 0 ? ", installed without scripts," : ""
    } starts, tells, runs a test and stops`,
    ignore: !canInstall,
    async fn() {
      await using sandbox = await Sandbox.create();
      const project = await Project.create(sandbox, flags);
      assertEquals(await project.tombstone("--version"), "tombstone 0.1.0\n");
      const started = JSON.parse(await project.tombstone("start", "web", "--port", "0", "--json", "--", ...fixture()));
      assertEquals([started.state, started.started], ["running", true]);
      assertStringIncludes(await project.tombstone("status"), "running");
      await project.tombstone("stop", "web");
      await project.npm("run", "test:e2e");
      assertEquals(sandbox.processes(), []);
      const head = Deno.readTextFileSync(`${project.dir}/node_modules/tombstone/bin/tombstone`).split("\n")[0];
      assertEquals(head, flags.length > 0 ? "#!/usr/bin/env node" : "#!/bin/sh");
    },
  });
}

Deno.test({
  name: "the command of the npm package passes exit codes and signals on, started by a shell and by Node",
  ignore: !canInstall,
  async fn() {
    await using sandbox = await Sandbox.create();
    const { dir } = await Project.create(sandbox, []);
    const bin = `${dir}/node_modules/tombstone/bin`;
    for (const command of [[`${bin}/tombstone`], ["node", `${bin}/tombstone`], ["node", `${bin}/tombstone.cjs`]]) {
      const unknown = await output(command[0]!, [...command.slice(1), "nonsense"], dir, sandbox.env());
      assertEquals(unknown.code, 2, unknown.stderr);
      const child = new Deno.Command(command[0]!, {
        args: [...command.slice(1), "start", "slow", "--log", "never", "--", "sh", "-c", "echo begun; sleep 60"],
        cwd: dir,
        env: sandbox.env(),
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const deadline = performance.now() + 20_000;
      while (sandbox.serversOf("slow").length === 0) {
        assert(performance.now() < deadline, "it has not started its server");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      child.kill("SIGTERM");
      const { code } = await child.output();
      assertEquals(code, 143);
      assertEquals(sandbox.processes(), []);
    }
  },
});

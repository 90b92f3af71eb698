/** The documents' own commands, run as they stand there, against the servers that they are about. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml/parse";
import { canUnshare } from "./support/namespace.ts";
import { freePort, type Ran, ROOT, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { TIER } from "./support/tier.ts";

/** Blocks of a kind under each heading of a document. */
function blocksOf(document: string, kind: string): Map<string, string[]> {
  const sections = Deno.readTextFileSync(`${ROOT}/docs/${document}`).split(/^## /m);
  return new Map(sections.map((section) => [
    section.split("\n")[0]!,
    [...section.matchAll(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, "gm"))].map((match) => match[1]!),
  ]));
}

const RECIPES = blocksOf("recipes.md", "sh");

/** Puts commands into a directory that comes first on PATH. */
function putOnPath(sandbox: Sandbox, commands: Record<string, string>): Record<string, string> {
  const bin = `${sandbox.root}/bin`;
  Deno.mkdirSync(bin, { recursive: true });
  for (const [name, script] of Object.entries(commands)) {
    Deno.writeTextFileSync(`${bin}/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  return { PATH: `${bin}:${Deno.env.get("PATH")}` };
}

const tool = (sandbox: Sandbox) => ({ tombstone: `exec ${sandbox.commandLine([])} "$@"` });

/** Runs a shell script where every port of 127.0.0.1 is free: in a network namespace of its own. */
function alone(sandbox: Sandbox, script: string, env: Record<string, string>): Promise<Ran> {
  const inside = sandbox.quote(`set -eux; ip link set lo up; ${script}`);
  return sandbox.shell(`exec unshare --net timeout 100 sh -c ${inside}`, { env });
}

const canIsolate = await canUnshare() && installed("ip", "iproute2");

/** Headings of the recipes that are run. */
const tested: string[] = [];

/** Runs the blocks of a recipe one after the other, and makes sure that nothing is left. */
function recipe(
  heading: string,
  isInstalled: boolean,
  prepare: (sandbox: Sandbox) => Promise<Record<string, string>>,
): void {
  tested.push(heading);
  Deno.test({
    name: `recipe: ${heading}`,
    ignore: TIER === "fast" || !canIsolate || !isInstalled,
    async fn() {
      await using sandbox = await Sandbox.create();
      const more = await prepare(sandbox);
      const env = putOnPath(sandbox, { ...tool(sandbox), ...more });
      const blocks = RECIPES.get(heading) ?? [];
      assert(blocks.length > 0, "the recipe is there");
      const ran = await alone(sandbox, blocks.join("\n"), env);
      assertEquals(ran.code, 0, ran.stdout + ran.stderr);
      // Every recipe starts a server and stops it, and says so.
      assertMatch(ran.stdout, /started "|"started": true/);
      assertMatch(ran.stdout, /stopped "/);
      const left = sandbox.processes().filter((pid) => !Deno.readTextFileSync(`/proc/${pid}/stat`).includes("(epmd)"));
      assertEquals(left, []);
    },
  });
}

const nothing = () => Promise.resolve({});

async function prepared(sandbox: Sandbox, script: string): Promise<Record<string, string>> {
  const ran = await sandbox.shell(`set -eu; ${script}`);
  assertEquals(ran.code, 0, ran.stdout + ran.stderr);
  return {};
}

recipe("A BEAM node (Erlang)", installed("erl", "erlang-base"), nothing);

recipe(
  "An Elixir release",
  installed("mix", "elixir"),
  (sandbox) => prepared(sandbox, "mix new . --app shop --sup; MIX_ENV=prod mix release"),
);

recipe("Rails", installed("rails", "ruby-railties") && installed("puma", "puma"), (sandbox) => {
  const application = `require "rails"
    require "action_controller/railtie"
    class Shop < Rails::Application
      config.eager_load = false
      config.secret_key_base = "x" * 64
      config.hosts.clear
      routes.append { root to: ->(_) { [200, { "content-type" => "text/plain" }, ["hello\\n"]] } }
    end`;
  const files = {
    "config/application.rb": application,
    "config/environment.rb": 'require_relative "application"\nRails.application.initialize!\n',
    "config/routes.rb": "",
    "config.ru": 'require_relative "config/environment"\nrun Rails.application\n',
    "bin/rails":
      '#!/usr/bin/env ruby\nAPP_PATH = File.expand_path("../config/application", __dir__)\nrequire "rails/commands"\n',
  };
  for (const directory of ["config", "bin"]) Deno.mkdirSync(`${sandbox.project}/${directory}`);
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(`${sandbox.project}/${name}`, text, { mode: 0o755 });
  }
  return nothing();
});

recipe("Vite", installed("npm", "npm"), (sandbox) => {
  Deno.writeTextFileSync(`${sandbox.project}/package.json`, '{ "private": true }');
  Deno.writeTextFileSync(`${sandbox.project}/index.html`, "<h1>hello</h1>");
  return prepared(sandbox, "npm install --silent --no-audit --no-fund vite@7");
});

function postgresBin(): string {
  const versions = [...Deno.readDirSync("/usr/lib/postgresql")].map((entry) => Number(entry.name));
  return `/usr/lib/postgresql/${Math.max(...versions)}/bin`;
}

recipe("PostgreSQL", installed("psql", "postgresql"), (sandbox) => {
  // It refuses to run as root, so root runs it as its own user.
  const as = "setpriv --reuid=postgres --regid=postgres --clear-groups";
  const run = (name: string) => `exec ${as} ${postgresBin()}/${name} "$@"`;
  Deno.chmodSync(sandbox.root, 0o755);
  Deno.chmodSync(sandbox.project, 0o777);
  return Promise.resolve({
    initdb: run("initdb"),
    postgres: run("postgres"),
    psql: `exec ${postgresBin()}/psql -U postgres "$@"`,
  });
});

recipe("redis", installed("redis-server", "redis-server"), nothing);

recipe("A coding agent", true, (sandbox) => {
  Deno.writeTextFileSync(
    `${sandbox.project}/server.js`,
    'console.log("hello"); require("http").createServer((_, response) => response.end("ok")).listen(process.env.PORT)',
  );
  return nothing();
});

/** Whether npm gets this package here. */
const canInstall = async (name: string) => {
  if (TIER === "fast" || !installed("npm", "npm")) return false;
  const { success } = await new Deno.Command("npm", { args: ["view", name, "version"], stdin: "null" }).output();
  if (!success) console.log(`skipped: ${name} is from the npm registry, which cannot be reached`);
  return success;
};

Deno.test({
  name:
    "Playwright's webServer: its tests run against the server, and neither its end, Ctrl-C nor a SIGKILL leaves one",
  ignore: !await canInstall("@playwright/test"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const [config] = blocksOf("recipes.md", "ts").get("In the foreground")!;
    assertStringIncludes(config!, ":3000");
    const files = {
      "package.json": '{ "private": true, "type": "module" }',
      "playwright.config.ts": config!.replaceAll(":3000", `:${port}`),
      "web.spec.ts": `import { expect, test } from "@playwright/test";
        test("it answers", async ({ request }) => {
          expect(await (await request.get("/")).text()).toBe("hello");
          if (process.env.HANG) { console.log("hangs"); await new Promise(() => setInterval(() => {}, 1000)); }
        });`,
      "server.js": `import { createServer } from "node:http";
        createServer((_, response) => response.end("hello")).listen(process.env.PORT, "127.0.0.1");`,
      "tombstone.json": JSON.stringify({ nodes: { web: { command: ["node", "server.js"], port } } }),
    };
    for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${sandbox.project}/${name}`, text);
    await prepared(sandbox, "npm install --silent --no-audit --no-fund @playwright/test");
    const env = { ...putOnPath(sandbox, tool(sandbox)), CI: "" };
    const ran = await sandbox.shell("exec npx playwright test", { env });
    assertEquals(ran.code, 0, ran.stdout + ran.stderr);
    assertMatch(ran.stdout, /1 passed/);
    assertEquals(sandbox.processes(), []);
    for (const signal of ["INT", "KILL"]) {
      // As in a terminal: a group of its own, which gets the signal of Ctrl-C.
      const cli = "node_modules/@playwright/test/cli.js";
      const target = signal === "INT" ? "-$!" : "$!";
      const line = `set -m; node ${cli} test --timeout 0 >out 2>&1 & tries=0
        until grep -q hangs out || [ $tries -gt 1200 ]; do tries=$((tries + 1)); sleep 0.05; done
        kill -${signal} -- ${target}; wait $!; cat out`;
      const { stdout } = await sandbox.shell(line, { env: { ...env, HANG: "1" }, shell: "bash" });
      assertStringIncludes(stdout, "hangs");
      assertStringIncludes(stdout, 'started "web"');
      if (signal === "INT") {
        assertStringIncludes(stdout, 'stopped "web"');
        assertEquals(sandbox.serversOf("web"), []);
      } else {
        await until("the next command has ended it", async () => {
          await sandbox.json(["list"]);
          return sandbox.serversOf("web").length === 0;
        });
      }
      await until("nothing is left", () => sandbox.processes().length === 0, 60_000);
    }
  },
});

Deno.test("every recipe is run by a test, but those that say that they cannot be", () => {
  const runnable = [...RECIPES].filter(([, blocks]) => blocks.length > 0).map(([heading]) => heading);
  assertEquals(tested.toSorted(), runnable.toSorted());
  assertEquals(blocksOf("recipes.md", "sh no-test").get("A container")?.length, 1);
});

Deno.test({
  name: "the line for CI tests against the server and passes the exit code through",
  ignore: !canIsolate,
  async fn() {
    await using sandbox = await Sandbox.create();
    const [line] = blocksOf("ci.md", "sh").get("# Recipes for CI")!;
    const script = {
      start: `node server.js`,
      test: 'node -e "fetch(process.env.TOMBSTONE_URL).then((r) => process.exit(r.status - 195))"',
    };
    Deno.writeTextFileSync(`${sandbox.project}/package.json`, JSON.stringify({ private: true, scripts: script }));
    const server = 'require("http").createServer((_, response) => response.end("ok")).listen(process.env.PORT)';
    Deno.writeTextFileSync(`${sandbox.project}/server.js`, server);
    const ran = await alone(sandbox, line!, putOnPath(sandbox, tool(sandbox)));
    assertEquals(ran.code, 5, ran.stdout + ran.stderr);
    assertEquals(sandbox.processes(), []);
  },
});

// deno-lint-ignore no-explicit-any
type Yaml = any;

Deno.test("the YAML of the recipes for CI is well formed, and names what the action takes", () => {
  const action: Yaml = parse(Deno.readTextFileSync(`${ROOT}/action.yml`));
  const workflows = [...blocksOf("ci.md", "yaml")].flatMap(([, blocks]) => blocks.map((block): Yaml => parse(block)));
  assertEquals(workflows.length, 3);
  const steps = workflows.flatMap((workflow) => workflow.jobs?.test.steps ?? []);
  const uses = steps.filter((step: Yaml) => step.uses?.startsWith("OWNER/tombstone"));
  assertEquals(uses.length, 1);
  for (const name of Object.keys(uses[0].with)) assert(name in action.inputs, name);
  const texts = steps.map((step: Yaml) => JSON.stringify(step)).join("\n");
  for (const [, output] of texts.matchAll(/steps\.web\.outputs\.(\w+)/g)) assert(output! in action.outputs, output);
});

Deno.test("the action puts the tool on PATH, starts the server, and gives its outputs on", async () => {
  await using sandbox = await Sandbox.create();
  const action: Yaml = parse(Deno.readTextFileSync(`${ROOT}/action.yml`));
  // A runner in small: it fills in the expressions and runs each step's script by bash. Deno is the command under test.
  const inputs: Record<string, string> = {
    run: "exec node server.js",
    name: "web",
    options: "--port 0 --http '/a b' --env 'GREETING=hello world'",
    "working-directory": "app",
  };
  const fill = (text: string) =>
    text.replace(
      /\$\{\{ (?:inputs\.([\w-]+)|github\.action_path) \}\}/g,
      (_, name) => name === undefined ? ROOT : inputs[name]!,
    );
  Deno.mkdirSync(`${sandbox.project}/app`);
  Deno.writeTextFileSync(
    `${sandbox.project}/app/server.js`,
    `require("http").createServer((request, response) => response.writeHead(request.url === "/a%20b" ? 200 : 404).end(
      process.env.GREETING + Object.keys(process.env).filter((name) => name.startsWith("INPUT_")))).listen(process.env.PORT)`,
  );
  const own = `for word; do shift; case $word in */main.ts) break ;; esac; done; exec ${sandbox.commandLine([])} "$@"`;
  const env = {
    ...putOnPath(sandbox, { deno: own }),
    GITHUB_ACTIONS: "true",
    GITHUB_OUTPUT: `${sandbox.root}/output`,
    GITHUB_PATH: `${sandbox.root}/path`,
    RUNNER_TEMP: `${sandbox.root}/temp`,
  };
  for (const step of action.runs.steps.filter((step: Yaml) => step.run !== undefined)) {
    const more = Object.fromEntries(Object.entries(step.env).map(([name, value]) => [name, fill(String(value))]));
    const cwd = `${sandbox.project}/${fill(step["working-directory"] ?? ".")}`;
    // As GitHub runs "shell: bash".
    const ran = await sandbox.shell(`set -eo pipefail\n${step.run}`, { shell: "bash", cwd, env: { ...env, ...more } });
    assertEquals(ran.code, 0, ran.stdout + ran.stderr);
  }
  const outputs = Object.fromEntries(
    Deno.readTextFileSync(env.GITHUB_OUTPUT).trim().split("\n").map((line) => line.split("=")),
  );
  assertEquals(Object.keys(outputs).sort(), Object.keys(action.outputs).sort());
  const answer = await fetch(`${outputs.url}/a%20b`);
  assertEquals([answer.status, await answer.text()], [200, "hello world"]);
  const path = Deno.readTextFileSync(env.GITHUB_PATH).trim();
  const status = await sandbox.shell(`PATH=${path}:$PATH tombstone status web`, { env, cwd: `${sandbox.project}/app` });
  assertStringIncludes(status.stdout, `pid ${outputs.pid}`);
});

Deno.test({
  name: "run as the entry point of a container: pid 1 starts, tests, stops, and passes signals and exit code on",
  ignore: !canIsolate || !installed("redis-server", "redis-server"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const [block] = blocksOf("ci.md", "dockerfile").get("The entry point of a container")!;
    const words: string[] = JSON.parse(/^ENTRYPOINT (\[[^\]]*\])/m.exec(block!.replaceAll("\\\n", ""))![1]!);
    assertEquals(words.slice(0, 4), ["deno", "run", "-A", "tools/tombstone.js"]);
    const call = (test: string) =>
      sandbox.quote(
        `ip link set lo up; exec ${sandbox.commandLine([...words.slice(4), "sh", "-c", test])}`,
      );
    const inside = "exec unshare --net --pid --fork --kill-child --mount-proc sh -c";
    const looks = `redis-cli ping; ${sandbox.commandLine(["status", "redis", "--json"])} >status; exit 7`;
    const ran = await sandbox.shell(`${inside} ${call(looks)}`);
    assertEquals([ran.code, ran.stdout], [7, "PONG\n"], ran.stderr);
    // A run that is pid 1 is not taken for one that is gone.
    assertEquals(JSON.parse(Deno.readTextFileSync(`${sandbox.project}/status`)).state, "running");
    assertStringIncludes(ran.stderr, 'stopped "redis"');
    assertEquals(sandbox.processes(), []);
  },
});

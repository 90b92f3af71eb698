/** `init`: its proposals for projects that generators have made, and its instructions for agents. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { proposeNodes } from "../lib/spec/template.ts";
import { exists, fixture, Sandbox } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** The nodes for these files. */
function nodesFor(files: Record<string, string>): Record<string, unknown> {
  const path = (file: string) => file.replace(/^\.\//, "");
  return proposeNodes({ read: (file) => files[path(file)] ?? null, has: (file) => path(file) in files }).nodes;
}

const scripts = (names: Record<string, string>, more: Record<string, unknown> = {}) =>
  JSON.stringify({ scripts: names, ...more });

Deno.test("init knows the scripts of packages: Nest's, dev:NAME, and those that serve a page", () => {
  const nest = scripts({ build: "nest build", start: "nest start", "start:dev": "nest start --watch" });
  assertEquals(nodesFor({ "package.json": nest }), { web: { command: ["npm", "run", "start:dev"] } });
  const astro = scripts({ dev: "astro dev" }, { devDependencies: { astro: "^5.0.0" } });
  assertEquals(nodesFor({ "package.json": astro }), { web: { command: ["npm", "run", "dev"], probes: { http: "/" } } });
  const several = scripts({ "dev:api": "node api.js", "dev:web": "astro dev", build: "x" });
  assertEquals(nodesFor({ "package.json": several, "pnpm-lock.yaml": "" }), {
    api: { command: ["pnpm", "run", "dev:api"] },
    web: { command: ["pnpm", "run", "dev:web"] },
  });
  const deno = '{ // tasks\n  "tasks": { "dev": "deno serve main.ts", } }';
  assertEquals(nodesFor({ "deno.json": deno }), { web: { command: ["deno", "task", "dev"] } });
  assertEquals(nodesFor({ "deno.jsonc": deno }), { web: { command: ["deno", "task", "dev"] } });
  // The results of deno init, by version and flag: a program that prints, a library, a server.
  const task = (dev: string) => JSON.stringify({ tasks: { dev } });
  const main = "deno run --watch main.ts";
  const add = "export function add(a: number) { return a; }\nif (import.meta.main) console.log(add(2));\n";
  assertEquals(nodesFor({ "deno.json": task(main), "main.ts": 'console.log("Hello world!");\n' }), {});
  assertEquals(nodesFor({ "deno.json": task(main), "main.ts": add }), {});
  assertEquals(nodesFor({ "deno.json": task("deno test --watch"), "mod.ts": add }), {});
  for (const server of ["Deno.serve(() => new Response());", 'import { app } from "./app.ts";\napp();']) {
    const found = nodesFor({ "deno.json": task(main), "main.ts": server });
    assertEquals(found, { web: { command: ["deno", "task", "dev"] } });
  }
});

Deno.test("init asks for a port where it knows how the server can be told one, so that two worktrees have two", () => {
  const npm = ["npm", "run", "dev"];
  const vite = scripts({ dev: "vite" }, { devDependencies: { vite: "^8.0.0" } });
  const passed = ["--port", "{port}", "--strictPort"];
  const probes = { http: "/" };
  assertEquals(nodesFor({ "package.json": vite }), {
    web: { command: [...npm, "--", ...passed], port: "5173+", probes },
  });
  assertEquals(nodesFor({ "package.json": vite, "pnpm-lock.yaml": "" }), {
    web: { command: ["pnpm", "run", "dev", ...passed], port: "5173+", probes },
  });
  const next = (line: string) => nodesFor({ "package.json": scripts({ dev: line }, { dependencies: { next: "16" } }) });
  assertEquals(next("next dev --turbopack"), { web: { command: npm, port: "3000+", probes } });
  // It has one already.
  for (const line of ["next dev -p 4000", "next dev --port=4000", "PORT=4000 next dev", "vite --port 4000"]) {
    assertEquals(next(line), { web: { command: npm, probes } }, line);
  }
  const program = (line: string, file: string, text: string) =>
    nodesFor({ "package.json": scripts({ dev: line }), [file]: text }).web as { port?: string };
  const listens = "await app.listen(process.env.PORT ?? 3000);";
  assertEquals(program("nest start --watch", "src/main.ts", listens).port, "3000+");
  assertEquals(program("node ./bin/www", "bin/www", "normalizePort(process.env.PORT || '8080')").port, "8080+");
  assertEquals(program("nodemon server", "server.js", "const port = process.env['PORT'] || 4000").port, "4000+");
  assertEquals(program("node --watch src/app.js", "src/app.js", "app.listen(3000)").port, undefined);
  assertEquals(program("node a.js && node b.js", "a.js", listens).port, undefined);
});

Deno.test("init knows Django, Rails, Phoenix, rebar3 and Procfiles", () => {
  const answers = { http: "/", http_status: "200-499" };
  const django = "from django.core.management import execute_from_command_line";
  const served = ["manage.py", "runserver", "{port}"];
  const node = { command: ["python3", ...served], port: "8000+", probes: answers };
  assertEquals(nodesFor({ "manage.py": django }), { web: node });
  assertEquals(nodesFor({ "manage.py": django, "uv.lock": "" }), {
    web: { ...node, command: ["uv", "run", "python", ...served] },
  });
  assertEquals(nodesFor({ "manage.py": "print(1)" }), {});
  assertEquals(nodesFor({ "bin/rails": "", "config/application.rb": "" }), {
    web: {
      command: ["bin/rails", "server", "--port", "{port}"],
      port: "3000+",
      probes: answers,
      sweep_files: "tmp/pids/server.pid",
    },
  });
  assertEquals(nodesFor({ "mix.exs": '{:phoenix, "~> 1.8"}' }), {
    phoenix: { command: ["mix", "phx.server"], probes: { http: "/" } },
  });
  assertEquals(nodesFor({ "rebar.config": "{deps, []}.\n{shell, [{apps, [shop]}]}." }), {
    app: { command: ["rebar3", "shell"], stdin_open: true, probes: { log: "Booted" } },
  });
  assertEquals(nodesFor({ "rebar.config": "{deps, []}." }), {}); // a library
  assertEquals(nodesFor({ Procfile: "release: migrate\nworker: work\nweb: serve -p $PORT\n" }), {
    worker: { command: "work", probes: { none: true } },
    web: { command: "serve -p $PORT", port: 0 },
  });
  const both = { Procfile: "web: puma", "Procfile.dev": "web: bin/rails server -p $PORT\ncss: tailwind --watch" };
  assertEquals(Object.keys(nodesFor(both)), ["web", "css"]);
});

costly("init --agents: every command in the instructions works when typed", async () => {
  await using sandbox = await Sandbox.create();
  const write = (file: string, text: string) => Deno.writeTextFileSync(`${sandbox.project}/${file}`, text);
  write("tombstone.json", JSON.stringify({ nodes: { web: { command: fixture(), port: 0 } } }));
  write("package.json", JSON.stringify({ scripts: { dev: fixture("port=$PORT").join(" ") } }));
  const ran = await sandbox.run(["init", "--agents"]);
  assertEquals(ran.stdout, "wrote AGENTS.md\nwrote .claude/skills/tombstone/SKILL.md\n");
  const text = Deno.readTextFileSync(`${sandbox.project}/AGENTS.md`);
  const skill = Deno.readTextFileSync(`${sandbox.project}/.claude/skills/tombstone/SKILL.md`);
  assertMatch(skill, /^---\nname: tombstone\ndescription: .+\n---\n/);
  assertStringIncludes(skill, text);
  const lines = text.split("\n").filter((line) => line.startsWith("- "));
  const commands = lines.flatMap((line) => [...line.matchAll(/`([^`]+)`/g)].map(([, command]) => command!));
  assertEquals(lines.length, 7);
  for (const line of commands) {
    const inner = /\$\((.*)\)/.exec(line)?.[1] ?? line;
    const [program, ...words] = inner.replaceAll('"', "").split(" ");
    assertEquals(program, "tombstone", line);
    if (words.includes("--")) await sandbox.run(["stop"]); // another server of the same name
    const { code, stderr } = await sandbox.run(words);
    assertEquals(code, 0, `${line}: ${stderr}`);
  }
  assertEquals(sandbox.processes(), []); // the last one is stop
});

Deno.test("init --agents keeps the user's text and updates its own block", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/CLAUDE.md`;
  Deno.writeTextFileSync(`${sandbox.project}/rules.md`, "# Rules\n\nBe kind.");
  Deno.chmodSync(`${sandbox.project}/rules.md`, 0o640);
  Deno.symlinkSync("rules.md", path);
  assertStringIncludes((await sandbox.run(["init", "--agents"])).stdout, "updated CLAUDE.md\n");
  assertEquals(exists(`${sandbox.project}/AGENTS.md`), false);
  assertEquals([Deno.lstatSync(path).isSymlink, Deno.statSync(path).mode! & 0o777], [true, 0o640]);
  const fresh = Deno.readTextFileSync(path);
  assertMatch(fresh, /^# Rules\n\nBe kind\.\n\n<!-- tombstone: /);
  assertStringIncludes((await sandbox.run(["init", "--agents"])).stdout, "CLAUDE.md is up to date\n");
  Deno.writeTextFileSync(path, fresh.replace(/## Servers[^]*kill`/, "an old text") + "\nAnd tidy.\n");
  const { files } = await sandbox.json(["init", "--agents"]);
  assertEquals(Object.keys(files[0]), ["path", "changed"]); // as docs/json.md says
  assertEquals(files.map(({ changed }: { changed: boolean }) => changed), [true, false]);
  assertEquals(Deno.readTextFileSync(path), `${fresh}\nAnd tidy.\n`);
  const broken = fresh.replace("<!-- tombstone: end -->", "");
  Deno.writeTextFileSync(path, broken);
  const refused = await sandbox.run(["init", "--agents"]);
  assertEquals(refused.code, 2);
  assertStringIncludes(refused.stderr, "of the two lines around tombstone's block, one is missing or there twice");
  assertEquals(Deno.readTextFileSync(path), broken);
});

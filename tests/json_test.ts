/** docs/json.md, compared with what the commands print. */
import { assert, assertEquals } from "@std/assert";
import type { ErrorKind } from "../lib/errors.ts";
import { type Document, fixture, freePort, isRunning, ROOT, Sandbox, until } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

const SECTIONS = new Map(
  Deno.readTextFileSync(`${ROOT}/docs/json.md`).split(/^## /m).map((text) => [text.split("\n")[0]!, text]),
);

/** First table under a heading whose first column has this name: cells of the first column, then the others. */
function table(heading: string, first: string): [string, string[]][] {
  const [, rows] = new RegExp(`\\| ${first} +\\|[^\\n]*\\n\\|[- |]+\\n((?:\\|[^\\n]*\\n)+)`).exec(
    SECTIONS.get(heading)!,
  )!;
  return rows!.trimEnd().split("\n").map((row) => {
    const [name, ...others] = row.split("|").slice(1, -1).map((cell) => cell.trim());
    return [name!.replaceAll("`", ""), others];
  });
}

const typeOf = (value: unknown) => value === null ? "null" : Array.isArray(value) ? "array" : typeof value;

/** Every field of a document with its type; what is inside `recovered` and plain arrays is not looked into. */
function fieldsOf(document: Document, prefix = ""): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of Object.entries(document)) {
    const path = `${prefix}${name}`;
    const type = typeOf(value);
    const isNodes = Array.isArray(value) && typeOf(value[0]) === "object";
    if (isNodes) { for (const item of value) for (const field of fieldsOf(item, `${path}[].`)) fields.set(...field); }
    else if (type === "object" && name !== "recovered") {
      for (const field of fieldsOf(value as Document, `${path}.`)) fields.set(...field);
    } else fields.set(path, type);
  }
  return fields;
}

/** The document has exactly the fields of the tables, each of a type that they name. */
function assertDocumented(document: Document, ...headings: string[]): void {
  const documented = new Map(headings.flatMap((heading) => table(heading, "field")));
  const fields = fieldsOf(document);
  assertEquals([...fields.keys()].sort(), [...documented.keys()].sort(), headings.join(" and "));
  for (const [name, type] of fields) {
    assert(
      documented.get(name)![0]!.split(" or ").includes(type),
      `${name} is ${type}, not ${documented.get(name)![0]}`,
    );
  }
}

costly("documents of every command have the fields that docs/json.md tells, and no others", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--port", "0", "--", ...fixture("say=hello")];
  const started = await sandbox.json(start);
  for (const document of [started, await sandbox.json(start), await sandbox.json(["status", "web"])]) {
    assertDocumented(document, "A node");
  }
  assertDocumented(await sandbox.json(["wait", "web"]), "A node");
  assertDocumented(await sandbox.json(["wait", "--port", `:${started.port}`, "--file", "."]), "wait for anything else");
  assertDocumented(await sandbox.json(["restart", "web"]), "A node");
  assertDocumented(await sandbox.json(["logs", "web"]), "logs");
  assertDocumented(await sandbox.json(["doctor"]), "doctor");
  assertDocumented(await sandbox.json(["completions", "nodes"]), "completions");
  assertDocumented(await sandbox.json(["status", "--help"]), "help");
  assertEquals([...fieldsOf(await sandbox.json(["completions", "bash"]))], [["shell", "string"], ["script", "string"]]);
  assertEquals([...fieldsOf(await sandbox.json(["--version"]))], [["version", "string"]]);
  const run = ["run", "test", "--serve", fixture().join(" "), "--port", "0", "--", "true"];
  assertDocumented(await sandbox.json(run), "A node", "run");
  for (const command of [["status"], ["list"]]) {
    const { nodes } = await sandbox.json(command);
    assertEquals(nodes.length, 2);
    for (const node of nodes) assertDocumented(node, "A node");
  }
  Deno.writeTextFileSync(`${sandbox.project}/Procfile`, `one: ${fixture().join(" ")} port=$PORT\n`);
  const written = await sandbox.json(["init"]);
  assertEquals(written.nodes, { one: { command: `${fixture().join(" ")} port=$PORT`, port: 0 } });
  assertEquals(Object.keys(written), table("init", "field").map(([name]) => name));
  assertDocumented(await sandbox.json(["export", "compose"]), "export");
  assertDocumented(await sandbox.json(["export", "systemd", "-o", `${sandbox.root}/units`]), "export");
  const described = [["start"], ["restart"], ["start", "one"], ["run", "--", "true"], ["run", "one", "--", "true"]];
  for (const command of described) {
    const { nodes, test, ...one } = await sandbox.json(command);
    assertEquals(nodes === undefined, command.includes("one"), command.join(" "));
    const headings = command[0] === "run" ? ["A node", "run"] : ["A node"];
    assertDocumented({ ...(nodes?.[0] ?? one), ...(test === undefined ? {} : { test }) }, ...headings);
  }
  await sandbox.json(["stop", "one"]);
  Deno.removeSync(`${sandbox.project}/tombstone.json`);
  const { pid } = await sandbox.json(["status", "web"]);
  Deno.kill(pid, "SIGKILL");
  await until("it is gone", () => !isRunning(pid));
  for (const command of [["sweep", "web", "--dry-run"], ["sweep", "web"], ["sweep", "--all"]]) {
    const document = await sandbox.json(command);
    assertDocumented(document, "sweep");
    const { recovered } = document.nodes.at(-1);
    assertEquals(recovered === null, command.includes("--all"));
    if (recovered !== null) assertDocumented(recovered, "Recovery");
  }
  await sandbox.run(start, { env: { TOMBSTONE_FAILPOINT: "waiting" } });
  assertDocumented((await sandbox.json(start)).recovered, "Recovery");
  assertDocumented(await sandbox.json(["stop", "web", "test"]), "stop");
});

Deno.test("every state is documented with the exit code that status has", async () => {
  await using sandbox = await Sandbox.create();
  const documented = new Map(table("A node", "state").map(([state, [, code]]) => [state, Number(code)]));
  const seen = new Map<string, number>();
  const look = async () => {
    const { code, stdout } = await sandbox.run(["status", "web", "--json"]);
    seen.set(JSON.parse(stdout).state, code);
  };
  await look();
  const portFile = `${sandbox.project}/port`;
  const start = ["start", "web", "--port-file", portFile, "--", ...fixture(`port-file=${portFile}`)];
  const slow = sandbox.spawn([...start, "delay=600000"]);
  await until("it starts", () => sandbox.serversOf("web").length > 0);
  await look();
  slow.kill("SIGKILL");
  await slow.output();
  await look();
  await sandbox.run([...start, "exit=3"]);
  await look();
  const { pid, port, dir } = await sandbox.json(start);
  await look();
  Deno.writeTextFileSync(portFile, `${port}\nanother\n`);
  await look();
  Deno.kill(pid, "SIGKILL");
  await until("it is gone", () => !isRunning(pid));
  await look();
  Deno.writeTextFileSync(`${dir}/node.info`, "garbage");
  await look();
  assertEquals(Object.fromEntries([...seen].sort()), Object.fromEntries([...documented].sort()));
});

/** How to bring about each kind of error that can be; the others take a broken system. */
const CAUSES: Partial<
  Record<ErrorKind, (sandbox: Sandbox) => Promise<[args: string[], env?: Record<string, string>]>>
> = {
  "usage": () => Promise.resolve([["start", "--nonsense"]]),
  "command-not-found": () => Promise.resolve([["start", "--", "no-such-program"]]),
  "command-not-executable": () => Promise.resolve([["start", "--", "/etc/passwd"]]),
  "server-exited": () => Promise.resolve([["start", "--", ...fixture("exit=3", "say=bye")]]),
  "not-ready": () => Promise.resolve([["start", "--log", "x", "--timeout", "100ms", "--", "sleep", "60"]]),
  "port-in-use": async (sandbox) => {
    const port = freePort();
    sandbox.bystander(fixture(`port=${port}`));
    await until(
      "the stranger listens",
      async () => (await sandbox.shell(`exec 3<>/dev/tcp/127.0.0.1/${port}`, { shell: "bash" })).code === 0,
    );
    return [["start", "--port", String(port), "--", "sleep", "60"]];
  },
  "lock-timeout": async (sandbox) => {
    sandbox.spawn(["start", "--log", "never", "--", "sleep", "60"]);
    await until("it starts", () => sandbox.serversOf("project").length > 0);
    return [["start", "--lock-timeout", "100ms", "--", "true"]];
  },
  "state": () => Promise.resolve([["start", "--", "sleep", "60"], { TOMBSTONE_STATE_DIR: "/proc/state" }]),
  "foreign-state": async (sandbox) => {
    const { dir } = await sandbox.json(["start", "--no-probe", "--", "sleep", "60"]);
    const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
    Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, host_id: "another" }));
    return [["stop"]];
  },
  "different-running": async (sandbox) => {
    await sandbox.json(["start", "--no-probe", "--", "sleep", "60"]);
    return [["start", "--no-probe", "--", "sleep", "61"]];
  },
  "nothing-there": () => Promise.resolve([["restart"]]),
};

for (const [kind, cause] of Object.entries(CAUSES)) {
  Deno.test(`an error of kind ${kind} has the documented exit code and fields`, async () => {
    await using sandbox = await Sandbox.create();
    const [args, env = {}] = await cause(sandbox);
    const at = args.indexOf("--") < 0 ? args.length : args.indexOf("--");
    const ran = await sandbox.run([...args.slice(0, at), "--json", ...args.slice(at)], { env });
    const { error, ...others } = JSON.parse(ran.stdout);
    assertEquals([error.kind, error.exit_code, others], [kind, ran.code, {}], ran.stdout);
    const [, [code, , more]] = table("Errors", "kind").find(([name]) => name === kind)!;
    assertEquals(String(ran.code), code);
    const common = table("Errors", "field").map(([name]) => name.replace("error.", ""));
    const allowed = [...common, ...[...more!.matchAll(/`(\w+)`/g)].map((match) => match[1]!)];
    for (const name of Object.keys(error)) assert(allowed.includes(name), `${kind} has ${name}`);
    for (const name of common) assert(name in error, name);
  });
}

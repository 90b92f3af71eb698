/** Commands for one node that meet: whoever comes second waits, and the end is as if they had come one by one. */
import { assert, assertEquals } from "@std/assert";
import {
  accepts,
  type Document,
  exists,
  fixture,
  freePort,
  isRunning,
  kill,
  Sandbox,
  until,
  untilCheckedAgain,
} from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** A server that takes its time to go. */
const leisurely = (milliseconds: number) => [
  "sh",
  "-c",
  `trap 'sleep ${milliseconds / 1000}; exit 0' TERM; ${fixture().join(" ")} & while :; do sleep 0.02; done`,
];

/** Whether a process was called with exactly these words, each ended by NUL. */
function runs(pid: number, words: string): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`) === words;
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return false;
    throw error;
  }
}

Deno.test("stop during a start waits for it, and stops what it started", async () => {
  await using sandbox = await Sandbox.create();
  const gate = `${sandbox.project}/go`;
  const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${fixture().join(" ")}`;
  const starting = sandbox.json(["start", "web", "--port", "0", "--", "sh", "-c", script]);
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  const stopping = sandbox.run(["stop", "web"]);
  await until("stop waits", () => sandbox.processes().length > 2);
  Deno.writeTextFileSync(gate, "");
  const started: Document = await starting;
  const { code, stdout, stderr } = await stopping;
  assertEquals([started.started, code], [true, 0]);
  assert(stdout.includes(`stopped "web"`), stdout + stderr);
  assertEquals(sandbox.processes(), []);
  assertEquals(sandbox.runtimeFiles("web"), []);
});

Deno.test("a start during a stop waits until the old server and its port are gone", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", String(freePort()), "--", ...leisurely(400)];
  const first = await sandbox.json(args);
  const stopping = sandbox.json(["stop", "web"]);
  await until("stop has asked", () => sandbox.processes().some((pid) => runs(pid, "sleep\x000.4\0")));
  const second = await sandbox.json(args);
  assertEquals((await stopping).nodes[0].stopped, true);
  assertEquals([second.started, isRunning(first.pid)], [true, false]);
  await sandbox.assertOneServer("web");
});

costly("stops at once: one stops it, the others find it stopped", async () => {
  await using sandbox = await Sandbox.create();
  for (let round = 0; round < 5; round++) {
    await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("child")]);
    const all = await Promise.all(Array.from({ length: 4 }, () => sandbox.json(["stop", "web"])));
    assertEquals(all.filter(({ nodes }: Document) => nodes[0].stopped).length, 1);
    assertEquals(sandbox.processes(), []);
  }
});

costly("starts, stops, restarts and sweeps at once: no error, and one server or none", async () => {
  await using sandbox = await Sandbox.create();
  sandbox.bystander();
  const start = ["start", "web", "--port", String(freePort()), "--", ...fixture()];
  await sandbox.json(start);
  for (let round = 0; round < 5; round++) {
    const commands = [start, ["stop", "web"], ["restart", "web"], ["sweep", "web"], start, ["status", "web"]];
    const all = await Promise.all(commands.map((command) => sandbox.run(command)));
    for (const [index, { code, stderr }] of all.entries()) {
      const [name] = commands[index]!;
      // A restart after a stop has nothing to go by; a status tells what it meets.
      const codes = name === "restart" ? [0, 3] : name === "status" ? [0, 1, 3] : [0];
      assert(codes.includes(code), `${name} exited with ${code}: ${stderr}`);
    }
    const { state } = JSON.parse((await sandbox.run(["status", "web", "--json"])).stdout);
    if (state === "running") await sandbox.assertOneServer("web");
    else assertEquals([state, sandbox.processes()], ["stopped", []]);
    await sandbox.json(start);
  }
});

costly("a stop that is killed half-way: the next stop or start goes on from there", async () => {
  await using sandbox = await Sandbox.create();
  const [asked, leave] = [`${sandbox.project}/asked`, `${sandbox.project}/leave`];
  const onTerm = `touch ${asked}; until [ -e ${leave} ]; do sleep 0.02; done; exit 0`;
  const script = `trap '${onTerm}' TERM; ${fixture().join(" ")} & while :; do sleep 0.02; done`;
  const args = ["start", "web", "--port", String(freePort()), "--stop-timeout", "60s", "--", "sh", "-c", script];
  for (const next of [["stop", "web"], args, ["restart", "web"], ["sweep", "web"]]) {
    await sandbox.json(args);
    const stop = sandbox.spawn(["stop", "web"]);
    const output = stop.output();
    await until("the server was asked to go", () => exists(asked));
    kill(stop);
    await output;
    const status = await sandbox.json(["status", "web"]);
    assertEquals([status.state, status.reason], ["running", "a stop of it was interrupted"]);
    Deno.writeTextFileSync(leave, "");
    await sandbox.json(next);
    await sandbox.json(args);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
    for (const file of [asked, leave]) Deno.removeSync(file);
  }
});

Deno.test("a running server that ends while a start waits for its probes is started anew", async () => {
  await using sandbox = await Sandbox.create();
  const gate = `${sandbox.project}/gone`;
  const wait = `while [ ! -e ${gate} ]; do sleep 0.02; done`;
  const leave = `${sandbox.project}/leave`;
  const stay = `while [ ! -e ${leave} ]; do sleep 0.02; done`;
  const script = `[ -e ${gate} ] && exec ${fixture().join(" ")}; ${fixture().join(" ")} & ${wait}; kill $!; ${stay}`;
  const start = ["start", "web", "--port", String(freePort()), "--", "sh", "-c", script];
  const first = await sandbox.json(start);
  Deno.writeTextFileSync(gate, "");
  await until("it listens no more", async () => !(await accepts(first.port)));
  const starter = sandbox.spawn([...start.slice(0, 2), "--json", "--verbose", ...start.slice(2)]);
  const stdout = new Response(starter.stdout).text();
  let said = "";
  const reading = (async () => {
    for await (const text of starter.stderr.pipeThrough(new TextDecoderStream())) said += text;
  })();
  await until("it has the lock", () => said.includes("locked"));
  await untilCheckedAgain(starter);
  Deno.writeTextFileSync(leave, "");
  const second = JSON.parse(await stdout);
  await Promise.all([reading, starter.status]);
  assertEquals([second.started, second.recovered.reason], [true, "died"]);
  await sandbox.assertOneServer("web");
});

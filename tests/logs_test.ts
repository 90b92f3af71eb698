/** The server's log: what is kept of it, and that it stays bounded while the server writes. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fixture, isRunning, kill, Sandbox, until } from "./support/sandbox.ts";

/** Writes numbered lines of 100 bytes for ever, and between any two of them the number of the last one into a file. */
const WRITER = `let n = 0; const fs = require("fs");
  const write = () => {
    for (let i = 0; i < 200; i++) fs.writeSync(1, String(++n).padStart(99, ".") + "\\n");
    fs.writeFileSync("count.tmp", String(n)); fs.renameSync("count.tmp", "count");
    setTimeout(write, 1);
  }; write();`;

const numbers = (text: string) => text.trimEnd().split("\n").map((line) => Number(line.replace(/^\.+/, "")));

Deno.test("a log above --log-max is cut to its end by later commands, and the server goes on writing", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--log-max", "1MB", "--log", "5000$", "--", "node", "-e", WRITER];
  const { pid, log } = await sandbox.json(start);
  const count = () => Number(Deno.readTextFileSync(`${sandbox.project}/count`));
  const inode = Deno.statSync(log).ino;
  let cuts = 0;
  for (const command of [["status", "web"], ["list"], ["logs", "web", "-n", "1"], ["wait", "web"], start]) {
    await until("the log is too long", () => Deno.statSync(log).size > 1_000_000);
    const before = count();
    await sandbox.json(command);
    const { size, ino } = Deno.statSync(log);
    assertEquals(ino, inode, "the server keeps its file");
    if (size < 1_000_000) cuts++;
    await until("the server goes on", () => count() > before + 1000);
  }
  assertEquals(cuts, 5);
  Deno.kill(pid, "SIGSTOP");
  const kept = numbers(Deno.readTextFileSync(log));
  // What was kept is whole lines, in order; each cut may lose what was written in the same instant, and no more.
  assert(kept.every((number, at) => at === 0 || number > kept[at - 1]!), "in order, none twice");
  const missing = kept.at(-1)! - kept[0]! + 1 - kept.length;
  assert(missing <= 5 * 200, `${missing} lines are missing`);
  assert(Math.abs(kept.at(-1)! - count()) <= 200, "the end is there");
});

Deno.test("a cut that is killed at any point leaves the end of the log, and the next command cuts it", async () => {
  await using sandbox = await Sandbox.create();
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => String(from + at).padStart(99, ".") + "\n").join("");
  const script = 'node -e \'process.stdout.write(require("fs").readFileSync("lines"))\'; echo done; exec sleep 600';
  Deno.writeTextFileSync(`${sandbox.project}/lines`, lines(1, 200_000));
  const start = ["start", "web", "--log-max", "0", "--log", "done", "--", "sh", "-c", script];
  const { dir, log } = await sandbox.json(start);
  const whole = Deno.statSync(log).size;
  assert(whole > 19_000_000, "0 stands for no limit");
  const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
  Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, log: { keep: 3, max_bytes: 10_000_000 } }));
  const ends = new Set<string>();
  for (let round = 0; Deno.statSync(log).size > 10_000_000; round++) {
    const child = sandbox.spawn(["status", "web"]);
    // Later in each round: first before it has begun, at last after it has ended.
    const timer = setTimeout(() => kill(child), 10 + round * 2);
    await child.output();
    clearTimeout(timer);
    const text = Deno.readTextFileSync(log);
    ends.add(text.slice(-5));
    assert(text.endsWith(`${"199999".padStart(99, ".")}\ndone\n`), "the end is there");
    assert(round < 200);
  }
  assertEquals([...ends], ["done\n"]);
  const kept = Deno.readTextFileSync(log).trimEnd().split("\n");
  assertEquals(numbers(kept.slice(0, -1).join("\n")).length, kept.length - 1);
});

Deno.test("--log-keep says how many logs of earlier starts are kept; what was too long is cut when it is put away", async () => {
  await using sandbox = await Sandbox.create();
  const start = (keep: string, text: string) =>
    sandbox.json(["start", "web", "--port", "0", "--log-keep", keep, "--", ...fixture(`say=${text}`)]);
  const logs = () =>
    [...Deno.readDirSync(sandbox.nodeDir("web"))].map((entry) => entry.name)
      .filter((name) => name.startsWith("server.log")).sort();
  for (const keep of ["5", "5", "5", "5", "5", "5", "5"]) {
    await start(keep, keep);
    await sandbox.json(["stop", "web"]);
  }
  assertEquals(logs(), ["server.log", ...[1, 2, 3, 4, 5].map((number) => `server.log.${number}`)]);
  await start("1", "last but one");
  await sandbox.json(["stop", "web"]);
  assertEquals(logs(), ["server.log", "server.log.1"]);
  await start("0", "last");
  assertEquals(logs(), ["server.log"]);
  await sandbox.json(["stop", "web"]);
  Deno.writeTextFileSync(`${sandbox.nodeDir("web")}/server.log`, "x".repeat(99_999) + "\nthe end\n");
  await sandbox.json(["start", "web", "--port", "0", "--log-max", "10kB", "--", ...fixture()]);
  assertEquals((await sandbox.json(["logs", "web", "--previous"])).lines, ["the end"]);
});

Deno.test("logs -f goes on when the log is cut meanwhile", async () => {
  await using sandbox = await Sandbox.create();
  const { pid, log } = await sandbox.json([
    "start",
    "web",
    "--log-max",
    "1MB",
    "--log",
    "1000$",
    "--",
    "node",
    "-e",
    WRITER,
  ]);
  const follower = sandbox.spawn(["logs", "web", "-f", "-n", "1"]);
  const seen: number[] = [];
  let rest = "";
  const reading = (async () => {
    for await (const text of follower.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) seen.push(Number(line.replace(/^\.+/, "")));
    }
  })();
  await until("the log is too long", () => Deno.statSync(log).size > 1_000_000);
  await sandbox.json(["status", "web"]);
  const last = Number(Deno.readTextFileSync(`${sandbox.project}/count`));
  await until("the follower goes on", () => seen.at(-1)! > last + 400);
  assert(isRunning(pid));
  follower.kill("SIGINT");
  await follower.status;
  await follower.stderr.cancel();
  await reading;
});

Deno.test("status of a dead node tells when it was last heard, and its last lines; that of any other does not", async () => {
  await using sandbox = await Sandbox.create();
  const script = "for i in $(seq 1 30); do echo line $i; done; echo the cause; exec sleep 600";
  const start = ["start", "web", "--log", "the cause", "--", "sh", "-c", script];
  const { pid, log, last_log_at, log_tail } = await sandbox.json(start);
  assertEquals([last_log_at, log_tail], [null, []]);
  const heard = Deno.statSync(log).mtime!.toISOString();
  Deno.kill(pid, "SIGKILL");
  await until("it is gone", () => !isRunning(pid));
  const status = await sandbox.json(["status", "web"], { code: 1 });
  assertEquals([status.state, status.last_log_at, status.log_tail.length], ["died", heard, 10]);
  assertEquals(status.log_tail.at(-1), "the cause");
  const text = (await sandbox.run(["status", "web"])).stdout;
  assertMatch(text, /^web: died, pid \d+ is gone, last heard \d+s ago\nthe last lines of its log:\n {2}\| line 22\n/);
  assert(text.endsWith("  | the cause\n"));
  const of = async (command: string, code: number) => (await sandbox.json([command], { code })).nodes[0];
  assertEquals((await of("status", 1)).log_tail, status.log_tail);
  const { log_tail: none, last_log_at: at } = await of("list", 0);
  assertEquals([none, at], [[], heard], "a list of many stays short");
  // A log that is too long is cut by whoever reads it, which is nothing that the server has written.
  const info = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/node.info`));
  Deno.writeTextFileSync(
    `${sandbox.nodeDir("web")}/node.info`,
    JSON.stringify({ ...info, log: { keep: 3, max_bytes: 50 } }),
  );
  await sandbox.json(["logs", "web"]);
  assert(Deno.statSync(log).size <= 50);
  assertEquals((await sandbox.json(["status", "web"], { code: 1 })).last_log_at, heard);
  await sandbox.json(["stop", "web"]);
  const stopped = await sandbox.json(["status", "web"], { code: 3 });
  assertEquals([stopped.last_log_at, stopped.log_tail], [null, []]);
  const failing = ["start", "bad", "--port", "0", "--", "sh", "-c", "echo why; exit 1"];
  await sandbox.json(failing, { code: 1 });
  assertEquals((await sandbox.json(["status", "bad"], { code: 1 })).log_tail, ["why"]);
  const mute = await sandbox.json(["start", "mute", "--no-probe", "--", "sleep", "600"]);
  Deno.kill(mute.pid, "SIGKILL");
  await until("it is gone", () => !isRunning(mute.pid));
  assertEquals((await sandbox.json(["status", "mute"], { code: 1 })).last_log_at, null, "it has never said anything");
});

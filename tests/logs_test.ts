/** The server's log: what is kept of it, and that it stays bounded while the server writes. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { exists, fixture, isRunning, kill, Sandbox, until } from "./support/sandbox.ts";
import { Tail } from "../lib/state/log_tail.ts";
import { costly } from "./support/tier.ts";

/** Writes numbered lines of 100 bytes for ever, and between any two of them the number of the last one into a file. */
const WRITER = `let n = 0; const fs = require("fs");
  const write = () => {
    for (let i = 0; i < 200; i++) fs.writeSync(1, String(++n).padStart(99, ".") + "\\n");
    fs.writeFileSync("count.tmp", String(n)); fs.renameSync("count.tmp", "count");
    setTimeout(write, 1);
  }; write();`;

const numbers = (text: string) => text.trimEnd().split("\n").map((line) => Number(line.replace(/^\.+/, "")));

Deno.test("logs --follow of a silent server ends when nobody reads it any more", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.json(["start", "web", "--port", "0", "--", ...fixture("say=hello")]);
  const ran = await sandbox.shell(`${sandbox.commandLine(["logs", "web", "--follow"])} | head -n 1`);
  assertEquals([ran.code, ran.stdout], [0, "hello\n"], ran.stderr);
});

Deno.test("a log that grows faster than it is copied is copied in parts, and nothing is lost at a new start's log", () => {
  const dir = Deno.makeTempDirSync({ prefix: "tombstone-" });
  try {
    const path = `${dir}/server.log`;
    Deno.writeTextFileSync(path, "a".repeat(300_000));
    using tail = Tail.open(path, null)!;
    let copied = "";
    const emit = (bytes: Uint8Array) => {
      copied += new TextDecoder().decode(bytes);
      return "written" as const;
    };
    const copy = () => tail.copy(emit, { mostMs: -1, onNext: () => copied += "\n" });
    copy();
    const first = copied.length;
    assert(first > 0 && first < 300_000);
    Deno.renameSync(path, `${path}.1`);
    Deno.writeTextFileSync(path, "b".repeat(100_000));
    copy();
    assert(copied.length > first && copied.length < 300_000);
    for (let count = 0; count < 20; count++) copy();
    assertEquals(copied, `${"a".repeat(300_000)}\n${"b".repeat(100_000)}`);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a log above --log-max is cut to its end by later commands, and the server goes on writing", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["start", "web", "--log-max", "1MB", "--log", "5000$", "--", "node", "-e", WRITER];
  const { pid, log } = await sandbox.json(start);
  const count = () => Number(Deno.readTextFileSync(`${sandbox.project}/count`));
  const inode = Deno.statSync(log).ino;
  const first = () => numbers(Deno.readTextFileSync(log).slice(0, 100))[0]!;
  for (const command of [["status", "web"], ["list"], ["logs", "web", "-n", "1"], ["wait", "web"], start]) {
    await until("the log is too long", () => Deno.statSync(log).size > 1_000_000);
    const [before, firstBefore] = [count(), first()];
    await sandbox.json(command);
    assertEquals(Deno.statSync(log).ino, inode, "the server keeps its file");
    assert(first() > firstBefore, `${command.join(" ")} cuts it`);
    await until("the server goes on", () => count() > before + 1000);
  }
  Deno.kill(pid, "SIGSTOP");
  const kept = numbers(Deno.readTextFileSync(log));
  // What was kept is whole lines, in order; each cut may lose what was written in the same instant, and no more.
  assert(kept.every((number, at) => at === 0 || number > kept[at - 1]!), "in order, none twice");
  const missing = kept.at(-1)! - kept[0]! + 1 - kept.length;
  assert(missing <= 5 * 200, `${missing} lines are missing`);
  assert(Math.abs(kept.at(-1)! - count()) <= 200, "the end is there");
});

costly("a cut that is killed at any point leaves the end of the log, and the next command cuts it", async () => {
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

costly(
  "--log-keep says how many logs of earlier starts are kept; what was too long is cut when it is put away",
  async () => {
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
  },
);

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

Deno.test("status of a dead node shows the time of its last output and its last lines; status of other nodes does not", async () => {
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
  assertMatch(text, /^web: died, pid \d+ is gone, last output \d+s ago\nthe last lines of its log:\n {2}\| line 22\n/);
  assert(text.endsWith("  | the cause\n"));
  const of = async (command: string, code: number) => (await sandbox.json([command], { code })).nodes[0];
  assertEquals((await of("status", 1)).log_tail, status.log_tail);
  const { log_tail: none, last_log_at: at } = await of("list", 0);
  assertEquals([none, at], [[], heard], "a list of many stays short");
  // A command that reads a log cuts it if it is too long; that is not output of the server.
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

/** A node whose log has these lines, and that writes no more. */
async function nodeWithLog(sandbox: Sandbox, node: string, lines: string[]): Promise<{ pid: number; log: string }> {
  Deno.writeTextFileSync(`${sandbox.project}/${node}.txt`, lines.map((line) => `${line}\n`).join(""));
  const script = `cat ${node}.txt; echo; echo that is all; exec sleep 600`;
  return await sandbox.json(["start", node, "--log", "^that is all", "--", "sh", "-c", script]);
}

const numbered = (from: number, to: number, text = "line") =>
  Array.from({ length: to - from + 1 }, (_, at) => `${text} ${from + at}`);

Deno.test("logs --grep shows the last matching lines, ignores colours, and with -f shows new ones", async () => {
  await using sandbox = await Sandbox.create();
  const lines = numbered(1, 1000).flatMap((line, at) => at % 2 === 0 ? [line] : [`\x1b[31mERR\x1b[0mOR ${line}\r`]);
  const { log } = await nodeWithLog(sandbox, "web", lines);
  const two = await sandbox.json(["logs", "web", "--grep", "^ERROR line", "-n", "2"]);
  assertEquals(two.lines, ["\x1b[31mERR\x1b[0mOR line 998\r", "\x1b[31mERR\x1b[0mOR line 1000\r"]);
  assertEquals(two.left_out, 498);
  const many = await sandbox.run(["logs", "web", "--grep", "ERROR"]);
  assertEquals(many.stdout.split("\n").length, 201);
  assertMatch(many.stderr, /^"web": 300 earlier lines left out/);
  const none = await sandbox.run(["logs", "web", "--grep", "no such thing"]);
  assertEquals([none.code, none.stdout, none.stderr], [0, "", '"web": no line matches\n']);

  const follower = sandbox.spawn(["logs", "web", "-f", "--grep", "ERROR", "-n", "1"]);
  let seen = "";
  const reading = (async () => {
    for await (const text of follower.stdout.pipeThrough(new TextDecoderStream())) seen += text;
  })();
  await until("the last one is shown", () => seen.includes("line 1000"));
  Deno.writeTextFileSync(log, "nothing\nan ERR", { append: true });
  Deno.writeTextFileSync(log, "OR in two parts\nnothing\n", { append: true });
  await until("the new one is shown", () => seen.includes("an ERROR in two parts\n"));
  assert(!seen.includes("nothing"));
  follower.kill("SIGINT");
  await Promise.all([follower.status, follower.stderr.cancel(), reading]);
});

Deno.test("a slow pattern does not block logs --grep; a warning counts the lines that took too long", async () => {
  await using sandbox = await Sandbox.create();
  await nodeWithLog(sandbox, "web", ["aab", `${"a".repeat(40)}bc`, "b", "aaab"]);
  const ran = await sandbox.run(["logs", "web", "--grep", "^(a+)+b$"]);
  assertEquals([ran.code, ran.stdout], [0, "aab\naaab\n"]);
  assertMatch(ran.stderr, /"web": a line took too long to match/);
});

Deno.test("logs --max-bytes gives whole lines from the end, for all nodes together, and says what it left out", async () => {
  await using sandbox = await Sandbox.create();
  await nodeWithLog(sandbox, "web", numbered(1, 500, "a line with some text"));
  await nodeWithLog(sandbox, "few", ["short"]);
  const one = await sandbox.run(["logs", "web", "--max-bytes", "1kB"]);
  assert(one.stdout.length <= 1000 && one.stdout.length > 950, String(one.stdout.length));
  assert(one.stdout.startsWith("a line") && one.stdout.endsWith("that is all\n"));
  const left = 502 - one.stdout.trimEnd().split("\n").length;
  assertEquals(one.stderr, `"web": ${left} earlier lines left out by --max-bytes 1000\n`);
  assertEquals((await sandbox.json(["logs", "web", "--max-bytes", "1000"])).left_out, left);
  const both = await sandbox.run(["logs", "--max-bytes", "1000"]);
  assert(both.stdout.length <= 1000 && both.stdout.length > 950, "with the names of the nodes");
  assert(both.stdout.includes("few | short\n"), "who needs less than a fair share gets all");
  const grep = await sandbox.json(["logs", "web", "--max-bytes", "60", "--grep", "some text"]);
  assertEquals(grep.lines, ["a line with some text 499", "a line with some text 500"]);
  assertEquals((await sandbox.json(["logs", "web", "--max-bytes", "5"])).lines, [], "not half of a line");
});

costly(
  "logs --since-last shows each line once to each reader, across starts, cuts and damaged position files",
  async () => {
    await using sandbox = await Sandbox.create();
    const { log } = await nodeWithLog(sandbox, "web", numbered(1, 300));
    const write = (text: string) => Deno.writeTextFileSync(log, text, { append: true });
    const since = async (session = "") =>
      (await sandbox.json(["logs", "web", "--since-last"], { env: { TOMBSTONE_SESSION: session } })).lines;
    assertEquals((await since()).length, 200, "the first time, the last lines");
    const again = await sandbox.run(["logs", "web", "--since-last"]);
    assertEquals([again.code, again.stdout, again.stderr], [0, "", '"web": nothing new\n']);
    write("one\ntwo\nthr");
    assertEquals(await since(), ["one", "two"], "a line that goes on is not shown yet");
    write("ee\n");
    assertEquals(await since(), ["three"]);
    assertEquals((await since("../an agent's")).at(-1), "three", "another reader has a place of its own");
    write("four\n");
    assertEquals([await since("../an agent's"), await since("../an agent's"), await since()], [["four"], [], ["four"]]);

    write("last words");
    await sandbox.json(["restart", "web"]);
    const env = { TOMBSTONE_SESSION: "" };
    const { lines } = await sandbox.json(["logs", "web", "--since-last", "-n", "all"], { env });
    assertEquals(
      [lines.slice(0, 2), lines.length],
      [["last words", "line 1"], 303],
      "the rest of the log before, and the new one",
    );
    assertEquals(await since(), []);

    write(numbered(1, 3000, "more").map((line) => `${line}\n`).join(""));
    await since();
    write("after\n");
    const info = JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/node.info`));
    Deno.writeTextFileSync(
      `${sandbox.nodeDir("web")}/node.info`,
      JSON.stringify({ ...info, log: { keep: 3, max_bytes: 4000 } }),
    );
    assertEquals(await since(), ["after"], "the log was cut in place, and the place is found again");
    assert(Deno.statSync(log).size < 4000);
    write(numbered(1, 900, "lots").map((line) => `${line}\n`).join(""));
    const lots = await since();
    assertEquals(
      [lots.length, lots.at(-1)],
      [200, "lots 900"],
      "the place itself was cut away: all that is left is new",
    );

    const path = `${sandbox.nodeDir("web")}/reader.default.json`;
    for (const text of ["", "{}", "\0\xff", '{"schema":1,"inode":1,"at":-1,"mark":"?"}', '{"schema":2}']) {
      Deno.writeTextFileSync(path, text);
      assertEquals((await since()).at(-1), "lots 900", text);
      assertEquals(await since(), []);
    }
    Deno.removeSync(path);
    Deno.mkdirSync(`${path}/in the way`, { recursive: true });
    assertEquals((await since()).at(-1), "lots 900");
    assertEquals(await since(), []);
    await sandbox.json(["stop", "web"]);
    assertEquals(
      sandbox.runtimeFiles("web").filter((name) => !name.startsWith("reader.")),
      [],
      "places stay, as logs do",
    );
    await sandbox.json(["forget", "web"]);
    assert(!exists(path), "and are forgotten with them");
  },
);

Deno.test("invalid calls of logs fail with a hint that helps", async () => {
  await using sandbox = await Sandbox.create();
  await nodeWithLog(sandbox, "web", ["line"]);
  const cases: [string[], string][] = [
    [["--grep", "("], "--grep 'listening on .*:\\d+'"],
    [["--grep"], "--grep=REGEX"],
    [["-n", "some"], "--lines 20"],
    [["--max-bytes", "much"], "--max-bytes 50MB"],
    [["-f", "--since-last"], "tombstone logs --since-last"],
    [["-f", "--max-bytes", "10kB"], "tombstone logs --max-bytes 10kB"],
    [["-f", "--json"], "tombstone logs --json"],
    [["--since-last", "--previous"], "tombstone logs --since-last"],
  ];
  for (const [args, hint] of cases) {
    const { code, stdout, stderr } = await sandbox.run(["logs", "web", ...args]);
    const said = args.includes("--json") ? JSON.parse(stdout).error.hint : /^hint: (.*)$/m.exec(stderr)?.[1];
    assertEquals([code, said], [2, hint], args.join(" "));
  }
});

Deno.test("the tail of a failed start has the error, though its stack is longer", async () => {
  await using sandbox = await Sandbox.create();
  const script =
    "echo booting; echo 'Error: listen EACCES: 0.0.0.0:80'; for at in $(seq 40); do echo \"    at f$at\"; done; exit 1";
  const { error } = await sandbox.json(["start", "web", "--port", "0", "--", "sh", "-c", script], { code: 1 });
  assertEquals(error.log_tail.length, 20);
  assertEquals(error.log_tail.slice(0, 3), ["Error: listen EACCES: 0.0.0.0:80", "… 22 more lines", "    at f23"]);
  const { log_tail } = await sandbox.json(["status", "web"], { code: 1 });
  assertEquals([log_tail.length, log_tail[0]], [10, "Error: listen EACCES: 0.0.0.0:80"]);
});

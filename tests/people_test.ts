/** What people see: progress, colours, tables, traces, the doctor and completions. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { COMMANDS } from "../lib/cli/table.ts";
import { fixture, forgeNode, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { plainLines } from "../lib/cli/progress.ts";
import { costly, TIER } from "./support/tier.ts";

const hasScript = installed("script", "bsdutils");

/** Runs the tool on a pseudo-terminal; what the terminal got. */
async function onTerminal(sandbox: Sandbox, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await new Deno.Command("script", {
    args: ["-q", "-c", sandbox.commandLine(args), "/dev/null"],
    cwd: sandbox.project,
    env: sandbox.env({ NO_COLOR: "", TERM: "xterm", ...env }),
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

// deno-lint-ignore no-control-regex
const COLOUR = /\x1b\[\d+m/;

Deno.test({
  name:
    "a start that takes its time shows node, time, what it waits for and the last log line, on one line of a terminal",
  ignore: TIER === "fast" || !hasScript,
  async fn() {
    await using sandbox = await Sandbox.create();
    const start = [
      "start",
      "web",
      "--log",
      "never",
      "--timeout",
      "3s",
      "--",
      "sh",
      "-c",
      "echo booting; exec sleep 60",
    ];
    const seen = await onTerminal(sandbox, start);
    const frames = seen.split("\r\x1b[2K");
    // deno-lint-ignore no-control-regex
    const plain = frames.map((frame) => frame.replace(/\x1b\[[?\d]*[mhl]/g, ""));
    assert(
      plain.some((frame) => /^web {2}\d\.\ds {2}no line of its log matches \/never\/ {2}\| booting$/.test(frame)),
      seen,
    );
    assert(plain.every((frame, at) => at === plain.length - 1 || !frame.includes("\n")), "it stays on its line");
    assertMatch(plain.at(-1)!, /^Cannot start "web": not ready within 3000 ms/);
    const quiet = await onTerminal(sandbox, [...start.slice(0, 2), "--quiet", ...start.slice(2)]);
    assert(!quiet.includes("\x1b[2K"), quiet);
  },
});

costly("elsewhere plain lines tell every few seconds what is waited for, but not with --quiet", async () => {
  await using sandbox = await Sandbox.create();
  const start = ["--log", "never", "--timeout", "4500ms", "--", "sleep", "60"];
  const [told, quiet] = await Promise.all([
    sandbox.run(["start", "a", ...start]),
    sandbox.run(["start", "b", "--quiet", ...start]),
  ]);
  assertMatch(told.stderr, /^(waiting for "a" for \d s: no line of its log matches \/never\/\n)+Cannot start "a"/);
  assertMatch(quiet.stderr, /^Cannot start "b"/);
});

Deno.test("a plain line is written only where there is something to wait for", () => {
  const now = performance.now;
  const lines: string[] = [];
  try {
    let time = 0;
    performance.now = () => time;
    using waiting = plainLines('waiting for "web"', (line) => lines.push(line));
    for (time of [2000, 3100, 3200]) waiting.update([]); // a stop that has just ended the last one, and looks again
    waiting.update(["pid 7 (node) has not ended"]);
  } finally {
    performance.now = now;
  }
  assertEquals(lines, ['waiting for "web" for 3 s: pid 7 (node) has not ended']);
});

Deno.test({
  name: "colours show on a terminal, unless NO_COLOR is set or the terminal is dumb",
  ignore: !hasScript,
  async fn() {
    await using sandbox = await Sandbox.create();
    await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
    for (const args of [["status"], ["status", "web"], ["list"], ["doctor"]]) {
      assertMatch(await onTerminal(sandbox, args), COLOUR);
      assert(!COLOUR.test(await onTerminal(sandbox, args, { NO_COLOR: "1" })));
      assert(!COLOUR.test(await onTerminal(sandbox, args, { TERM: "dumb" })));
      assert(!COLOUR.test((await sandbox.run(args, { env: { NO_COLOR: "", TERM: "xterm" } })).stdout));
    }
    assertMatch(await onTerminal(sandbox, ["start", "--nonsense"]), COLOUR);
  },
});

Deno.test("status and list are tables with pid, address, uptime and the length of the log", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.json(["start", "a-long-name", "--port", "0", "--", ...fixture("say=hello")]);
  await sandbox.run(["start", "b", "--port", "0", "--", ...fixture("exit=3")]);
  const { stdout } = await sandbox.run(["status"]);
  const [head, first, second] = stdout.split("\n");
  assertMatch(head!, /^NODE {9}STATE {4}PID +ADDRESS +UPTIME {2}LOG$/);
  assertMatch(first!, new RegExp(`^a-long-name  running  ${started.pid} +127.0.0.1:${started.port} +\\d+s +6 B$`));
  assertMatch(second!, /^b {12}failed {3}- +- +- +0 B {2}Cannot start "b": the server exited with code 3/);
  const columns = head!.indexOf("STATE");
  assertEquals([first!.indexOf("running"), second!.indexOf("failed")], [columns, columns]);
  assertMatch((await sandbox.run(["list"])).stdout, /^WORKSPACE +NODE +STATE/);
  assertMatch(
    (await sandbox.run(["status", "a-long-name"])).stdout,
    /^a-long-name: running, pid \d+, 127\.0\.0\.1:\d+, up \d+s, log 6 B\n$/,
  );
});

Deno.test("start --trace tells on stderr where the time went, a bar per step, whatever comes of it", async () => {
  await using sandbox = await Sandbox.create();
  const started = await sandbox.run([
    "start",
    "web",
    "--trace",
    "--json",
    "--port",
    "0",
    "--",
    ...fixture("delay=2000"),
  ]);
  assertEquals(JSON.parse(started.stdout).state, "running");
  const rows = started.stderr.trimEnd().split("\n").map((line) => /^(.+?) +(\d+\.\d) ms(?: {2}(#+))?$/.exec(line));
  assert(rows.every((row) => row !== null), started.stderr);
  const longest = rows.reduce((most, row) => Number(row![2]) > Number(most![2]) ? row : most);
  assertEquals([longest![1], longest![3]!.length], ["wait until it is ready", 40]);
  assert(Number(longest![2]) >= 1000, started.stderr);
  const failed = await sandbox.run([
    "start",
    "b",
    "--trace",
    "--no-probe",
    "--alive-for",
    "30s",
    "--",
    ...fixture("exit=3"),
  ]);
  assertMatch(failed.stderr, /Cannot start "b"[^]*take the lock +\d/);
});

Deno.test("doctor finds what dead starts and servers left, and names the command that mends it", async () => {
  await using sandbox = await Sandbox.create();
  const fresh = await sandbox.json(["doctor"]);
  assertEquals(fresh.ok, true);
  assert(fresh.checks.some(({ message }: { message: string }) => message.endsWith("the first start makes it")));
  await sandbox.json(["start", "well", "--port", "0", "--", ...fixture()]);
  await sandbox.run(["start", "killed", "--port", "0", "--", ...fixture()], {
    env: { TOMBSTONE_FAILPOINT: "waiting" },
  });
  const dead = await sandbox.json(["start", "dead", "--port", "0", "--", ...fixture()]);
  Deno.kill(dead.pid, "SIGKILL");
  await until("it is gone", () => !isRunning(dead.pid));
  await forgeNode(sandbox, "foreign", sandbox.bystander(), 1);
  const info = `${sandbox.nodeDir("foreign")}/node.info`;
  Deno.writeTextFileSync(info, Deno.readTextFileSync(info).replace(/"host_id": *"/, "$&0"));
  const before = [...Deno.readDirSync(sandbox.state)].map(({ name }) => name).sort();
  const { ok, checks } = await sandbox.json(["doctor"], { code: 1 });
  assertEquals([...Deno.readDirSync(sandbox.state)].map(({ name }) => name).sort(), before, "it leaves nothing");
  assertEquals(ok, false);
  const wrong = checks.filter((check: { ok: boolean }) => !check.ok);
  assertEquals(wrong.length, 3, JSON.stringify(wrong));
  for (const { hint } of wrong) {
    // The hints are commands, and they do mend.
    const ran = await sandbox.shell(hint.replace(/^tombstone/, sandbox.commandLine([])), { cwd: "/" });
    assertEquals(ran.code, 0, `${hint}: ${ran.stderr}`);
  }
  assertEquals((await sandbox.json(["doctor"])).ok, true);
  sandbox.assertBystanders();

  Deno.chmodSync(sandbox.state, 0o777);
  const open = await sandbox.run(["doctor"]);
  assertEquals(open.code, 1);
  assertMatch(open.stdout, /^wrong {2}Cannot use the state directory[^]*\n {7}hint: chmod /);
  Deno.chmodSync(sandbox.state, 0o700);
});

Deno.test("doctor tells of a server whose state was removed", async () => {
  await using sandbox = await Sandbox.create();
  const { pid } = await sandbox.json(["start", "web", "--port", "0", "--", ...fixture()]);
  Deno.removeSync(sandbox.state, { recursive: true });
  const { checks } = await sandbox.json(["doctor"]);
  assert(
    checks.some(({ message }: { message: string }) => message.startsWith(`pid ${pid} (`)),
    JSON.stringify(checks),
  );
});

/** Puts the tool on PATH as `tombstone`, starts two nodes, and writes the script of a shell. */
async function prepareShell(sandbox: Sandbox, shell: string): Promise<{ env: Record<string, string>; script: string }> {
  const bin = `${sandbox.root}/bin`;
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(`${bin}/tombstone`, `#!/bin/sh\nexec ${sandbox.commandLine([])} "$@"\n`, { mode: 0o755 });
  await sandbox.json(["start", "web-one", "--no-probe", "--alive-for", "0", "--", "sleep", "60"]);
  await sandbox.json(["start", "db", "--no-probe", "--alive-for", "0", "--", "sleep", "60"]);
  const script = `${sandbox.root}/completions.${shell}`;
  const printed = await sandbox.run(["completions", shell]);
  assertEquals([printed.code, printed.stderr], [0, ""]);
  Deno.writeTextFileSync(script, printed.stdout);
  return { script, env: { PATH: `${bin}:${Deno.env.get("PATH")}` } };
}

/** What a shell must offer, by the words of the line. */
const OFFERS: [words: string[], expected: string[]][] = [
  [["st"], ["start", "stop", "status"]],
  [["stop", "w"], ["web-one"]],
  [["status", ""], ["db", "web-one"]],
  [["start", "--port"], ["--port", "--port-file"]],
  [["completions", "f"], ["fish"]],
  // Flags before the command, with and without a value.
  [["--json", "st"], ["start", "stop", "status"]],
  [["--state-dir", "/tmp", "-q", "fo"], ["forget"]],
  [["--workspace", "shop", "stop", "--se"], ["--session"]],
  [["--verb"], ["--verbose"]],
  [["-q", "wait", "--fil"], ["--file"]],
];

Deno.test({
  name: "completions in bash: commands, flags, nodes, files, and commands after --",
  ignore: !installed("bash", "bash"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const { script, env } = await prepareShell(sandbox, "bash");
    const offers = async (words: string[]) => {
      const line = ["tombstone", ...words].map((word) => `'${word}'`).join(" ");
      // compopt works only inside a completion that readline has begun, so that one is seen by its call.
      const text = `compopt() { echo "<$*>"; }; source ${script}; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; ` +
        '_tombstone; printf "%s\\n" "${COMPREPLY[@]}"';
      const ran = await sandbox.shell(text, { shell: "bash", env });
      assertEquals(ran.stderr, "");
      return ran.stdout.trim().split("\n").sort();
    };
    for (const [words, expected] of OFFERS) assertEquals(await offers(words), [...expected].sort(), words.join(" "));
    assertEquals(await offers(["start", "--", "tombst"]), ["tombstone"]);
    assertEquals(await offers(["start", "--port-file", ""]), ["<-o default>"]);
    assertEquals(await offers(["start", "--", "node", "x"]), ["<-o default>"]);
    assertEquals(await offers(["start", "--port", ""]), [""]);
    assertEquals(await offers(["--workspace", ""]), [""]);
    assertEquals(await offers(["--workspace", "=", "shop", "lis"]), ["list"]);
  },
});

Deno.test({
  name: "completions in zsh, typed into a real one",
  ignore: !installed("zsh", "zsh"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const { script, env } = await prepareShell(sandbox, "zsh");
    const dump = `${sandbox.root}/zcompdump`;
    // A zsh inside a zsh: the outer one types, and prints what the inner one offers.
    const driver = `
      zmodload zsh/zpty
      zpty inner zsh -f -i
      zpty -w inner "PS1= PROMPT= RPS1=; unsetopt zle_bracketed_paste; bindkey -e; autoload -Uz compinit; compinit -u -d ${dump}"
      zpty -w inner "source ${script}; zstyle ':completion:*' list-colors; LISTMAX=1000; stty columns 200 rows 100"
      # Lists instead of inserting, and marks where it has ended.
      zpty -w inner "list() { compadd() { [[ -n \\$_ofile ]]; local -a found; builtin compadd -O found \\"\\$@\\"; \\
        print -rl -- \\$found >>offered; builtin compadd \\"\\$@\\" }; zle complete-word; print done >>offered }"
      zpty -w inner "zle -C complete-word .complete-word _main_complete; zle -N list; bindkey '^I' list; print ready >>offered"
      until [[ -s offered ]]; do sleep 0.05; done
      rm offered
      zpty -w -n inner "$1"$'\\t'
      until grep -q '^done$' offered 2>/dev/null; do sleep 0.05; done
      zpty -d inner
      sort -u offered`;
    for (const [words, expected] of OFFERS) {
      const { code, stdout, stderr } = await new Deno.Command("timeout", {
        args: ["20", "zsh", "-f", "-c", driver, "zsh", `tombstone ${words.join(" ")}`],
        cwd: sandbox.project,
        env: sandbox.env(env),
        stdin: "null",
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assertEquals(code, 0, text(stderr));
      const offered = text(stdout).split("\n").filter((line) => line !== "" && line !== "done");
      assertEquals(offered.sort(), [...expected].sort(), words.join(" "));
      Deno.removeSync(`${sandbox.project}/offered`);
    }
  },
});

Deno.test({
  name: "completions in fish, as fish itself gives them",
  ignore: !installed("fish", "fish"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const { script, env } = await prepareShell(sandbox, "fish");
    const home = { HOME: sandbox.root, XDG_CONFIG_HOME: sandbox.root, XDG_DATA_HOME: sandbox.root };
    const offers = async (words: string[]) => {
      const line = ["tombstone", ...words].join(" ");
      const ran = await sandbox.shell(`source ${script}; complete -C '${line}'`, {
        shell: "fish",
        env: { ...home, ...env, TOMBSTONE_STATE_DIR: sandbox.state },
      });
      assertEquals(ran.stderr, "");
      return ran.stdout.trim().split("\n").map((offer) => offer.split("\t")[0]!).sort();
    };
    for (const [words, expected] of OFFERS) assertEquals(await offers(words), [...expected].sort(), words.join(" "));
    assert((await offers(["start", "--", "tombst"])).includes("tombstone"));
  },
});

Deno.test("completions of anything else are refused, and every command and flag is in each script", async () => {
  await using sandbox = await Sandbox.create();
  for (const args of [["completions"], ["completions", "tcsh"]]) {
    const { error } = await sandbox.json(args, { code: 2 });
    assertStringIncludes(error.message, "expected one of bash, zsh, fish, nodes");
  }
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout } = await sandbox.run(["completions", shell]);
    for (const { name, flags } of COMMANDS) {
      assertStringIncludes(stdout, name);
      for (const flag of flags) assertStringIncludes(stdout, shell === "fish" ? `-l ${flag.name}` : `--${flag.name}`);
    }
  }
});

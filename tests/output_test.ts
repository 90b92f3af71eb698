/** What is printed: other people's text steers no terminal and no CI runner, and nothing is cut. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { cleanLine, TerminalText } from "../lib/cli/write.ts";
import { COMMAND, fixture, freePort, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/;

/** What somebody may put into a text; none of it may come out. */
const HOSTILE = [
  "\x1b]0;title\x07",
  "\x1b[2J\x1b[H",
  "\x1b[8mhidden",
  "\x9b2J",
  "\x1bPq\x1b\\",
  "\x1bc",
  "\x08\x08\x7f",
  "\u202egnp.exe",
  "\u2066\u2028",
  "a\nforged line",
  "a\r\nforged line",
  "\rforged line",
  "\x1b",
  "\x1b[",
  "\x1b]0;no end",
];

Deno.test("cleanLine() leaves nothing that steers a terminal, ends a line, or is a command of a CI runner", () => {
  for (const text of HOSTILE) {
    for (const colours of ["keep", "drop"] as const) {
      const cleaned = cleanLine(`x ${text} y`, colours);
      assert(!CONTROL.test(cleaned), JSON.stringify([text, cleaned]));
      assert(cleaned.startsWith("x "), cleaned);
    }
  }
  assertEquals(cleanLine("a\nb\tc"), "a b\tc");
  assertEquals(cleanLine("grüße, 日本 👍 — “x”"), "grüße, 日本 👍 — “x”");
  assertEquals(cleanLine("\x1b[31mred\x1b[39m", "keep"), "\x1b[31mred\x1b[39m");
  assertEquals(cleanLine("\x1b[31mred", "keep"), "\x1b[31mred\x1b[0m", "a colour ends with its line");
  assertEquals(cleanLine("\x1b[31mred", "drop"), "red");
  for (const text of ["::error::x", "  ::add-mask::x", "\n::error::x", "\u00a0::set-output name=x::y"]) {
    assert(!/^\s*::/.test(cleanLine(text)), cleanLine(text));
  }
  for (const text of ["##[error]x", "a ##[command]x", "###[group]", "##vso[task.setvariable]", "##[##["]) {
    assert(!/##\[|##vso\[/.test(cleanLine(text)), cleanLine(text));
  }
});

Deno.test("TerminalText keeps colours and drops the rest, wherever its pieces end", () => {
  const text = "a\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07b\x1b[2Jc\rd\x07 grüße \x1bPx\x1b\\e\x9b1mf\n";
  const expected = "a\x1b[31mred\x1b[0m\nbc\nd\ufffd grüße ef\n";
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size <= bytes.length; size++) {
    const terminal = new TerminalText();
    let said = "";
    for (let at = 0; at < bytes.length; at += size) {
      said += new TextDecoder().decode(terminal.clean(bytes.subarray(at, at + size)));
    }
    assertEquals(said, expected, `pieces of ${size}`);
  }
  const endless = new TerminalText();
  endless.clean(new TextEncoder().encode("\x1b]0;"));
  for (let piece = 0; piece < 20; piece++) endless.clean(new Uint8Array(1000).fill(97));
  assertEquals(
    new TextDecoder().decode(endless.clean(new TextEncoder().encode("b\n"))),
    "b\n",
    "it is held back for ever",
  );
});

Deno.test("a stranger's command line and a server's words reach stderr as one clean line", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const hostile = "x\n::error::forged\x1b]0;title\x07\x1b[2J\u202e";
  sandbox.bystander([...fixture(`port=${port}`), hostile]);
  await until("the stranger listens", async () => {
    try {
      (await Deno.connect({ port })).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return false;
      throw error;
    }
  });
  for (const env of [{}, { GITHUB_ACTIONS: "true" }]) {
    const ran = await sandbox.run(["start", "web", "--port", String(port), "--", "sleep", "60"], { env });
    assertEquals(ran.code, 5);
    const lines = ran.stderr.trimEnd().split("\n");
    for (const line of lines) assert(!CONTROL.test(line), JSON.stringify(line));
    const commands = lines.filter((line) => /^\s*::/.test(line));
    assertEquals(commands.length, "GITHUB_ACTIONS" in env ? 1 : 0, ran.stderr);
    assertStringIncludes(lines[0]!, "::error::forged");
  }
  const json = await sandbox.json(["start", "web", "--port", String(port), "--", "sleep", "60"], { code: 5 });
  assertStringIncludes(json.error.owner_command, "\x1b]0;title\x07");
  // The reason of a failure, on its way to a table; and the log's lines, on their way to an error.
  const failed = await sandbox.run([
    "start",
    "bad",
    "--",
    "sh",
    "-c",
    "printf '::error::x\\n\\033]0;t\\007##[error]y\\n\\302\\233 2J\\n'; exit 3",
  ]);
  assertEquals(failed.code, 1);
  for (const line of failed.stderr.trimEnd().split("\n")) {
    assert(!CONTROL.test(line) && !/^\s*::|##\[/.test(line), JSON.stringify(line));
  }
  const tombstone = `${sandbox.nodeDir("bad")}/starting`;
  const record = JSON.parse(Deno.readTextFileSync(tombstone));
  Deno.writeTextFileSync(tombstone, JSON.stringify({ ...record, failed: `no\n::error::x\x1b[2J\u202e` }));
  for (const args of [["status"], ["status", "bad"], ["list"], ["doctor"]]) {
    const { stdout } = await sandbox.run(args);
    for (const line of stdout.trimEnd().split("\n")) {
      assert(!CONTROL.test(line) && !/^\s*::/.test(line), JSON.stringify(line));
    }
  }
});

Deno.test({
  name: "logs on a terminal keeps colours and steers nothing; a pipe gets the bytes as they are",
  ignore: !installed("script", "bsdutils"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const said = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jend";
    const octal = [...said].map((char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`).join("");
    await sandbox.json(["start", "web", "--log", "end", "--", "sh", "-c", `printf '${octal}\\n'; exec sleep 600`]);
    assertEquals((await sandbox.run(["logs", "web"])).stdout, `${said}\n`);
    const { stdout } = await new Deno.Command("script", {
      args: ["-q", "-c", sandbox.commandLine(["logs", "web"]), "/dev/null"],
      cwd: sandbox.project,
      env: sandbox.env({ TERM: "xterm" }),
      stdin: "null",
    }).output();
    assertStringIncludes(new TextDecoder().decode(stdout), "\x1b[31mred\x1b[0m end\r\n");
  },
});

Deno.test({
  name: "nothing is cut where stdout is a pipe that does not block and its reader is slow",
  ignore: !installed("python3", "python3"),
  async fn() {
    await using sandbox = await Sandbox.create();
    await sandbox.json(["start", "web", "--no-probe", "--", "sleep", "600"]);
    const log = `${sandbox.nodeDir("web")}/server.log`;
    Deno.writeTextFileSync(log, Array.from({ length: 60_000 }, (_, number) => `line ${number}\n`).join(""));
    const script = `
import array, fcntl, json, os, subprocess, sys, termios, time
read, write = os.pipe()
os.set_blocking(write, False)
child = subprocess.Popen(json.loads(sys.argv[1]), stdout=write)
os.close(write)
waiting = array.array("i", [0])
while waiting[0] < 65536 and child.poll() is None: # until the pipe is full
    fcntl.ioctl(read, termios.FIONREAD, waiting)
    time.sleep(0.001)
size = 0
while True:
    piece = os.read(read, 20000)
    if not piece: break
    size += len(piece)
    time.sleep(0.001)
print(size, child.wait())
`;
    for (const form of [[], ["--json"]]) {
      const args = ["logs", "web", "-n", "60000", ...form];
      const whole = await sandbox.run(args);
      const { stdout, stderr } = await new Deno.Command("python3", {
        args: ["-c", script, JSON.stringify([...COMMAND, ...args])],
        cwd: sandbox.project,
        env: sandbox.env(),
      }).output();
      const said = new TextDecoder().decode(stdout).trim();
      assertEquals(said, `${whole.stdout.length} 0`, new TextDecoder().decode(stderr));
      assert(whole.stdout.length > 500_000);
    }
  },
});

Deno.test("logs in a step of GitHub Actions holds no command for the runner; a file gets the bytes as they are", async () => {
  await using sandbox = await Sandbox.create();
  const said = ["::error::mine", "  ::warning::", "a ::b", "##[group]x", "end"];
  const script = `printf '%s\\n' ${said.map(sandbox.quote).join(" ")}; exec sleep 600`;
  await sandbox.json(["start", "web", "--log", "^end", "--", "sh", "-c", script]);
  const env = { GITHUB_ACTIONS: "true" };
  const { stdout } = await sandbox.run(["logs", "web"], { env });
  assertEquals(stdout, [": :error::mine", "  : :warning::", "a ::b", "# #[group]x", "end", ""].join("\n"));
  await sandbox.shell(`${sandbox.commandLine(["logs", "web"])} >copy`, { env });
  assertEquals(Deno.readTextFileSync(`${sandbox.project}/copy`), [...said, ""].join("\n"));
});

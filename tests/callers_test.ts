/** Callers that hold pipes, close them, hang up, stop and kill: they return when the tool does, and nothing is left. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  accepts,
  COMMAND,
  type Document,
  fixture,
  freePort,
  isRunning,
  readProcess,
  Sandbox,
  until,
} from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

/** How one run of a shell script ended. */
interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a script in which `$TOOL` is the command under test. */
async function shell(sandbox: Sandbox, script: string): Promise<Ran> {
  // Whoever hangs is ended by timeout(1), with its code 124.
  const { code, stdout, stderr } = await new Deno.Command("timeout", {
    args: ["60", "bash", "-c", script],
    cwd: sandbox.project,
    env: sandbox.env({ TOOL: COMMAND.join(" ") }),
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const serve = fixture().join(" ");

Deno.test("a start in $(…) with descriptor 3 on the pipe returns, and the server has no descriptor of the caller", async () => {
  await using sandbox = await Sandbox.create();
  const ran = await shell(
    sandbox,
    `exec 4</dev/zero 9>${sandbox.root}/nine 17</dev/zero 200</dev/zero
    out=$($TOOL start web --port 0 --json -- ${serve} 3>&1); echo "$?"; echo "$out"`,
  );
  assertEquals(ran.code, 0);
  const [code, ...rest] = ran.stdout.split("\n");
  assertEquals(code, "0");
  const { pid } = JSON.parse(rest.join("\n"));
  const targets = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
    Deno.readLinkSync(`/proc/${pid}/fd/${name}`)
  );
  assertEquals(targets.filter((target) => target === "/dev/zero" || target.endsWith("/nine")), []);
  await sandbox.assertOneServer("web");
});

costly("readers that go away: | head -1, | true, and closed stdin, stdout and stderr", async () => {
  for (
    const call of [
      `$TOOL start web --port 0 --verbose -- ${serve} 2>&1 | head -1`,
      `$TOOL start web --port 0 --verbose -- ${serve} 2>&1 | true`,
      `$TOOL start web --port 0 --json -- ${serve} | true`,
      `$TOOL start web --port 0 -- ${serve} >&-`,
      `$TOOL start web --port 0 -- ${serve} 2>&-`,
      `$TOOL start web --port 0 -- ${serve} <&- >&- 2>&-`,
      `$TOOL start web --port 0 -- ${serve} >/dev/full 2>/dev/full`,
    ]
  ) {
    await using sandbox = await Sandbox.create();
    const ran = await shell(sandbox, `set -o pipefail; ${call}; code=$?; echo "exit $code" >&2`);
    assertEquals(ran.stderr.trim().split("\n").at(-1), "exit 0", `${call}: ${ran.stderr}`);
    await sandbox.assertOneServer("web");
    const stopped = await shell(sandbox, "$TOOL stop web >&- 2>&-");
    assertEquals(stopped.code, 0, call);
    assertEquals(sandbox.processes(), [], call);
  }
});

Deno.test("a lock that the caller holds on descriptor 9 is free again when the caller is gone", async () => {
  await using sandbox = await Sandbox.create();
  const lock = `${sandbox.root}/callers.lock`;
  const ran = await shell(sandbox, `exec 9>${lock}; flock 9; $TOOL start web --port 0 -- ${serve}`);
  assertEquals(ran.code, 0, ran.stderr);
  assertEquals((await shell(sandbox, `flock -n ${lock} echo free`)).stdout, "free\n");
  await sandbox.assertOneServer("web");
});

Deno.test("a pseudo-terminal that closes right after the start leaves the server alone", async () => {
  await using sandbox = await Sandbox.create();
  const ran = await shell(sandbox, `script -qec "$TOOL start web --port 0 -- ${serve}" /dev/null </dev/null`);
  assertEquals(ran.code, 0, ran.stdout + ran.stderr);
  assertStringIncludes(ran.stdout, "started");
  const { pid } = await sandbox.assertOneServer("web");
  assertEquals(Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ")[4], "0", "it has no terminal");
});

Deno.test("a pseudo-terminal that closes during the wait ends the start, and nothing is left", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--port", String(freePort()), "--"];
  const terminal = new Deno.Command("script", {
    args: ["-qec", [...COMMAND, ...args, ...fixture("delay=60000", "child")].join(" "), "/dev/null"],
    cwd: sandbox.project,
    env: sandbox.env(),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await until("the server runs", () => sandbox.serversOf("web").length > 1);
  terminal.kill("SIGKILL");
  await terminal.status;
  await until("the starter has cleaned up and gone", () => sandbox.processes().length === 0);
  const status = await sandbox.json(["status", "web"], { code: 1 });
  assertEquals(status.state, "failed");
  await sandbox.json([...args, ...fixture()]);
  await sandbox.assertOneServer("web");
});

Deno.test("Ctrl-C for the whole foreground group during the wait: exit 130, and nothing is left", async () => {
  await using sandbox = await Sandbox.create();
  // A group of its own, as an interactive shell makes one for each of its pipelines.
  const group = new Deno.Command("setsid", {
    args: [
      "--wait",
      ...COMMAND,
      "start",
      "web",
      "--port",
      String(freePort()),
      "--",
      ...fixture("delay=60000", "child"),
    ],
    cwd: sandbox.project,
    env: sandbox.env(),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const output = group.output();
  await until("the server runs", () => sandbox.serversOf("web").length > 1);
  const starter = starterOf(sandbox);
  Deno.kill(-readProcess(starter)!.sid, "SIGINT");
  const { code, stderr } = await output;
  assertEquals(code, 130, new TextDecoder().decode(stderr));
  assertEquals(sandbox.processes(), []);
});

costly("timeout -s KILL on the whole group: the next start makes it good", async () => {
  await using sandbox = await Sandbox.create();
  sandbox.bystander();
  const start = `start web --port ${freePort()}`;
  for (const seconds of ["0.05", "0.1", "0.2", "0.4"]) {
    const slow = fixture("delay=60000", "child").join(" ");
    await shell(sandbox, `setsid --wait timeout -s KILL ${seconds} $TOOL ${start} -- ${slow}`);
    const ran = await shell(sandbox, `$TOOL ${start} -- ${fixture("child").join(" ")}`);
    assertEquals(ran.code, 0, ran.stderr);
    await sandbox.assertOneServer("web");
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.processes(), []);
  }
});

/** The process that holds a start's tombstone. */
function starterOf(sandbox: Sandbox): number {
  return JSON.parse(Deno.readTextFileSync(`${sandbox.nodeDir("web")}/starting`)).starter_pid;
}

costly("a starter that is stopped for longer than everybody's patience is waited for, then goes on", async () => {
  await using sandbox = await Sandbox.create();
  const gate = `${sandbox.project}/go`;
  const port = freePort();
  const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exec ${serve}`;
  const start = (patience: string) => ["start", "web", "--port", String(port), "--json", "--timeout", patience, "--"];
  const starter = sandbox.spawn([...start("3s"), "sh", "-c", script]);
  const output = starter.output();
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  const stopped = starterOf(sandbox);
  Deno.kill(stopped, "SIGSTOP");
  try {
    for (
      const command of [[...start("3s").filter((word) => word !== "--"), "--", ...fixture()], ["stop", "web"], [
        "sweep",
        "web",
      ]]
    ) {
      const args = [...command.slice(0, 1), "--lock-timeout", "300ms", ...command.slice(1)];
      const { code, stdout } = await sandbox.run(args.includes("--json") ? args : [...args, "--json"]);
      const { error }: Document = JSON.parse(stdout);
      assertEquals([code, error.kind], [6, "lock-timeout"], command.join(" "));
      assertStringIncludes(error.message, `pid ${stopped} (`);
    }
    assertEquals((await sandbox.json(["status", "web"], { code: 3 })).state, "starting");
    Deno.writeTextFileSync(gate, "");
    // By then its three seconds are long over; the server is not to blame for the pause.
    await until("the server listens", () => accepts(port));
    await until(
      "they have passed",
      () => Date.now() - Deno.statSync(`${sandbox.nodeDir("web")}/starting`).mtime!.getTime() > 3500,
    );
  } finally {
    Deno.kill(stopped, "SIGCONT");
  }
  const { code, stdout } = await output;
  assertEquals(code, 0, new TextDecoder().decode(stdout));
  const { pid } = await sandbox.assertOneServer("web");
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)).pid, pid);
  assert(isRunning(pid));
});

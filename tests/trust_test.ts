/** State that others could have prepared: it is refused, and nothing in it is believed. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { COMMAND, exists, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { isInstalled } from "./support/servers.ts";

const SERVER = ["--no-probe", "--alive-for", "0", "--", "sleep", "600"];
const STRANGER = 65534;
const ignore = Deno.uid() !== 0;

Deno.test({
  name: "a state directory in a shared parent, swapped while it is made: refused, and nothing runs",
  ignore: ignore || !isInstalled("strace"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const shared = `${sandbox.root}/shared`;
    Deno.mkdirSync(shared);
    Deno.chmodSync(shared, 0o777);
    const state = `${shared}/state`;
    const call = "?mkdir,?mkdirat";
    const strace = ["strace", "-f", "-q", "-I", "2", "-o", "/dev/null", "-P", state, "-e", `trace=${call}`];
    const words = [...strace, "-e", `inject=${call}:delay_exit=1000000:when=1`, ...COMMAND];
    const start = [...words, "start", "web", "--state-dir", state, ...SERVER].map(sandbox.quote).join(" ");
    const starting = sandbox.shell(`exec timeout 60 ${start} 2>&1`);
    await until("the directory is made", () => exists(state));
    Deno.renameSync(state, `${state}.own`);
    Deno.mkdirSync(state, { mode: 0o700 });
    Deno.chownSync(state, STRANGER, STRANGER);
    const { code, stdout } = await starting;
    assertEquals(code, 4, stdout);
    assertStringIncludes(stdout, `Cannot use the state directory "${state}": it belongs to user ${STRANGER}`);
    assertEquals([...Deno.readDirSync(state)], []);
    assertEquals(sandbox.processes(), []);
  },
});

Deno.test({
  name:
    "a directory of the state that belongs to somebody else, or that others can write to, is refused by all that act",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const node = await sandbox.json(["start", "web", ...SERVER]);
    const workspace = node.dir.slice(0, node.dir.lastIndexOf("/"));
    for (const path of [sandbox.state, workspace, node.dir]) {
      for (const [spoil, message] of SPOILT) {
        spoil(path);
        for (const args of [["start", "web", ...SERVER], ["stop", "web"], ["sweep", "web"]]) {
          const ran = await sandbox.run(args);
          assertEquals(ran.code, 4, `${path} ${args}: ${ran.stdout}${ran.stderr}`);
          assertStringIncludes(ran.stderr, `Cannot use the state directory "${path}": ${message}`);
        }
        Deno.chownSync(path, Deno.uid(), Deno.gid());
        Deno.chmodSync(path, 0o700);
        assertEquals(sandbox.processes(), [node.pid]);
      }
    }
    assertEquals((await sandbox.json(["stop", "web"])).nodes[0].stopped, true);
  },
});

const SPOILT: [(path: string) => void, string][] = [
  [(path) => Deno.chownSync(path, STRANGER, STRANGER), `it belongs to user ${STRANGER}`],
  [(path) => Deno.chmodSync(path, 0o777), "it is writable by others (mode 0777)"],
];

Deno.test({
  name: "a record that somebody else has written is not believed: its stop command is not run, its process not ended",
  ignore,
  async fn() {
    await using sandbox = await Sandbox.create();
    const bystander = sandbox.bystander();
    const ticks = Number(/.*\) (.*)/.exec(Deno.readTextFileSync(`/proc/${bystander}/stat`))![1]!.split(" ")[19]);
    const mark = `${sandbox.root}/mark`;
    const node = await sandbox.json(["start", "web", "--stop-command", `touch ${mark}`, ...SERVER]);
    const info = JSON.parse(Deno.readTextFileSync(`${node.dir}/node.info`));
    const forged = { ...info, pid: bystander, leader_pid: bystander, start_time: ticks };
    Deno.writeTextFileSync(`${node.dir}/node.info`, JSON.stringify(forged));
    Deno.chownSync(`${node.dir}/node.info`, STRANGER, STRANGER);
    assertEquals((await sandbox.json(["status", "web"], { code: 4 })).state, "unknown");
    assertEquals((await sandbox.json(["stop", "web"])).nodes[0].recovered.reason, "unreadable-state");
    assertEquals([exists(mark), isRunning(bystander), sandbox.processes()], [false, true, []]);
    sandbox.assertBystanders();
  },
});

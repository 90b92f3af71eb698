/** Many nodes: what is told of each is right, the system is read once, and one bad node keeps nobody. */
import { assert, assertEquals } from "@std/assert";
import { dirname } from "@std/path/posix/dirname";
import { forgeMany, type Kind, kindOf, nameOf } from "./support/many.ts";
import { COMMAND, type Document, exists, fixture, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";
import { byTier, costly, TIER } from "./support/tier.ts";

const COUNT = byTier({ fast: 500, full: 1500 });

/** Many nodes, one of them real. */
interface Many extends Disposable {
  /** Pid of the real one. */
  pid: number;
}

/** Forges nodes beside a real one; disposed before the sandbox, which would stop each of them. */
async function withMany(sandbox: Sandbox, count = COUNT): Promise<Many> {
  const started = await sandbox.json(["start", "real", "--port", "0", "--", ...fixture()]);
  const info = JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`));
  const bystander = sandbox.bystander();
  // Nobody may take the bystander for a node's main process but by its records, and those are only looked at.
  forgeMany(
    sandbox.state,
    count,
    { ...info, port: 1, probes: [{ type: "tcp", host: "127.0.0.1", port: 1 }] },
    bystander,
  );
  return {
    pid: started.pid,
    [Symbol.dispose]() {
      const forged = [...Deno.readDirSync(sandbox.state)].filter(({ name }) =>
        `${sandbox.state}/${name}` !== dirname(started.dir)
      );
      for (const { name } of forged) Deno.removeSync(`${sandbox.state}/${name}`, { recursive: true });
    },
  };
}

const key = ({ workspace, node }: { workspace: string; node: string }) => `${workspace}/${node}`;

costly("list and status --all tell every one of many nodes rightly and in order, as a table and as JSON", async () => {
  await using sandbox = await Sandbox.create();
  using many = await withMany(sandbox);
  const { nodes } = await sandbox.json(["list"]);
  assertEquals(nodes.length, COUNT + 1);
  const states = new Map<string, Document>(nodes.map((node: Document) => [key(node), node]));
  for (let number = 0; number < COUNT; number++) {
    const told = states.get(key(nameOf(number)));
    assertEquals([told.state, told.ready], [kindOf(number), false], key(nameOf(number)));
  }
  const real = nodes.find((node: Document) => node.node === "real");
  assertEquals([real.state, real.ready, real.pid], ["running", true, many.pid]);
  assertEquals(nodes.map(key), nodes.map(key).toSorted());

  const table = await sandbox.run(["status", "--all"]);
  assertEquals(table.code, 4, "the worst of them");
  const lines = table.stdout.trimEnd().split("\n");
  assertEquals(lines.length, COUNT + 2);
  assertEquals(lines.slice(1).map((line) => line.split(/ +/).slice(0, 3).join(" ")), [
    ...nodes.map(({ workspace, node, state }: Document) => `${workspace} ${node} ${state}`),
  ]);
  assertEquals(await sandbox.run(["status", "--all", "--quiet"]), { code: 4, stdout: "", stderr: "" });
  // A reader that goes away early is no error.
  assertEquals((await sandbox.shell(`${sandbox.commandLine(["list"])} | head -1 | wc -l`)).stdout.trim(), "1");
});

Deno.test({
  name: "the process table is read once, however many nodes there are",
  ignore: TIER === "fast" || !installed("strace", "strace"),
  async fn() {
    await using sandbox = await Sandbox.create();
    using _many = await withMany(sandbox, 300);
    for (const args of [["list"], ["status", "--all"], ["sweep", "--all", "--dry-run"]]) {
      const trace = `${sandbox.root}/trace`;
      const line = [...COMMAND, ...args].map((word) => sandbox.quote(word)).join(" ");
      await sandbox.shell(`strace -f -qq -e trace=openat -o ${trace} ${line}`);
      const opened = Deno.readTextFileSync(trace).split("\n").filter((call) => call.includes("openat("));
      const listings = opened.filter((call) => call.includes('"/proc", ')).length;
      // Each look lists until nothing new shows, ten times at most; a dry run looks once more for each batch of nodes.
      const batches = args[0] === "sweep" ? Math.ceil(300 / 128) : 0;
      assert(listings <= 10 * (1 + batches), `${args.join(" ")}: ${listings} listings of /proc`);
      const stats = opened.flatMap((call) => /"\/proc\/(\d+)\/stat"/.exec(call)?.[1] ?? []);
      const processes = new Set(stats).size;
      // Before a node is said to have died, its own process is looked at once more.
      assert(
        stats.length <= 2 * (1 + batches) * (processes + 50) + 300,
        `${args.join(" ")}: ${stats.length} reads of ${processes} processes`,
      );
    }
  },
});

costly("sweep --all makes all of them good, touches nobody who runs, and passes over what is locked", async () => {
  await using sandbox = await Sandbox.create();
  using many = await withMany(sandbox);
  // An interrupted one that somebody works on, and a running one whose directory cannot be listed.
  const [locked] = Array.from({ length: COUNT }, (_, number) => number).filter((number) =>
    kindOf(number) === "interrupted"
  );
  const path = (number: number) => `${sandbox.state}/${key(nameOf(number))}`;
  using lock = Deno.openSync(`${path(locked!)}/lock`, { read: true, write: true });
  lock.lockSync(true);
  const { nodes } = await sandbox.json(["sweep", "--all"]);
  assertEquals(nodes.length, COUNT + 1);
  const expected: Record<Kind, string> = {
    running: "running",
    died: "swept",
    interrupted: "swept",
    failed: "swept",
    unknown: "swept",
    stopped: "nothing",
  };
  const actions = new Map<string, string>(nodes.map((node: Document) => [key(node), node.action]));
  for (let number = 0; number < COUNT; number++) {
    const action = number === locked ? "locked" : expected[kindOf(number)];
    assertEquals(actions.get(key(nameOf(number))), action, `${number}, ${kindOf(number)}`);
    const left = [...Deno.readDirSync(path(number))].map(({ name }) => name)
      .filter((name) => name !== "recorded.json").sort(); // that file stays
    if (action === "swept") assertEquals(left, ["lock", "server.log"]);
    if (action === "running") assertEquals(left, ["lock", "node.info", "pid", "server.log"]);
  }
  assert(isRunning(many.pid));
  sandbox.assertBystanders();
  const again = await sandbox.json(["sweep", "--all"]);
  assert(again.nodes.every(({ action }: Document) => action !== "swept"));
});

costly("stop --all stops many real servers at once, each in good order", async () => {
  await using sandbox = await Sandbox.create();
  const script = 'trap "echo bye; exit 0" TERM; while :; do sleep 600 & wait; done';
  const names = Array.from({ length: 20 }, (_, number) => `s${number}`);
  await Promise.all(
    names.map((name) => sandbox.json(["start", name, "--no-probe", "--alive-for", "50ms", "--", "bash", "-c", script])),
  );
  const { nodes } = await sandbox.json(["stop", "--all"]);
  assertEquals(nodes.map(({ node }: Document) => node), names.toSorted());
  assert(nodes.every(({ stopped }: Document) => stopped));
  assertEquals(sandbox.processes(), []);
  for (const name of names) assertEquals((await sandbox.json(["logs", name])).lines, ["bye"]);
});

Deno.test({
  name: "sweep --all shows on a terminal how far it is, on one line",
  ignore: TIER === "fast" || !installed("script", "bsdutils"),
  async fn() {
    await using sandbox = await Sandbox.create();
    using _many = await withMany(sandbox, 600);
    const { stdout } = await new Deno.Command("script", {
      args: ["-q", "-c", sandbox.commandLine(["sweep", "--all", "--force"]), "/dev/null"],
      cwd: sandbox.project,
      env: sandbox.env({ TERM: "xterm" }),
      stdin: "null",
    }).output();
    const frames = new TextDecoder().decode(stdout).split("\r\x1b[2K");
    // deno-lint-ignore no-control-regex
    const plain = frames.map((frame) => frame.replace(/\x1b\[[?\d]*[mhl]/g, ""));
    const counts = plain.flatMap((frame) => /^sweep {2}\d+\.\ds {2}(\d+) of 601 nodes$/.exec(frame)?.[1] ?? []).map(
      Number,
    );
    assert(counts.length > 0, plain.slice(0, 5).join("\n"));
    assertEquals(counts, counts.toSorted((a, b) => a - b));
  },
});

costly("a node that is started while others are looked at is never called dead", async () => {
  await using sandbox = await Sandbox.create();
  // One that died: that is what the records say until it is started anew.
  const start = ["start", "web", "--workspace", "w2", "--port", "0", "--", ...fixture()];
  const first = await sandbox.json(start);
  const others = `${sandbox.state}/w1`;
  for (let number = 0; number < 70; number++) Deno.mkdirSync(`${others}/n${number}`, { recursive: true, mode: 0o700 });
  // The look at the processes is over when the first node's probe is asked, which holds up the first batch of nodes.
  const [looked, go] = [`${sandbox.root}/looked`, `${sandbox.root}/go`];
  const hold = `if test -e ${sandbox.root}/hold; then touch ${looked}; until test -e ${go}; do sleep 0.01; done; fi`;
  await sandbox.json(["start", "a", "--workspace", "w1", "--exec", hold, "--", "sleep", "600"]);
  Deno.writeTextFileSync(`${sandbox.root}/hold`, "");
  for (const args of [["list"], ["status", "--all"]]) {
    Deno.kill((await sandbox.json(["status", "web", "--workspace", "w2"])).pid, "SIGKILL");
    await until("it is gone", async () => (await sandbox.run(["status", "web", "--workspace", "w2"])).code === 1);
    const looking = sandbox.spawn([...args, "--json"]);
    await until("it looks", () => exists(looked));
    looking.kill("SIGSTOP");
    const { pid } = await sandbox.json(start);
    assert(pid !== first.pid);
    Deno.writeTextFileSync(go, "");
    looking.kill("SIGCONT");
    const { nodes } = JSON.parse(new TextDecoder().decode((await looking.output()).stdout));
    const web = nodes.find(({ workspace }: Document) => workspace === "w2");
    assertEquals([web.state, web.pid, web.ready], ["running", pid, true], args.join(" "));
    Deno.removeSync(looked);
    Deno.removeSync(go);
  }
});

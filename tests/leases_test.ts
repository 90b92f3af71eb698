/** What a node ends with, apart from its directory (directory_test.ts), and that nothing else ends it. */
import { assert, assertEquals } from "@std/assert";
import { type Document, fixture, isRunning, killPid, readProcess, Sandbox } from "./support/sandbox.ts";

const START = ["--port", "0", "--", ...fixture()];

/** A process that ends when it is told to; reaped, so that its pid is free. */
function owner(): { pid: number; end(): Promise<void> } {
  const child = new Deno.Command("sleep", { args: ["600"], stdin: "null", stdout: "null", stderr: "null" }).spawn();
  const end = async () => {
    killPid(child.pid);
    await child.status;
  };
  return { pid: child.pid, end };
}

/** Another project of the same state directory. */
function elsewhere(sandbox: Sandbox): { cwd: string } {
  const cwd = `${sandbox.root}/elsewhere`;
  Deno.mkdirSync(`${cwd}/.git`, { recursive: true });
  return { cwd };
}

/** Changes a node's commit record. */
function forge(sandbox: Sandbox, node: string, change: (info: Document) => Document): void {
  const path = `${sandbox.nodeDir(node)}/node.info`;
  Deno.writeTextFileSync(path, JSON.stringify(change(JSON.parse(Deno.readTextFileSync(path)))));
}

/** Names of the entries in the index of leases. */
const entriesOf = (sandbox: Sandbox) => [...Deno.readDirSync(`${sandbox.state}/.leases`)].map(({ name }) => name);

Deno.test("a node ends with the process that it was started for, at the next command of another project", async () => {
  await using sandbox = await Sandbox.create();
  const caller = owner();
  try {
    const { pid, while_pid } = await sandbox.json(["start", "web", "--while-pid", String(caller.pid), ...START]);
    await sandbox.json(["start", "stays", ...START]);
    assertEquals(while_pid, caller.pid);
    assertEquals((await sandbox.json(["list"], elsewhere(sandbox))).leases_ended, undefined);
    assert(isRunning(pid));
    await caller.end();
    const { nodes, leases_ended: [ended] } = await sandbox.json(["list"], elsewhere(sandbox));
    assertEquals([ended.node, ended.lease, ended.pids], ["web", "process", [pid]]);
    assertEquals(nodes.map(({ node, state }: Document) => [node, state]), [["stays", "running"], ["web", "stopped"]]);
    assertEquals([isRunning(pid), entriesOf(sandbox).length], [false, 1]);
  } finally {
    await caller.end();
  }
});

Deno.test("a pid that another process has got since is over; that process, or one whose clock is another's, is left alone", async () => {
  await using sandbox = await Sandbox.create();
  const bystander = sandbox.bystander();
  const { pid } = await sandbox.json(["start", "web", "--while-pid", String(bystander), ...START]);
  const born = readProcess(bystander)!.start;
  forge(sandbox, "web", (info) => {
    assertEquals(info.while_process, { pid: bystander, start_time: born });
    return { ...info, while_process: { pid: bystander, start_time: born - 1 }, time_namespace: "time:[1]" };
  });
  assertEquals((await sandbox.json(["list"], elsewhere(sandbox))).leases_ended, undefined, "not judged");
  forge(sandbox, "web", ({ time_namespace: _, ...info }) => info);
  const { leases_ended } = await sandbox.json(["list"], elsewhere(sandbox));
  assertEquals(leases_ended.map(({ pids }: Document) => pids), [[pid]]);
  sandbox.assertBystanders();
});

Deno.test("a start of a node whose lease is over starts it anew, and says what it ended", async () => {
  await using sandbox = await Sandbox.create();
  const caller = owner();
  const first = await sandbox.json(["start", "web", "--while-pid", String(caller.pid), ...START]);
  const restarted = await sandbox.json(["restart", "web"]);
  assertEquals(restarted.while_pid, caller.pid, "a restart keeps it");
  assert(!isRunning(first.pid));
  await caller.end();
  const again = await sandbox.json(["start", "web", ...START]);
  assertEquals([again.started, again.while_pid, again.recovered.reason], [true, null, "lease-over"]);
  assertEquals(again.recovered.pids, [restarted.pid]);
  await sandbox.assertOneServer("web");
});

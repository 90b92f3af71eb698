/** Files that somebody else has touched: whatever stands in a runtime file's place, no command falls over it. */
import { assert, assertEquals } from "@std/assert";
import { classify, readNodeFiles } from "../lib/engine/state.ts";
import { rootsOf } from "../lib/engine/roots.ts";
import { inspect } from "../lib/engine/inspect.ts";
import { findTree } from "../lib/process/tree.ts";
import { type NodeDir, nodeDir } from "../lib/state/node_dir.ts";
import { type Document, exists, isRunning, Sandbox, until } from "./support/sandbox.ts";
import { randomFrom } from "./support/soak.ts";
import { byTier, TIER } from "./support/tier.ts";

/** How many random mutations of each file are read. */
const MUTATIONS = byTier({ fast: 50, full: 2000 });

/** One of this many lengths is tried. */
const LENGTHS = byTier({ fast: 7, full: 1 });

const encoder = new TextEncoder();

/** What may stand in a file's place; `valid` is what the tool has written there, `foreign` a file of somebody else's. */
const FORMS: [string, (path: string, valid: Uint8Array, foreign: string) => void | Promise<void>][] = [
  ["missing", () => {}],
  ["empty", (path) => Deno.writeTextFileSync(path, "")],
  ["cut in half", (path, valid) => Deno.writeFileSync(path, valid.subarray(0, valid.length / 2))],
  ["NUL bytes", (path) => Deno.writeFileSync(path, new Uint8Array(64))],
  ["NUL bytes after the text", (path, valid) => Deno.writeFileSync(path, new Uint8Array([...valid, 0, 0, 0]))],
  ["binary", (path) => Deno.writeFileSync(path, new Uint8Array([0, 255, 254, 10, 0, 128]))],
  ["100 MB", (path) => {
    Deno.writeTextFileSync(path, "{");
    Deno.truncateSync(path, 100 * 1024 * 1024);
  }],
  ["a newer schema", (path) => Deno.writeTextFileSync(path, '{"schema":99,"pid":1,"attempt":"x"}\n')],
  ["wrong types", (path) => Deno.writeTextFileSync(path, '{"schema":1,"attempt":[],"pid":"1","boot_id":7}\n')],
  ["null", (path) => Deno.writeTextFileSync(path, "null\n")],
  ["a directory", (path) => Deno.mkdirSync(`${path}/full`, { recursive: true })],
  ["a dangling symlink", (path, _valid, foreign) => Deno.symlinkSync(`${foreign}.none`, path)],
  ["a symlink to a foreign file", (path, _valid, foreign) => Deno.symlinkSync(foreign, path)],
  ["a symlink to itself", (path) => Deno.symlinkSync(path, path)],
  ["a FIFO", async (path) => void await new Deno.Command("mkfifo", { args: [path] }).output()],
  ["a socket", (path, _valid, foreign) => {
    using _listener = Deno.listen({ transport: "unix", path: `${foreign}.socket` }); // which removes its path in the end
    Deno.renameSync(`${foreign}.socket`, path);
  }],
  ["without rights", (path, valid) => Deno.writeFileSync(path, valid, { mode: 0o000 })],
  ["of the future", (path, valid) => {
    Deno.writeFileSync(path, valid);
    Deno.utimeSync(path, new Date("2100-01-01"), new Date("2100-01-01"));
  }],
];

/** Names of the files of a node and its workspace; the launch record's ends with the attempt. */
const FILES = [
  "starting",
  "node.info",
  "pid",
  "port",
  "launch",
  "lock",
  "recorded.json",
  "server.log",
  "server.log.1",
  "../workspace.json",
];

const SERVER = ["--no-probe", "--alive-for", "0", "--", "sleep", "600"];

for (const file of FILES) {
  Deno.test(`${file}, in whatever form, blocks nobody, misleads nobody, and is never written through`, async () => {
    await using sandbox = await Sandbox.create();
    sandbox.bystander();
    const foreign = `${sandbox.root}/foreign`;
    Deno.writeTextFileSync(foreign, '{"schema":1,"attempt":null,"pid":1}\n');
    let node: Document = await sandbox.json(["start", "web", ...SERVER]);
    for (const [at, situation] of ["running", "died", "interrupted"].entries()) {
      for (const [index, [form, put]] of FORMS.entries()) {
        // One form in each situation, so that each form is tried with some file.
        if (TIER === "fast" && (index + at * 5 + FILES.indexOf(file) * 2) % FORMS.length !== 0) continue;
        const what = `${file}, ${form}, ${situation}`;
        const killAt = situation === "interrupted" ? "waiting" : "";
        if (killAt !== "") {
          await sandbox.run(["stop", "web"]);
          await sandbox.spawn(["start", "web", ...SERVER], { env: { TOMBSTONE_FAILPOINT: killAt } }).output();
        } else if (situation === "died") {
          Deno.kill(node.pid, "SIGKILL");
          await until("the server is gone", () => !isRunning(node.pid));
        }
        const path = `${node.dir}/${file === "launch" ? `launch.${attemptIn(node.dir)}` : file}`;
        const valid = contentOf(path);
        remove(path);
        await put(path, valid, foreign);

        // Most of them are judged in this process, by the code of the command.
        const isCommand = TIER === "fast" || (index + at) % 6 === 0;
        const state = isCommand
          ? await stateToldOf(sandbox, what)
          : (await inspect(nodeDir(sandbox.state, node.workspace, "web"))).state;
        const isCopy = !["starting", "node.info"].includes(file);
        if (isCopy && situation === "running") assertEquals(state, "running", what);
        else assert(["stale", "interrupted", "died", "unknown", "running"].includes(state), `${what}: ${state}`);
        if (situation !== "running") assert(state !== "running", `${what}: nothing runs, but status says ${state}`);

        const before = node;
        node = await sandbox.json(["start", "web", ...SERVER]);
        if (isCopy && situation === "running") assertEquals(node.pid, before.pid, what);
        const mine = sandbox.processes();
        assertEquals(mine, [node.pid], what);
        assertEquals(Deno.readTextFileSync(foreign), '{"schema":1,"attempt":null,"pid":1}\n', what);
        assertEquals(exists(`${foreign}.none`), false, `${what}: written through a dangling link`);
        sandbox.assertBystanders();
      }
    }
    await sandbox.json(["stop", "web"]);
    assertEquals(sandbox.runtimeFiles("web"), []);
  });
}

/** The state that the command reports, without a stack trace. */
async function stateToldOf(sandbox: Sandbox, what: string): Promise<string> {
  const { stdout, stderr } = await sandbox.run(["status", "web", "--json"]);
  assert(!`${stdout}${stderr}`.includes("    at "), `${what}: ${stderr}`);
  return JSON.parse(stdout).state;
}

function remove(path: string): void {
  if (exists(path)) Deno.removeSync(path, { recursive: true });
}

function contentOf(path: string): Uint8Array {
  if (!exists(path) || !Deno.lstatSync(path).isFile) return encoder.encode('{"schema":1}\n');
  Deno.chmodSync(path, 0o600); // the form before may have taken the rights away
  return Deno.readFileSync(path);
}

/** The attempt that the tombstone names, or a new one. */
function attemptIn(dir: string): string {
  const text = exists(`${dir}/starting`) ? Deno.readTextFileSync(`${dir}/starting`) : "";
  return /"attempt":"([0-9a-f-]{36})"/.exec(text)?.[1] ?? crypto.randomUUID();
}

/** A copy with something changed: a bit, a byte, a digit, a stretch removed, doubled or filled with NUL. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const at = Math.floor(random() * bytes.length);
  const length = Math.floor(random() * 8) + 1;
  const copy = bytes.slice();
  switch (Math.floor(random() * 6)) {
    case 0:
      copy[at]! ^= 1 << Math.floor(random() * 8);
      return copy;
    case 1:
      copy[at] = Math.floor(random() * 256);
      return copy;
    case 2: {
      const digits = [...bytes.keys()].filter((index) => bytes[index]! >= 48 && bytes[index]! <= 57);
      const digit = digits[Math.floor(random() * digits.length)];
      if (digit !== undefined) copy[digit] = 48 + Math.floor(random() * 10);
      return copy;
    }
    case 3:
      return new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(at + length)]);
    case 4:
      return new Uint8Array([...bytes.subarray(0, at + length), ...bytes.subarray(at)]);
    default:
      return copy.fill(0, at, at + length);
  }
}

/** Reads the files as every command does; whom a recovery would end. */
async function wouldEnd(dir: NodeDir, known: Map<string, number[]>): Promise<number[]> {
  const nodeFiles = readNodeFiles(dir);
  classify(nodeFiles);
  await inspect(dir);
  const roots = rootsOf(dir, nodeFiles);
  const key = JSON.stringify(roots);
  if (!known.has(key)) known.set(key, findTree(roots).map(({ pid }) => pid));
  return known.get(key)!;
}

for (const file of ["starting", "node.info", "pid", "port", "launch"]) {
  Deno.test(`${file}, cut at any length and changed ${MUTATIONS} times at random, leads to nobody`, async () => {
    await using sandbox = await Sandbox.create();
    const start = ["start", "web", ...SERVER];
    const { dir: path, workspace } = await sandbox.json(start);
    const dir = nodeDir(sandbox.state, workspace, "web");
    await sandbox.json(["stop", "web"]);
    const isInterrupted = file === "starting" || file === "launch";
    await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: isInterrupted ? "waiting" : "tombstone-removed" } })
      .output();
    if (file === "port") Deno.writeTextFileSync(`${path}/port`, "3000\nn0nce\n");
    const [server] = sandbox.processes();
    Deno.kill(server!, "SIGKILL");
    await until("the server is gone", () => !isRunning(server!));
    // Pids near the recorded one are taken, so that a changed digit finds somebody.
    for (let count = 0; count < 20; count++) sandbox.bystander();

    const target = `${path}/${file === "launch" ? `launch.${attemptIn(path)}` : file}`;
    const valid = Deno.readFileSync(target);
    const seed = Math.floor(Math.random() * 1e9);
    const random = randomFrom(seed);
    const known = new Map<string, number[]>();
    const forms = [
      ...[...valid.keys()].filter((length) => length % LENGTHS === 0).map((length) => valid.subarray(0, length)),
      ...Array.from({ length: MUTATIONS }, () => mutate(valid, random)),
    ];
    for (const form of forms) {
      Deno.writeFileSync(target, form);
      assertEquals(await wouldEnd(dir, known), [], `seed ${seed}: ${new TextDecoder().decode(form)}`);
    }
    // The last form, and what the commands really do with it.
    const forced = ["start", "web", "--force", ...SERVER]; // it may tell of another host now
    assertEquals((await sandbox.json(forced)).started, true);
    sandbox.assertBystanders();
    await sandbox.json(["stop", "web"]);
  });
}

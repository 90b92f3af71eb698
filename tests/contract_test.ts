/**
 * The contract of the back ends (lib/os/types.ts): the same clauses for each one on this machine. A clause is skipped
 * only if the back end itself lists that it cannot do it; the reason is printed.
 */
import { assert, assertEquals } from "@std/assert";
import type { Ability } from "../lib/os/limits.ts";
import { linux } from "../lib/os/linux/system.ts";
import { posix } from "../lib/os/posix/system.ts";
import type { Identity } from "../lib/os/rows.ts";
import { scanLive } from "../lib/os/scan.ts";
import type { Launching, LaunchSpec } from "../lib/os/spawn.ts";
import { findLive, signal } from "../lib/os/system.ts";
import type { System } from "../lib/os/types.ts";
import { replaceFile } from "../lib/state/durable.ts";
import { exists, freePort, isRunning, kill, killPid, readProcess, ROOT, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

/** Every back end, and whether it can run on this machine. Add a line for a new one. */
const BACK_ENDS: { system: System; isHere: boolean }[] = [
  { system: linux, isHere: Deno.build.os === "linux" },
  { system: posix, isHere: Deno.build.os !== "windows" && installed("ps", "procps") && installed("lsof", "lsof") },
];

/** Variable that identifies members. */
const VARIABLE = "TOMBSTONE_ATTEMPT";

/** Bench of a clause. */
interface Bench {
  system: System;
  sandbox: Sandbox;
  /** Environment that makes the command use this back end. */
  env: Record<string, string>;
  /** Starts a process of this test. */
  spawn(command: string[]): Deno.ChildProcess;
  /** Launches a command as a start does, for an attempt. */
  launch(command: string[], options?: Partial<LaunchSpec>): Launched;
}

interface Launched extends Launching {
  attempt: string;
  spec: LaunchSpec;
}

/** The clauses, by the abilities that they need. */
interface Clause {
  name: string;
  needs?: Ability[];
  test(bench: Bench): Promise<void>;
}

function benchOf(system: System, sandbox: Sandbox): Bench {
  return {
    system,
    sandbox,
    env: { TOMBSTONE_PLATFORM: system.name },
    spawn: ([program, ...args]) =>
      new Deno.Command(program!, { args, env: sandbox.env(), stdin: "null", stdout: "piped", stderr: "null" }).spawn(),
    launch(command, options = {}) {
      const attempt = crypto.randomUUID();
      const dir = `${sandbox.root}/${attempt}`;
      Deno.mkdirSync(dir);
      const begins = `{"attempt":"${attempt}"`;
      const spec: LaunchSpec = {
        command,
        cwd: sandbox.project,
        env: { ...sandbox.env(), [VARIABLE]: attempt },
        inherit: "all",
        drop: ["TOMBSTONE_NONE"],
        input: "none",
        record: `${dir}/record`,
        intent: { path: `${dir}/starting`, begins },
        log: `${dir}/server.log`,
        scratch: `${dir}/scratch`,
        ...options,
      };
      if (!exists(spec.intent.path)) Deno.writeTextFileSync(spec.intent.path, `${begins}}\n`);
      return { ...system.launcher.launch(spec), attempt, spec };
    },
  };
}

/** The identity of a process that has just been started. */
function identityOf(system: System, pid: number): Identity {
  const row = system.processes.read(pid);
  if (row === null) throw new Error(`${pid} is not to be seen`);
  return { pid, startTime: row.startTime };
}

async function recordOf({ system }: Bench, { spec }: Launched): Promise<Identity> {
  const read = () =>
    exists(spec.record) ? system.launcher.parseRecord(Deno.readTextFileSync(spec.record).trim()) : null;
  await until("the launcher has recorded itself", () => read() !== null);
  return read()!;
}

/** Pids of the members of a launched node. */
async function membersOf(bench: Bench, launched: Launched): Promise<number[]> {
  const leader = await recordOf(bench, launched);
  const { processes } = bench.system;
  const scan = scanLive(bench.system);
  const log = { path: launched.spec.log, isLog: (path: string) => path === launched.spec.log, proves: true };
  const members = processes.members(processes.list(VARIABLE), {
    values: [launched.attempt],
    processes: [leader],
    exclude: [],
    log,
    isProven: () => false,
    others: null,
    scan,
  });
  return members.map(({ row }) => row.pid);
}

/** A program that daemonises by two forks, writes its pid to a file, and sleeps. */
const goneAway = (file: string, steps: string) => [
  "perl",
  "-e",
  `use POSIX; exit if fork; ${steps} exit if fork; open my $f, ">", "${file}.new"; print $f $$; close $f;
   rename "${file}.new", "${file}"; exec "sleep", "600"`,
];

async function pidIn(path: string): Promise<number> {
  await until(`${path} is written`, () => exists(path));
  return Number(Deno.readTextFileSync(path));
}

/** Examines a process from another one in which every scan fails. */
async function lookFrom(
  { system, sandbox }: Bench,
  how: string,
  pid: number,
  env = {},
): Promise<Record<string, string>> {
  const flags = (Deno.env.get("TOMBSTONE_API_FLAGS") ?? "").split(" ").filter(Boolean);
  const child = [Deno.execPath(), "run", "--quiet", "-A", ...flags, `${ROOT}/tests/support/contract_child.ts`];
  const line = [...child, system.name, how, String(pid)].map((word) => sandbox.quote(word)).join(" ");
  const { stdout, stderr } = await sandbox.shell(`ulimit -n 80; exec ${line}`, { env });
  assert(stdout !== "", stderr);
  return JSON.parse(stdout);
}

const CLAUSES: Clause[] = [
  {
    name: "a reused pid is another process and gets no signal",
    async test({ system, spawn }) {
      const child = spawn(["sleep", "600"]);
      const { pid, startTime } = identityOf(system, child.pid);
      const older = [1, 2, 3].map((ago) => startTime - ago).find((at) => !system.processes.sameStart(startTime, at))!;
      assert(findLive({ pid, startTime }, system) !== null);
      assertEquals(findLive({ pid, startTime: older }, system), null);
      assertEquals(signal({ pid, startTime: older }, "SIGKILL", system), false);
      assertEquals(system.processes.signal(pid, "SIGKILL", () => false), false, "it is asked right before");
      assert(isRunning(pid));
      assertEquals(signal({ pid, startTime }, "SIGKILL", system), true);
      assertEquals((await child.output()).signal, "SIGKILL");
      assertEquals(findLive({ pid, startTime }, system), null);
      assertEquals(signal({ pid, startTime }, "SIGKILL", system), false);
    },
  },
  {
    name: "a pid that was reused within a second is another process",
    needs: ["exact-start"],
    // deno-lint-ignore require-await
    async test({ system, spawn }) {
      const { startTime } = identityOf(system, spawn(["sleep", "600"]).pid);
      assertEquals(system.processes.sameStart(startTime, startTime + 1), false);
    },
  },
  {
    name: "a zombie is not alive and gets no signal",
    async test({ system, spawn }) {
      const parent = spawn(["sh", "-c", "sleep 0 & exec sleep 600"]).pid;
      const child = () => system.processes.list(VARIABLE).find((row) => row.ppid === parent);
      await until("its child is a zombie", () => child()?.isAlive === false);
      const { pid, startTime } = child()!;
      assertEquals(readProcess(pid)?.state, "Z");
      assertEquals(system.processes.read(pid)?.isAlive, false);
      assertEquals(findLive({ pid, startTime }, system), null);
      assertEquals(signal({ pid, startTime }, "SIGKILL", system), false);
    },
  },
  {
    name: "the id of a thread is not a process",
    // deno-lint-ignore require-await
    async test({ system }) {
      const task = `/proc/${Deno.pid}/task`;
      if (!exists(task)) return; // on this system, threads have no ids among those of processes
      const thread = [...Deno.readDirSync(task)].map(({ name }) => Number(name)).find((id) => id !== Deno.pid)!;
      assertEquals(system.processes.read(thread), null);
      assert(!system.processes.list(VARIABLE).some(({ pid }) => pid === thread));
    },
  },
  {
    name: "a look that fails is not a death",
    async test(bench) {
      const { pid } = bench.spawn(["sleep", "600"]);
      for (const [question, answer] of Object.entries(await lookFrom(bench, "starved", pid))) {
        assertEquals([question, answer], [question, "cannot be told"]);
      }
      const shim = `${bench.sandbox.root}/bin`;
      Deno.mkdirSync(shim);
      for (const program of ["ps", "lsof"]) {
        Deno.writeTextFileSync(`${shim}/${program}`, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
      }
      const answers = await lookFrom(bench, "look", pid, { PATH: `${shim}:${Deno.env.get("PATH")}` });
      assert(!Object.values(answers).includes("gone"), JSON.stringify(answers));
    },
  },
  {
    name: "the record exists before any command of the user runs",
    async test(bench) {
      const { spec } = bench.launch(["true"]); // for a name only
      const dir = spec.record.slice(0, spec.record.lastIndexOf("/"));
      const own = { record: `${dir}/own`, intent: { path: `${dir}/intent`, begins: "{" } };
      const launched = bench.launch([
        "sh",
        "-c",
        `cat ${dir}/own >${dir}/new; mv ${dir}/new ${dir}/seen; exec sleep 600`,
      ], own);
      await until("the command has run", () => exists(`${dir}/seen`));
      const seen = bench.system.launcher.parseRecord(Deno.readTextFileSync(`${dir}/seen`).trim());
      assertEquals(seen?.pid, launched.pid);
      assert(findLive(seen!, bench.system) !== null, "the record names the process that the launcher has become");
    },
  },
  {
    name: "a launch that was superseded runs nothing and leaves no record",
    async test(bench) {
      const intent = { path: `${bench.sandbox.root}/starting`, begins: '{"attempt":"one"' };
      Deno.writeTextFileSync(intent.path, '{"attempt":"another"}\n');
      const launched = bench.launch(["sh", "-c", "touch ran"], { intent });
      let code: number | null = null;
      void launched.status.then((status) => code = status.code);
      await until("the launcher has ended", () => code !== null);
      assertEquals(bench.system.launcher.failureOf(code!), "superseded");
      assertEquals([exists(`${bench.sandbox.project}/ran`), exists(launched.spec.record)], [false, false]);
    },
  },
  {
    name: "a starter that is killed between the spawn and the record leaves nothing",
    async test({ sandbox, env }) {
      const args = ["start", "web", "--no-probe", "--", "sleep", "600"];
      await sandbox.spawn(args, { env: { ...env, TOMBSTONE_FAILPOINT: "spawned" } }).output();
      await sandbox.json(["sweep", "web"], { env });
      await until("nothing is left", () => sandbox.processes().length === 0);
      assertEquals(sandbox.runtimeFiles("web"), []);
    },
  },
  {
    name: "a server inherits no descriptor of its starter",
    async test({ sandbox, env }) {
      const look = 'for n in 3 4 5 6 7 8 13 14; do [ -e /dev/fd/$n ] && echo "$n"; done >seen.new; mv seen.new seen';
      const start = sandbox.commandLine(["start", "web", "--no-probe", "--", "sh", "-c", `${look}; exec sleep 600`]);
      // A POSIX shell can name descriptors up to 9 only.
      const ran = await sandbox.shell(`exec 5>five 7<five 13>more 14<more; ${start}`, { env, shell: "bash" });
      assertEquals(ran.code, 0, ran.stderr);
      await until("it has looked", () => exists(`${sandbox.project}/seen`));
      assertEquals(Deno.readTextFileSync(`${sandbox.project}/seen`), "");
    },
  },
  {
    name: "a server survives its terminal and its starter",
    async test({ sandbox, env, system }) {
      const start = sandbox.commandLine(["start", "web", "--no-probe", "--", "sleep", "600"]);
      const terminal = Deno.build.os === "linux"
        ? `script -qec ${sandbox.quote(start)} /dev/null`
        : `script -q /dev/null ${start}`;
      const ran = await sandbox.shell(terminal, { env });
      assertEquals(ran.code, 0, ran.stdout + ran.stderr);
      const { pid, state } = await sandbox.json(["status", "web"], { env });
      assertEquals(state, "running");
      assert(system.processes.read(pid)?.isAlive, "it has outlived the terminal");
    },
  },
  {
    name: "a daemon of two forks is found by its environment; an attempt inside it is another one",
    needs: ["environment"],
    async test(bench) {
      const [away, inner] = [`${bench.sandbox.root}/away`, `${bench.sandbox.root}/inner`];
      const daemon = goneAway(away, "POSIX::setsid(); POSIX::close($_) for 3 .. 20;").map(bench.sandbox.quote).join(
        " ",
      );
      const nested = `${VARIABLE}=${crypto.randomUUID()} sleep 601 & echo $! >${inner}.new; mv ${inner}.new ${inner}`;
      const launched = bench.launch(["sh", "-c", `${daemon} </dev/null >/dev/null 2>&1; ${nested}; exec sleep 602`]);
      const [found, other] = [await pidIn(away), await pidIn(inner)];
      await until("it sleeps", () => readProcess(found)?.name === "sleep" && readProcess(other)?.name === "sleep");
      const members = await membersOf(bench, launched);
      assertEquals(members.toSorted(), [launched.pid, found].toSorted());
    },
  },
  {
    name: "a daemon that has cleared its environment is found by its open log",
    async test(bench) {
      const away = `${bench.sandbox.root}/away`;
      const daemon = goneAway(away, "POSIX::setsid(); %ENV = (PATH => $ENV{PATH});").map(bench.sandbox.quote).join(" ");
      const launched = bench.launch(["sh", "-c", `${daemon} </dev/null >/dev/null 2>&1; exec sleep 602`]);
      const found = await pidIn(away);
      await until("it sleeps", () => readProcess(found)?.name === "sleep");
      assert((await membersOf(bench, launched)).includes(found));
      assert(bench.system.processes.writesTo(found, (path) => path === launched.spec.log));
      assertEquals(bench.system.files.hasWriter(launched.spec.log), true);
      killPid(found);
    },
  },
  {
    name: "a process that only its session proves is found",
    needs: ["sessions"],
    async test(bench) {
      const away = `${bench.sandbox.root}/away`;
      const steps = "setpgrp(0, 0); %ENV = (PATH => $ENV{PATH}); POSIX::close($_) for 3 .. 20;";
      const daemon = goneAway(away, steps).map(bench.sandbox.quote).join(" ");
      const launched = bench.launch(["sh", "-c", `${daemon} </dev/null >/dev/null 2>&1; exec sleep 602`]);
      const found = await pidIn(away);
      assert((await membersOf(bench, launched)).includes(found));
      killPid(found);
    },
  },
  {
    name: "a process that becomes another one every few milliseconds does not escape two scans in a row",
    needs: ["restless"],
    async test(bench) {
      // It ends by itself: nothing but a kill at the right moment would end it, and each one that exits is a zombie for a time.
      const next = "use POSIX; for (1 .. 2000) { select undef, undef, undef, 0.005; POSIX::setsid(); exit if fork; }";
      const launched = bench.launch(["perl", "-e", next]);
      await until("it has become another one", () => bench.system.processes.read(launched.pid)?.isAlive !== true);
      for (let look = 0; look < 10; look++) {
        const seen = [await membersOf(bench, launched), await membersOf(bench, launched)];
        assert(seen.some((members) => members.length > 0), `look ${look}`);
      }
    },
  },
  {
    name: "a lock is free as soon as its holder was killed",
    async test({ sandbox, env }) {
      const port = String(freePort());
      const starter = sandbox.spawn(["start", "web", "--port", port, "--timeout", "5m", "--", "sleep", "600"], { env });
      await until("it waits", () => sandbox.serversOf("web").length > 0);
      kill(starter);
      await starter.output();
      const { nodes } = await sandbox.json(["stop", "web", "--lock-timeout", "1s"], { env });
      assertEquals(nodes.length, 1);
      assertEquals(sandbox.processes(), []);
    },
  },
  {
    name: "an exit wakes its waiter at once",
    async test({ system, spawn }) {
      const delays: number[] = [];
      // The machine may be busy, so the quickest of several counts.
      for (let round = 0; round < 5; round++) {
        const child = spawn(["sleep", "600"]);
        let killedAt = Infinity;
        setTimeout(() => {
          kill(child);
          killedAt = performance.now();
        }, 10);
        while (killedAt === Infinity) await system.processes.untilOneEnds([child.pid], 60_000);
        delays.push(performance.now() - killedAt);
        await child.output();
      }
      assert(Math.min(...delays) < 50, `told after ${delays.map(Math.round)} ms`);
    },
  },
  {
    name: "an exit without a signal also wakes its waiter",
    async test({ system, spawn }) {
      const parent = spawn(["sh", "-c", "sleep 600 & exec sleep 601"]).pid;
      const child = () => system.processes.list(VARIABLE).find((row) => row.ppid === parent && row.name === "sleep");
      await until("its child runs", () => child() !== undefined);
      const { pid, startTime } = child()!;
      assertEquals(signal({ pid, startTime }, "SIGKILL", system), true);
      const begun = performance.now();
      do await system.processes.untilOneEnds([pid], 60_000); while (findLive({ pid, startTime }, system) !== null);
      assert(performance.now() - begun < 10_000);
    },
  },
  {
    name: "the owner of a listener: IPv4, IPv6, every address, and one that two processes share",
    needs: ["owners"],
    async test({ system, spawn }) {
      const { pid, stdout } = spawn(["node", "-e", LISTEN]);
      const reader = stdout.getReader();
      const { ports, heir }: { ports: Record<string, number>; heir: number } = JSON.parse(
        new TextDecoder().decode((await reader.read()).value),
      );
      await reader.cancel();
      const rows = await system.sockets!.list();
      for (const [address, port] of Object.entries(ports)) {
        const inodes = rows!.filter((row) => row.port === port && row.address === address).map(({ inode }) => inode);
        assertEquals(inodes.length, 1, `${address} ${JSON.stringify(rows)}`);
        assert(system.sockets!.socketsOf(pid)!.has(inodes[0]!), address);
        assertEquals(system.sockets!.socketsOf(heir)!.has(inodes[0]!), address === "127.0.0.1", `${address}, shared`);
        assert(!system.sockets!.socketsOf(Deno.pid)!.has(inodes[0]!));
        assertEquals(system.sockets!.isTaken(port), true);
      }
    },
  },
  {
    name: "the owner of a unix socket, even of one that was bound by a relative name",
    needs: ["unix-paths"],
    async test({ system, sandbox }) {
      const code = 'const net = require("node:net"); net.createServer().listen("own.sock", () => console.log("ok"))';
      const child = new Deno.Command("node", {
        args: ["-e", code],
        cwd: sandbox.project,
        env: sandbox.env(),
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.getReader();
      await reader.read();
      await reader.cancel();
      const path = `${sandbox.project}/own.sock`;
      const file = Number(BigInt.asUintN(32, BigInt(Deno.statSync(path).ino!)));
      const rows = () =>
        (system.sockets!.listUnix() ?? []).filter((row) => row.path === path || row.fileInode === file);
      // A back end may answer from a slightly older scan.
      await until("the socket is seen", () => rows().length > 0);
      assertEquals(rows().length, 1);
      assert(system.sockets!.socketsOf(child.pid)!.has(rows()[0]!.inode));
      kill(child);
      await child.status;
    },
  },
  {
    name: "a file that is replaced while a reader has it open is complete for both",
    async test({ sandbox }) {
      const path = `${sandbox.root}/file`;
      await replaceFile(path, "before\n".repeat(10_000));
      using reader = Deno.openSync(path);
      const first = new Uint8Array(7);
      reader.readSync(first);
      await replaceFile(path, "after\n");
      const rest = new Uint8Array(100_000);
      assertEquals(reader.readSync(rest), 69_993);
      assertEquals(new TextDecoder().decode(first), "before\n");
      assertEquals(Deno.readTextFileSync(path), "after\n");
    },
  },
  {
    name: "a file without a writer is reported as such",
    needs: ["no-writer"],
    async test({ system, sandbox }) {
      const path = `${sandbox.root}/file`;
      await Deno.writeTextFile(path, "");
      assertEquals(system.files.hasWriter(path), false);
    },
  },
  {
    name: "the name of a process, and its signal dispositions",
    needs: ["signal-state"],
    async test({ system, spawn }) {
      const { pid } = spawn(["sh", "-c", "trap '' TERM; exec sleep 600"]);
      await until("it sleeps", () => system.processes.read(pid)?.name === "sleep");
      assertEquals(system.processes.signalState(pid)?.ignores("SIGTERM"), true);
    },
  },
  {
    name: "the name of a process: program, command line and environment",
    async test({ system, sandbox, spawn }) {
      const { pid } = spawn(["sh", "-c", "exec sleep 600"]);
      await until("it sleeps", () => system.processes.read(pid)?.name === "sleep");
      assertEquals(system.processes.commandLine(pid), "sleep 600");
      assertEquals(system.processes.program(pid), Deno.realPathSync("/bin/sleep").split("/").at(-1));
      assertEquals(system.processes.environment(pid, "TOMBSTONE_STATE_DIR"), sandbox.state);
      assertEquals(system.processes.environment(pid, "TOMBSTONE_NONE"), null);
      assertEquals(system.processes.isNeighbour(pid), true);
    },
  },
];

/** Listens on every kind of address; another process shares the first listener and does nothing with it. */
const LISTEN = `
const net = require("node:net");
const { spawn } = require("node:child_process");
const listen = (options) => new Promise((done) => {
  const server = net.createServer();
  server.listen(options, () => done(server));
});
(async () => {
  const servers = {
    "127.0.0.1": await listen({ host: "127.0.0.1", port: 0 }),
    "::1": await listen({ host: "::1", port: 0 }),
    "::": await listen({ host: "::", port: 0 }),
    "0.0.0.0": await listen({ host: "0.0.0.0", port: 0 }),
  };
  const fd = servers["127.0.0.1"]._handle.fd;
  const heir = spawn("sleep", ["600"], { stdio: ["ignore", "ignore", "ignore", fd] });
  const ports = Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, server.address().port]));
  heir.on("spawn", () => console.log(JSON.stringify({ ports, heir: heir.pid })));
})();
`;

for (const { system, isHere } of BACK_ENDS) {
  for (const { name, needs = [], test } of CLAUSES) {
    const reasons = isHere ? needs.flatMap((ability) => system.limits[ability] ?? []) : ["it is not on this machine"];
    if (reasons.length > 0) console.log(`skipped: ${system.name}: ${name}: this platform ${reasons.join("; ")}`);
    Deno.test({
      name: `${system.name}: ${name}`,
      ignore: reasons.length > 0,
      sanitizeResources: false,
      async fn() {
        await using sandbox = await Sandbox.create();
        await test(benchOf(system, sandbox));
      },
    });
  }
}

/**
 * Commands in sandboxes of their own, as agents run them: each with its own pid namespace, all with the same files. Nobody
 * is taken for dead there who lives where this process cannot look, and nobody is signalled by a number of elsewhere.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  accepts,
  allPids,
  COMMAND,
  type Document,
  exists,
  fixture,
  freePort,
  isRunning,
  kill,
  Sandbox,
  until,
} from "./support/sandbox.ts";
import { byTier, costly, inTurn, TIER } from "./support/tier.ts";

/** Ways to run one command in a pid namespace that ends with it. */
const WAYS: Record<string, string[]> = {
  bwrap: ["bwrap", "--unshare-pid", "--die-with-parent", "--bind", "/", "/", "--proc", "/proc", "--dev", "/dev"],
  "bwrap with its own network": [
    ...["bwrap", "--unshare-pid", "--unshare-net", "--die-with-parent", "--bind", "/", "/"],
    ...["--proc", "/proc", "--dev", "/dev"],
  ],
  unshare: ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
};

/** Those of them that work here, tried once; says why others are skipped. */
async function usableWays(): Promise<[string, string[]][]> {
  const usable: [string, string[]][] = [];
  for (const [name, way] of Object.entries(WAYS)) {
    const refusal = await new Deno.Command(way[0]!, { args: [...way.slice(1), "true"], stdin: "null" }).output()
      .then(({ success, stderr }) => success ? null : new TextDecoder().decode(stderr).trim())
      .catch((error) => {
        if (error instanceof Deno.errors.NotFound) return "it is not installed";
        throw error;
      });
    if (refusal === null) usable.push([name, way]);
    else console.log(`skipped: sandboxes by ${name}: ${refusal}`);
  }
  return usable;
}

const usable = await usableWays();
/** In the fast tier, the first that works. */
const ways = TIER === "full" ? usable : usable.slice(0, 1);
const [anyWay] = ways.map(([, way]) => way);

/** One sandbox of a command, which lasts as long as its first process. */
class Jail implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #sandbox: Sandbox;
  #count = 0;

  /** A shell in it that runs what it is given. */
  constructor(sandbox: Sandbox, way: string[]) {
    this.#sandbox = sandbox;
    this.#child = new Deno.Command(way[0]!, {
      args: [...way.slice(1), "sh"],
      cwd: sandbox.project,
      env: sandbox.env(),
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
  }

  /** Runs a line of shell in it to its end. */
  async run(line: string): Promise<{ code: number; stdout: string; stderr: string }> {
    const path = `${this.#sandbox.root}/jail.${this.#child.pid}.${++this.#count}`;
    const script = `(${line}) >${path}.out 2>${path}.err; echo $? >${path}.tmp; mv ${path}.tmp ${path}.code\n`;
    await this.#stdin.write(new TextEncoder().encode(script));
    await until(`"${line}" has ended`, () => {
      try {
        return Deno.statSync(`${path}.code`).isFile;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      }
    }, 60_000);
    return {
      code: Number(Deno.readTextFileSync(`${path}.code`)),
      stdout: Deno.readTextFileSync(`${path}.out`),
      stderr: Deno.readTextFileSync(`${path}.err`),
    };
  }

  /** Runs the tool in it with `--json`; the exit code must be as expected. */
  async json(args: string[], { code = 0, env = "" } = {}): Promise<Document> {
    const at = args.indexOf("--");
    const words = at < 0 ? [...args, "--json"] : [...args.slice(0, at), "--json", ...args.slice(at)];
    const ran = await this.run(`${env} ${this.#sandbox.commandLine(words)}`);
    assertEquals(ran.code, code, `${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
    return JSON.parse(ran.stdout);
  }

  /** Ends its first process, and with it all others. */
  async [Symbol.asyncDispose](): Promise<void> {
    const namespace = (await this.run("readlink /proc/self/ns/pid")).stdout.trim();
    await this.#stdin.close().catch(() => {});
    kill(this.#child);
    await this.#child.status;
    await until("everything in it is gone", () => !allPids().some((pid) => namespaceOf(pid) === namespace));
  }
}

/** Pid namespace of a process; `null` if it is gone. */
function namespaceOf(pid: number): string | null {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/pid`);
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return null;
    throw error;
  }
}

/** Runs the tool once, in a sandbox of its own. */
async function once(sandbox: Sandbox, way: string[], args: string[], code = 0): Promise<Document> {
  await using jail = new Jail(sandbox, way);
  return await jail.json(args, { code });
}

/**
 * The kernel gives the number of a namespace that has ended to the next one. This gives the records one that no namespace
 * has, as if it had not.
 */
function keepNumber(sandbox: Sandbox): void {
  for (const name of ["starting", "node.info"]) {
    const path = `${sandbox.nodeDir("web")}/${name}`;
    if (!exists(path)) continue;
    const record = JSON.parse(Deno.readTextFileSync(path));
    const changed = { schema: record.schema, attempt: record.attempt, ...record, pid_namespace: "pid:[1]" };
    Deno.writeTextFileSync(path, JSON.stringify(changed) + "\n");
  }
}

const startOf = (port: number) => ["start", "web", "--port", String(port), "--", ...fixture()];

/** One command in its own sandbox, after the sandbox in which the node was started has ended. */
async function tryOne(
  sandbox: Sandbox,
  way: string[],
  command: string,
  start: string[],
  first: Document,
): Promise<void> {
  const from = (document: Document) => document.nodes?.[0] ?? document;
  switch (command) {
    case "status":
    case "list": {
      const told = from(await once(sandbox, way, [command], command === "status" ? 1 : 0));
      assertEquals([told.state, told.pid], ["died", null]);
      if (command === "status") assertStringIncludes(told.reason, "has ended");
      break;
    }
    case "start":
    case "restart": {
      const again = await once(sandbox, way, command === "start" ? start : ["restart", "web"]);
      assertEquals([again.started, again.recovered.reason, again.recovered.pids], [true, "died", []]);
      assert(again.attempt !== first.attempt);
      break;
    }
    case "stop": {
      const stopped = from(await once(sandbox, way, ["stop", "web"]));
      assertEquals([stopped.stopped, stopped.pids, stopped.recovered.reason], [false, [], "died"]);
      break;
    }
    case "sweep": {
      const swept = from(await once(sandbox, way, ["sweep", "--all"]));
      assertEquals([swept.action, swept.recovered.reason, swept.recovered.pids], ["swept", "died", []]);
      assertEquals(sandbox.runtimeFiles("web"), []);
      break;
    }
    case "logs":
      assertEquals((await once(sandbox, way, ["logs", "web"])).node, "web");
      break;
    case "wait":
      assertEquals((await once(sandbox, way, ["wait", "web", "--timeout", "100ms"], 1)).error.state, "died");
      break;
  }
}

for (const [name, way] of ways) {
  costly(
    `each command in a sandbox of its own (${name}): what a first one started has ended with it, and no --force is needed`,
    async () => {
      // Commands that change nothing can share a node.
      for (
        const commands of inTurn([["status", "logs", "wait", "start"], ["list"], ["stop"], ["sweep"], ["restart"]], 5)
      ) {
        await using sandbox = await Sandbox.create();
        const start = startOf(freePort());
        const first = await once(sandbox, way, start);
        if (commands[0] !== "list") keepNumber(sandbox);
        for (const command of commands) await tryOne(sandbox, way, command, start, first);
      }
    },
  );

  costly(
    `a start that was killed with its sandbox (${name}) is recovered in the next one, wherever it was`,
    async () => {
      const steps = [
        "spawned",
        "waiting",
        "committed",
        "tombstone-written",
        "recovered",
        "log-rotated",
        "port-written",
      ];
      for (const step of steps.slice(0, byTier({ fast: 2, full: 7 }))) {
        await using sandbox = await Sandbox.create();
        const start = startOf(freePort());
        {
          await using jail = new Jail(sandbox, way);
          const ran = await jail.run(`TOMBSTONE_FAILPOINT=${step} ${sandbox.commandLine(start)}`);
          assertEquals(ran.code, 137, step);
        }
        keepNumber(sandbox);
        await using jail = new Jail(sandbox, way);
        const again = await jail.json(start);
        assertEquals([again.started, again.recovered.pids], [true, []], step);
        assertEquals((await jail.json(["status", "web"])).pid, again.pid, step);
        assertEquals(sandbox.serversOf("web").length, 1, step);
      }
    },
  );
}

Deno.test({
  name: "a server that lives in another sandbox is left alone: every command refuses, and no number of it is signalled",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    for (const [name, way] of ways) {
      await using sandbox = await Sandbox.create();
      await using home = new Jail(sandbox, way);
      const port = freePort();
      const start = startOf(port);
      const { pid } = await home.json(start);
      const [server] = sandbox.serversOf("web");
      await using other = new Jail(sandbox, way);
      // Somebody with the same number in the other sandbox.
      const stranger = await other.run(
        `while :; do setsid sleep 600 </dev/null >/dev/null 2>&1 & [ $! -ge ${pid} ] && break; kill -9 $!; done; echo $!`,
      );
      const number = Number(stranger.stdout);
      for (const command of [["stop", "web"], ["sweep", "web"], ["restart", "web"], start]) {
        const { error } = await other.json(command, { code: 4 });
        assertEquals(error.kind, "foreign-state", name);
        assertStringIncludes(error.message, "another pid namespace");
        assertStringIncludes(error.hint, "--force");
      }
      const status = await other.json(["status", "web"], { code: 4 });
      assertEquals([status.state, status.ready], ["unknown", false]);
      assertStringIncludes(status.reason, "its log is still held open there");
      assertEquals((await other.json(["sweep", "--all"], { code: 4 })).nodes[0].action, "refused");
      assertEquals((await other.run(`kill -0 ${number}`)).code, 0, "the stranger of the same number was signalled");
      assertEquals(sandbox.serversOf("web"), [server], "there is one server, as before");
      // Where it was started, everything is as ever.
      assertEquals((await home.json(start)).started, false);
      assertEquals((await home.json(["status", "web"])).pid, pid);
      assertEquals((await home.json(["stop", "web"])).nodes[0].stopped, true);
      assertEquals((await other.json(["status", "web"], { code: 3 })).state, "stopped");
    }
  },
});

Deno.test({
  name: "between the machine itself and a sandbox, in both directions",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn(test) {
    for (const [name, way] of ways) {
      await test.step(`started outside, looked at inside (${name})`, async () => {
        await using sandbox = await Sandbox.create();
        const start = startOf(freePort());
        const { pid } = await sandbox.json(start);
        for (const command of [["stop", "web"], ["sweep", "web"], start]) {
          assertEquals((await once(sandbox, way, command, 4)).error.kind, "foreign-state");
        }
        assertEquals((await once(sandbox, way, ["status", "web"], 4)).state, "unknown");
        assertEquals((await sandbox.assertOneServer("web")).pid, pid);
        Deno.kill(pid, "SIGKILL");
        await until("it is gone", () => !isRunning(pid));
        assertEquals((await once(sandbox, way, ["status", "web"], 1)).state, "died");
        assertEquals((await once(sandbox, way, start)).recovered.reason, "died");
      });

      await test.step(`started inside, looked at outside (${name})`, async () => {
        await using sandbox = await Sandbox.create();
        const start = startOf(freePort());
        {
          await using jail = new Jail(sandbox, way);
          await jail.json(start);
          const [server] = sandbox.serversOf("web");
          for (const command of [["stop", "web"], ["sweep", "web"], start]) {
            const { error } = await sandbox.json(command, { code: 4 });
            assertStringIncludes(error.message, `it still runs there, seen from here as pid ${server}`);
          }
          assertEquals((await sandbox.json(["status", "web"], { code: 4 })).state, "unknown");
          assertEquals(sandbox.serversOf("web"), [server]);
        }
        assertEquals((await sandbox.json(["status", "web"], { code: 1 })).state, "died");
        const again = await sandbox.json(start);
        assertEquals([again.recovered.reason, again.recovered.pids], ["died", []]);
        await sandbox.assertOneServer("web");
      });
    }
  },
});

/** Kills a start in a sandbox once its server runs there; resolves to the start's words. */
async function interruptIn(home: Jail, sandbox: Sandbox): Promise<string[]> {
  const start = startOf(freePort());
  assertEquals((await home.run(`TOMBSTONE_FAILPOINT=waiting ${sandbox.commandLine(start)}`)).code, 137);
  await until("the server runs", () => sandbox.serversOf("web").length === 1);
  return start;
}

Deno.test({
  name: "a start that was interrupted in a sandbox that goes on is not taken over from another one",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using home = new Jail(sandbox, anyWay!);
    const start = await interruptIn(home, sandbox);
    await using other = new Jail(sandbox, anyWay!);
    for (const command of [["stop", "web"], ["sweep", "web"], start]) {
      assertEquals((await other.json(command, { code: 4 })).error.kind, "foreign-state");
    }
    assertEquals(sandbox.serversOf("web").length, 1);
    const again = await home.json(start);
    assertEquals([again.recovered.reason, again.recovered.progress], ["interrupted-start", "spawned"]);
    assertEquals(again.recovered.pids.length, 1);
    assertEquals(sandbox.serversOf("web").length, 1);
  },
});

Deno.test({
  name: "a take-over from another sandbox that is killed forgets nothing: the third one copes",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    for (const died of ["waiting", "committed"]) {
      const steps = ["tombstone-written", "namespace-left", "spawned", "recovered", "waiting", "tombstone-removed"];
      for (const step of steps.slice(0, byTier({ fast: 1, full: 6 }))) {
        await using sandbox = await Sandbox.create();
        const start = startOf(freePort());
        for (const at of [died, step]) {
          await using jail = new Jail(sandbox, anyWay!);
          const ran = await jail.run(`TOMBSTONE_FAILPOINT=${at} ${sandbox.commandLine(start)}`);
          assertEquals(ran.code, 137, `${died}, ${at}: ${ran.stderr}`);
          if (at === died) keepNumber(sandbox);
        }
        await using jail = new Jail(sandbox, anyWay!);
        const again = await jail.json(start);
        assertEquals(again.started, true, `${died}, ${step}`);
        assertEquals(sandbox.serversOf("web").length, 1, `${died}, ${step}`);
        assertEquals(sandbox.runtimeFiles("web"), ["node.info", "pid", "port"], `${died}, ${step}`);
      }
    }
  },
});

Deno.test({
  name: "a tombstone that remembers a living attempt of another sandbox is not taken over, not even by its own sandbox",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    await using home = new Jail(sandbox, anyWay!);
    const start = await interruptIn(home, sandbox);
    const starting = `${sandbox.nodeDir("web")}/starting`;
    const { pid_namespace, network_namespace, ...rest } = JSON.parse(Deno.readTextFileSync(starting));
    await using other = new Jail(sandbox, anyWay!);
    const [pid, net] = (await other.run("readlink /proc/self/ns/pid; readlink /proc/self/ns/net")).stdout.split("\n");
    // As a command of the other sandbox leaves it that was killed right after its take-over.
    const taken = { ...rest, attempt: crypto.randomUUID(), pid_namespace: pid, network_namespace: net };
    const elsewhere = { pid_namespace, network_namespace };
    Deno.writeTextFileSync(starting, JSON.stringify({ ...taken, elsewhere }) + "\n");
    for (const command of [["stop", "web"], ["sweep", "web"], start]) {
      assertEquals((await other.json(command, { code: 4 })).error.kind, "foreign-state");
    }
    assertEquals(sandbox.serversOf("web").length, 1);
  },
});

Deno.test({
  name: "a server that has let go of its log is not taken for dead from another sandbox",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    const quiet = ["sh", "-c", `exec >/dev/null 2>&1 9>&-; exec ${fixture().join(" ")}`];
    const start = ["start", "web", "--port", String(freePort()), "--", ...quiet];
    await using home = new Jail(sandbox, anyWay!);
    await home.json(start);
    const { reason } = await once(sandbox, anyWay!, ["status", "web"], 4);
    assertStringIncludes(reason, "it does not write to its log, so nothing tells from here whether it still runs");
    assertEquals((await once(sandbox, anyWay!, start, 4)).error.kind, "foreign-state");
    assertEquals(sandbox.serversOf("web").length, 1);
  },
});

Deno.test({
  name: "a daemon, which gives its output up, still holds its log, and is judged by that from another sandbox",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    const pidFile = `${sandbox.project}/server.pid`;
    const port = freePort();
    // As daemon(3) does: the output goes, other descriptors stay.
    const daemonise = `${fixture().join(" ")} >/dev/null 2>&1 & echo $! >${pidFile}`;
    const start = ["start", "web", "--port", String(port), "--pid-file", pidFile, "--", "sh", "-c", daemonise];
    {
      await using home = new Jail(sandbox, anyWay!);
      await home.json(start);
      assertEquals((await once(sandbox, anyWay!, ["status", "web"], 4)).state, "unknown");
      assertEquals((await once(sandbox, anyWay!, start, 4)).error.kind, "foreign-state");
    }
    assertEquals((await once(sandbox, anyWay!, start)).recovered.reason, "died");
  },
});

Deno.test({
  name:
    "where its log was replaced or its port is taken, a node of another sandbox is not judged; --force forgets it, and signals nobody",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    await once(sandbox, anyWay!, startOf(port));
    keepNumber(sandbox);
    using listener = Deno.listen({ hostname: "127.0.0.1", port });
    assertStringIncludes(
      (await once(sandbox, anyWay!, ["status", "web"], 4)).reason,
      `somebody still listens on its port ${port}`,
    );
    assert(await accepts(port));
    listener.close();
    Deno.renameSync(`${sandbox.nodeDir("web")}/server.log`, `${sandbox.root}/log`);
    Deno.writeTextFileSync(`${sandbox.nodeDir("web")}/server.log`, "");
    assertStringIncludes((await once(sandbox, anyWay!, ["status", "web"], 4)).reason, "its log has been replaced");
    const bystander = sandbox.bystander();
    assertEquals((await once(sandbox, anyWay!, ["stop", "web", "--force"])).nodes[0].pids, []);
    assert(isRunning(bystander));
    assertEquals((await once(sandbox, anyWay!, startOf(port))).recovered, null);
  },
});

Deno.test({
  name: "another boot decides before another pid namespace does",
  ignore: TIER === "fast" || anyWay === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    const start = startOf(freePort());
    const { dir } = await once(sandbox, anyWay!, start);
    const info = JSON.parse(Deno.readTextFileSync(`${dir}/node.info`));
    // Even though something holds the log.
    using _log = Deno.openSync(`${dir}/server.log`, { append: true });
    Deno.writeTextFileSync(`${dir}/node.info`, JSON.stringify({ ...info, boot_id: crypto.randomUUID() }));
    assertEquals((await once(sandbox, anyWay!, start)).recovered.reason, "rebooted");
  },
});

const hasTimeNamespaces = await new Deno.Command("unshare", { args: ["--time", "--boottime", "1000", "true"] }).output()
  .then(({ success }) => success).catch(() => false);
if (!hasTimeNamespaces) console.log("skipped: a time namespace takes unshare(1) of util-linux and root");

Deno.test({
  name: "a server is known from another time namespace, whose clock gives it another start time",
  ignore: TIER === "fast" || !hasTimeNamespaces,
  async fn(test) {
    const shifted = ["unshare", "--time", "--boottime", "1000", "--fork"];
    const inside = async (sandbox: Sandbox, args: string[], code = 0): Promise<Document> => {
      const at = args.indexOf("--");
      const words = at < 0 ? [...args, "--json"] : [...args.slice(0, at), "--json", ...args.slice(at)];
      const ran = await new Deno.Command(shifted[0]!, {
        args: [...shifted.slice(1), ...COMMAND, ...words],
        cwd: sandbox.project,
        env: sandbox.env(),
        stdin: "null",
      }).output();
      const stdout = new TextDecoder().decode(ran.stdout);
      assertEquals(ran.code, code, `${args.join(" ")}: ${stdout}${new TextDecoder().decode(ran.stderr)}`);
      return JSON.parse(stdout);
    };

    const cleared = ["sh", "-c", `exec env -i "PATH=$PATH" "PORT=$PORT" ${fixture().join(" ")}`];
    for (const command of [fixture(), cleared]) {
      await test.step(`it runs, is joined and stopped: ${command[0]}`, async () => {
        await using sandbox = await Sandbox.create();
        const start = ["start", "web", "--port", String(freePort()), "--", ...command];
        const { pid } = await sandbox.json(start);
        assertEquals((await inside(sandbox, ["status", "web"])).pid, pid);
        assertEquals((await inside(sandbox, start)).started, false);
        assertEquals((await inside(sandbox, ["stop", "web"])).nodes[0].stopped, true);
        assert(!isRunning(pid));
        assertEquals((await inside(sandbox, ["status", "web"], 3)).state, "stopped");
      });
    }

    await test.step("one that nothing proves is not called dead", async () => {
      await using sandbox = await Sandbox.create();
      const script = `exec env -i "PATH=$PATH" "PORT=$PORT" ${fixture().join(" ")} >/dev/null 2>&1 9>&-`;
      const start = ["start", "web", "--port", String(freePort()), "--", "sh", "-c", script];
      const { pid } = await sandbox.json(start);
      const { error } = await inside(sandbox, ["stop", "web"], 4);
      assertStringIncludes(error.message, "another time namespace");
      assertEquals((await sandbox.json(["status", "web"])).pid, pid);
    });

    await test.step("one that was killed has died, and an interrupted start is recovered", async () => {
      await using sandbox = await Sandbox.create();
      const start = startOf(freePort());
      const { pid } = await sandbox.json(start);
      Deno.kill(pid, "SIGKILL");
      await until("it is gone", () => !isRunning(pid));
      assertEquals((await inside(sandbox, ["status", "web"], 1)).state, "died");
      await sandbox.spawn(start, { env: { TOMBSTONE_FAILPOINT: "waiting" } }).output();
      await until("the server runs", () => sandbox.serversOf("web").length === 1);
      const [orphan] = sandbox.serversOf("web");
      assertEquals((await inside(sandbox, start)).recovered.pids, [orphan]);
      assertEquals(sandbox.serversOf("web").length, 1);
    });
  },
});

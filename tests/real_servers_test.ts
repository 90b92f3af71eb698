/** The servers that people run: a BEAM node, redis, nginx, PostgreSQL, Node's http. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { accepts, allPids, freePort, isRunning, readProcess, ROOT, Sandbox, until } from "./support/sandbox.ts";
import { findPostgres, installed } from "./support/servers.ts";
import { TIER } from "./support/tier.ts";

const BEAM = `
  {ok, Listen} = gen_tcp:listen(0, [{ip, {127,0,0,1}}, {active, false}, {reuseaddr, true}]),
  {ok, Port} = inet:port(Listen),
  Nonce = integer_to_list(rand:uniform(1 bsl 60), 16),
  ok = file:write_file(os:getenv("PORT_FILE"), io_lib:format("~b~n~s~n", [Port, Nonce])),
  Accept = fun(Self) ->
    {ok, Socket} = gen_tcp:accept(Listen),
    gen_tcp:send(Socket, atom_to_list(node())),
    gen_tcp:close(Socket),
    Self(Self)
  end,
  Accept(Accept).
`.replace(/\s+/g, " ");

/** What a TCP server says on connect. */
async function greeting(port: number): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const bytes = new Uint8Array(256);
  const length = await connection.read(bytes) ?? 0;
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** A BEAM node with an epmd of its own, both on loopback. */
class BeamNode {
  readonly name = `tombstone_${crypto.randomUUID().slice(0, 8)}`;
  readonly epmdPort = freePort();
  readonly portFile: string;

  constructor(readonly sandbox: Sandbox) {
    this.portFile = `${sandbox.project}/beam.port`;
  }

  get env(): Record<string, string> {
    return { ERL_EPMD_PORT: String(this.epmdPort), ERL_EPMD_ADDRESS: "127.0.0.1", PORT_FILE: this.portFile };
  }

  get startArgs(): string[] {
    const dist = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"];
    return [
      "start",
      "beam",
      "--port-file",
      this.portFile,
      "--",
      "erl",
      "-noshell",
      "-sname",
      `${this.name}@localhost`,
      ...dist,
      "-eval",
      BEAM,
    ];
  }

  /** Nodes that epmd knows. */
  async registered(): Promise<string[]> {
    const { stdout } = await new Deno.Command("epmd", { args: ["-names"], env: this.env }).output();
    return [...new TextDecoder().decode(stdout).matchAll(/^name (\S+) at port/gm)].map((match) => match[1]!);
  }

  epmd(): number | undefined {
    return this.sandbox.processes().find((pid) => readProcess(pid)?.name === "epmd");
  }
}

const hasErlang = installed("erl", "erlang-base");

Deno.test({
  name: "start recovers from a tombstone left by a mid-start crash (BEAM node)",
  ignore: TIER === "fast" || !hasErlang,
  async fn() {
    await using sandbox = await Sandbox.create();
    const beam = new BeamNode(sandbox);
    const first = await sandbox.json(beam.startArgs, { env: beam.env });
    assertEquals(await greeting(first.port), `${beam.name}@localhost`);
    const firstInfo = JSON.parse(Deno.readTextFileSync(`${first.dir}/node.info`));
    const epmd = beam.epmd();
    assert(epmd !== undefined, "the node has started an epmd");

    Deno.kill(first.pid, "SIGKILL");
    await until("the node is gone", () => !isRunning(first.pid));
    Deno.writeTextFileSync(`${first.dir}/starting`, "");

    const second = await sandbox.json(beam.startArgs, { env: beam.env });
    assertEquals(second.recovered.reason, "interrupted-start");
    assert(second.pid !== first.pid);
    assertEquals(await greeting(second.port), `${beam.name}@localhost`);
    assertEquals(sandbox.runtimeFiles("beam"), ["node.info", "pid", "port"]);
    const info = JSON.parse(Deno.readTextFileSync(`${second.dir}/node.info`));
    assertEquals(Deno.readTextFileSync(beam.portFile), `${info.port}\n${info.nonce}\n`);
    assert(info.nonce !== firstInfo.nonce);
    assertEquals(Deno.readTextFileSync(`${second.dir}/port`), `${info.port}\n${info.nonce}\n`);
    assertEquals(Deno.readTextFileSync(`${second.dir}/pid`), `${second.pid}\n`);
    assertEquals(beam.epmd(), epmd, "epmd still runs");
    assertEquals(await beam.registered(), [beam.name]);

    await sandbox.json(["stop", "beam"]);
    assertEquals(beam.epmd(), epmd, "epmd still runs");
    assertEquals(await beam.registered(), []);
  },
});

Deno.test({
  name: "a live BEAM node under an empty tombstone is replaced, its name registered once",
  ignore: TIER === "fast" || !hasErlang,
  async fn() {
    await using sandbox = await Sandbox.create();
    const beam = new BeamNode(sandbox);
    const first = await sandbox.json(beam.startArgs, { env: beam.env });
    Deno.writeTextFileSync(`${first.dir}/starting`, "");
    const second = await sandbox.json(beam.startArgs, { env: beam.env });
    assert(second.recovered.pids.includes(first.pid));
    assertEquals(isRunning(first.pid), false);
    assertEquals(await beam.registered(), [beam.name]);
    assert(beam.epmd() !== undefined);
  },
});

const hasRedis = installed("redis-server", "redis-server");

Deno.test({
  name: "a BEAM node's name is free again before the next start, after restart, stop and SIGKILL",
  ignore: TIER === "fast" || !hasErlang,
  async fn() {
    await using sandbox = await Sandbox.create();
    const beam = new BeamNode(sandbox);
    let node = await sandbox.json(beam.startArgs, { env: beam.env });
    for (const end of ["restart", "stop", "kill", "restart", "stop", "kill"]) {
      const before = node.pid;
      if (end === "restart") node = await sandbox.json(["restart", "beam"], { env: beam.env });
      if (end === "stop") await sandbox.json(["stop", "beam"]);
      if (end === "kill") Deno.kill(before, "SIGKILL");
      if (end !== "restart") node = await sandbox.json(beam.startArgs, { env: beam.env });
      assert(node.started && node.pid !== before, end);
      assertEquals(await greeting(node.port), `${beam.name}@localhost`);
      assertEquals(await beam.registered(), [beam.name]);
    }
  },
});

Deno.test({
  name: "redis: started, killed with its starter, recovered although it overwrites its environment, stopped",
  ignore: !hasRedis,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const server = ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--dir", sandbox.project];
    const args = ["start", "redis", "--port", String(port), "--", ...server];
    const redisPids = () => allPids().filter((pid) => isRunning(pid) && commandLine(pid).includes(`127.0.0.1:${port}`));
    const killed = await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "waiting" } }).output();
    assertEquals(killed.signal, "SIGKILL");
    // It listens before it has given itself the title by which it is found here.
    await until("redis listens", async () => await accepts(port) && redisPids().length === 1);
    const [orphan] = redisPids();
    const started = await sandbox.json(args);
    assertEquals(started.recovered.pids, [orphan]);
    assertEquals(redisPids(), [started.pid]);
    assertEquals(await ask(port, "PING\r\n"), "+PONG\r\n");

    const command = `redis-cli -p ${port} set k v && redis-cli -p $PORT shutdown nosave`;
    await sandbox.json([...args.slice(0, 2), "--replace", "--stop-command", command, ...args.slice(2)]);
    const stopped = await sandbox.json(["stop", "redis"]);
    assertEquals(stopped.nodes[0].stopped, true);
    assertEquals(redisPids(), []);
    const { lines } = await sandbox.json(["logs", "redis"]);
    assert(lines.includes("OK"), "the stop command's output is in the log");
    assert(lines.some((line: string) => line.includes("Redis is now ready to exit")));
  },
});

function commandLine(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return "";
    throw error;
  }
}

async function ask(port: number, question: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(question));
  const bytes = new Uint8Array(1024);
  return new TextDecoder().decode(bytes.subarray(0, await connection.read(bytes) ?? 0));
}

Deno.test({
  name: "nginx as a daemon of its own: followed by its pid file, recovered, stopped with its workers",
  ignore: !installed("nginx", "nginx-light"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const pidFile = `${sandbox.project}/nginx.pid`;
    Deno.chmodSync(sandbox.root, 0o755);
    Deno.writeTextFileSync(
      `${sandbox.project}/nginx.conf`,
      `pid ${pidFile};
      error_log ${sandbox.project}/error.log;
      worker_processes 2;
      events {}
      http {
        access_log off;
        client_body_temp_path ${sandbox.project}/body; proxy_temp_path ${sandbox.project}/proxy;
        fastcgi_temp_path ${sandbox.project}/fastcgi; uwsgi_temp_path ${sandbox.project}/uwsgi;
        scgi_temp_path ${sandbox.project}/scgi;
        server { listen 127.0.0.1:${port}; return 200 "hello\\n"; }
      }`,
    );
    const server = [
      "nginx",
      "-p",
      sandbox.project,
      "-c",
      `${sandbox.project}/nginx.conf`,
      "-e",
      `${sandbox.project}/error.log`,
    ];
    const args = ["start", "nginx", "--port", String(port), "--pid-file", pidFile, "--", ...server];
    const killed = await sandbox.spawn(args, { env: { TOMBSTONE_FAILPOINT: "port-written" } }).output();
    assertEquals(killed.signal, "SIGKILL");
    const orphan = Number(Deno.readTextFileSync(pidFile));
    assert(isRunning(orphan));
    // A start of something else, without a pid file, takes over and dies before it has recovered anything.
    const other = ["start", "nginx", "--no-probe", "--", "sleep", "600"];
    await sandbox.spawn(other, { env: { TOMBSTONE_FAILPOINT: "tombstone-written" } }).output();
    const started = await sandbox.json(args);
    assert(started.recovered.pids.includes(orphan), "master and workers of the dead attempt are ended");
    assertEquals(isRunning(orphan), false);
    assertEquals(started.pid, Number(Deno.readTextFileSync(pidFile)));
    assertEquals(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "hello\n");
    const workers = allPids().filter((pid) => readProcess(pid)?.ppid === started.pid);
    assertEquals(workers.length, 2);
    assertEquals((await sandbox.json(["status", "nginx"])).ready, true);
    await sandbox.json(["stop", "nginx"]);
    assertEquals([started.pid, ...workers].filter(isRunning), []);
    assertEquals(await accepts(port), false);
  },
});

Deno.test({
  name: "nginx whose master was killed: its workers, without leader and environment, are terminated",
  ignore: !installed("nginx", "nginx-light"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    Deno.chmodSync(sandbox.root, 0o755);
    const conf = `${sandbox.project}/nginx.conf`;
    Deno.writeTextFileSync(
      conf,
      `daemon off; pid ${sandbox.project}/nginx.pid; error_log stderr; events {}
      http { access_log off; server { listen 127.0.0.1:${port}; return 200 ok; } }`,
    );
    const server = ["nginx", "-p", sandbox.project, "-c", conf, "-e", "stderr"];
    const args = ["start", "nginx", "--port", String(port), "--", ...server];
    const first = await sandbox.json(args);
    const workers = allPids().filter((pid) => readProcess(pid)?.ppid === first.pid);
    Deno.kill(first.pid, "SIGKILL");
    await until("the master is gone", () => !isRunning(first.pid));
    assert(workers.some(isRunning) && await accepts(port), "the workers outlive it and hold the port");
    const second = await sandbox.json(args);
    assertEquals(second.recovered.reason, "died");
    assertEquals(workers.filter(isRunning), []);
    assertEquals(second.ready, true);
  },
});

Deno.test({
  name: "Node's http server behind npm: the whole tree goes with stop",
  async fn() {
    await using sandbox = await Sandbox.create();
    Deno.writeTextFileSync(
      `${sandbox.project}/package.json`,
      JSON.stringify({ name: "web", scripts: { start: "node server.js" } }),
    );
    Deno.writeTextFileSync(
      `${sandbox.project}/server.js`,
      `require("http").createServer((_, response) => response.end("hi")).listen(process.env.PORT, "127.0.0.1");`,
    );
    const started = await sandbox.json(["start", "web", "--port", "0", "--", "npm", "start"]);
    assertEquals(await (await fetch(`http://127.0.0.1:${started.port}/`)).text(), "hi");
    const tree = sandbox.serversOf("web");
    assert(tree.length >= 2);
    const stopped = await sandbox.json(["stop", "web"]);
    assertEquals(stopped.nodes[0].pids.toSorted(), tree.toSorted());
    assertEquals(sandbox.processes(), []);
    assertEquals(await accepts(started.port), false);
  },
});

const postgres = findPostgres();

Deno.test({
  name: "PostgreSQL: killed with SIGKILL, its postmaster.pid is no obstacle to the next start",
  ignore: TIER === "fast" || postgres === null || Deno.uid() !== 0,
  async fn() {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const data = `${sandbox.project}/data`;
    // It refuses to run as root, so it gets a user of its own from the package.
    Deno.chmodSync(sandbox.root, 0o755);
    Deno.chmodSync(sandbox.project, 0o777);
    const asUser = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
    const init = await new Deno.Command(asUser[0]!, {
      args: [...asUser.slice(1), `${postgres}/initdb`, "-D", data, "--auth=trust", "--no-sync"],
      cwd: sandbox.project,
      stdout: "null",
    }).output();
    assertEquals(init.code, 0, new TextDecoder().decode(init.stderr));
    const server = [
      ...asUser,
      `${postgres}/postgres`,
      "-D",
      data,
      "-p",
      String(port),
      "-h",
      "127.0.0.1",
      "-k",
      "", // no unix socket, whose lock file has the same weakness
    ];
    // PostgreSQL takes the zombie of the killed postmaster for alive, and its pid file for valid.
    const stale = ["--sweep-file", `${data}/postmaster.pid`];
    const args = ["start", "db", "--port", String(port), "--stop-signal", "INT", ...stale, "--", ...server];
    const first = await sandbox.json(args);
    Deno.kill(first.pid, "SIGKILL");
    await until("the postmaster is gone", () => !isRunning(first.pid));
    assert(Deno.statSync(`${data}/postmaster.pid`).isFile);
    const second = await sandbox.json(args);
    assertEquals(second.recovered.reason, "died");
    assertEquals((await sandbox.json(["stop", "db"])).nodes[0].stopped, true);
    assertEquals(await accepts(port), false);
    assertStringIncludes((await sandbox.run(["logs", "db"])).stdout, "database system is shut down");
  },
});

Deno.test("the demo shows start, SIGKILL half-way, recovery and stop", async () => {
  await using sandbox = await Sandbox.create();
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${ROOT}/tools/demo.ts`],
    cwd: sandbox.project,
    env: sandbox.env(),
    stdout: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, text);
  for (const part of ['started "web"', "SIGKILL", "interrupted", "recovered", "stopped"]) {
    assertStringIncludes(text, part);
  }
  assertEquals(sandbox.processes(), []);
});

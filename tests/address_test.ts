/** The right address: IPv4 or IPv6, of several ports the one that is meant, and what it speaks. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { nameOf, toolPorts } from "../lib/process/own_ports.ts";
import { accepts, COMMAND, type Document, fixture, freePort, Sandbox, until } from "./support/sandbox.ts";
import { canUnshare } from "./support/namespace.ts";
import { installed } from "./support/servers.ts";
import { takePort } from "../lib/process/free_port.ts";
import { protocolOf } from "../lib/process/connect.ts";
import { costly } from "./support/tier.ts";

/** JavaScript for `node -e`: HTTP on these ports, one after another, with this pause between them. */
function listening(ports: number[], { pause = 0, host = "127.0.0.1", status = [200] } = {}): string[] {
  const script = `const http = require("http");
    ${JSON.stringify(ports)}.forEach((port, at) => setTimeout(() => {
      http.createServer((q, r) => { r.statusCode = ${JSON.stringify(status)}[at] ?? 200; r.end("x"); })
        .listen(port, ${JSON.stringify(host)});
    }, at * ${pause}));`;
  return ["node", "-e", script];
}

/** A file with such a script, so that the command line names no port. */
function scriptFile(sandbox: Sandbox, name: string, command: string[]): string[] {
  Deno.writeTextFileSync(`${sandbox.project}/${name}`, command[2]!);
  return ["node", name];
}

const canMount = await canUnshare();

Deno.test("without --host, a server on ::1 alone is ready, and every command names that address", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const start = ["start", "web", "--port", String(port), "--", ...fixture("host=::1")];
  const started = await sandbox.json(start);
  assertEquals([started.host, started.port, started.url], ["::1", port, `[::1]:${port}`]);
  assertEquals(JSON.parse(Deno.readTextFileSync(`${started.dir}/node.info`)).bind_addr, "::1");
  const joined = await sandbox.json(start);
  assertEquals([joined.started, joined.url], [false, `[::1]:${port}`]);
  assertEquals((await sandbox.json(["wait", "web"])).ready, true);
  assertStringIncludes((await sandbox.run(["status", "web"])).stdout, `, [::1]:${port}, `);
  await sandbox.json(["stop", "web"]);

  for (const flags of [["--port", "0", "--http", "/"], ["--http", "/"], ["--port-file", "p"]]) {
    const server = fixture("host=::1", ...flags.includes("--http") ? ["http"] : [`port-file=${sandbox.project}/p`]);
    const six = await sandbox.json(["start", "six", ...flags, "--", ...server]);
    assertEquals([six.host, six.ready], ["::1", true], flags.join(" "));
    const scheme = flags.includes("--http") ? "http://" : "";
    assertEquals(six.url, `${scheme}[::1]:${six.port}`);
    assertEquals((await sandbox.json(["status", "six"])).ready, true);
    await sandbox.json(["stop", "six"]);
  }
  const named = freePort();
  const local = ["--http", `http://localhost:${named}/`];
  const url = await sandbox.json(["start", "six", ...local, "--", ...fixture("http", "host=::1", `port=${named}`)]);
  assertEquals([url.ready, url.url], [true, `http://localhost:${named}`]);
});

Deno.test("a port is taken if a stranger has it on any loopback address, and free for nobody then", async () => {
  for (const host of ["::1", "127.0.0.1", "127.0.0.2", "::", "0.0.0.0"]) {
    await using sandbox = await Sandbox.create();
    const port = freePort();
    const stranger = sandbox.bystander(fixture(`port=${port}`, `host=${host}`));
    await until("it listens", () => accepts(port, host.replace(/^::$/, "::1").replace("0.0.0.0", "127.0.0.1")));
    const { error } = await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture()], { code: 5 });
    assertEquals([error.kind, error.owner_pid], ["port-in-use", stranger], host);
    sandbox.assertBystanders();
  }
});

Deno.test("an address that a server listens on for a moment, to try, is not the node's", async () => {
  await using sandbox = await Sandbox.create();
  // As Vite does: it finds out on every address whether the port is free, and then listens on one.
  const script = `const net = require("net"); const port = Number(process.env.PORT);
    const listen = (server, host) => new Promise((resolve) => server.listen(port, host, resolve));
    (async () => {
      for (let i = 0; i < 100; i++) {
        const server = net.createServer((s) => s.on("error", () => {}).destroy());
        await listen(server, "127.0.0.1");
        await new Promise((resolve) => setTimeout(resolve, i % 3));
        await new Promise((resolve) => server.close(resolve));
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
      await listen(require("http").createServer((q, r) => r.end("x")), "::1");
    })()`;
  for (const flags of [[], ["--http", "/"]]) {
    const start = ["start", "web", "--port", "0", ...flags, "--timeout", "40s", "--", "node", "-e", script];
    const started = await sandbox.json(start);
    assertEquals([started.host, started.url], ["::1", `http://[::1]:${started.port}`]);
    await sandbox.json(["stop", "web"]);
  }
});

Deno.test("a free port is free on IPv4 and IPv6", async () => {
  for (const hostname of ["::1", "127.0.0.1", "::", "0.0.0.0"]) {
    using listener = Deno.listen({ hostname, port: 0 });
    const taken = (listener.addr as Deno.NetAddr).port;
    assertEquals(await takePort(null, taken), null, hostname);
  }
});

Deno.test({
  name: "Erlang: the port of a node's distribution is not its own, though it is there first",
  ignore: !installed("erl", "erlang-base"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const name = `t${crypto.randomUUID().slice(0, 8)}@localhost`;
    const port = freePort();
    const code =
      `timer:sleep(1200), {ok, _} = gen_tcp:listen(list_to_integer(os:getenv("WHERE")), []), timer:sleep(infinity).`;
    const command = ["erl", "-noshell", "-sname", name, "-eval", code];
    const started = await sandbox.json(["start", "beam", "--env", `WHERE=${port}`, "--", ...command]);
    assertEquals([started.port, started.also_listens.length], [port, 1]);
  },
});

Deno.test({
  name: "nginx: whether its port is one for HTTPS is found out, too",
  ignore: !installed("nginx", "nginx-light") || !installed("openssl", "openssl"),
  async fn() {
    await using sandbox = await Sandbox.create();
    const { project } = sandbox;
    const make = [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "k.pem",
      "-out",
      "c.pem",
      "-subj",
      "/CN=x",
    ];
    assert((await new Deno.Command("openssl", { args: make, cwd: project, stderr: "null" }).output()).success);
    const [plain, secure] = [freePort(), freePort()];
    Deno.writeTextFileSync(
      `${project}/n.conf`,
      `daemon off; pid ${project}/pid; error_log stderr; events {}
      http { access_log off; client_body_temp_path ${project}; proxy_temp_path ${project}; fastcgi_temp_path ${project};
        uwsgi_temp_path ${project}; scgi_temp_path ${project};
        server { listen 127.0.0.1:${plain}; return 200 ok; }
        server { listen 127.0.0.1:${secure} ssl; ssl_certificate c.pem; ssl_certificate_key k.pem; return 200 ok; } }`,
    );
    for (const [port, scheme] of [[plain, "http"], [secure, "https"]] as const) {
      const command = ["nginx", "-p", project, "-c", `${project}/n.conf`];
      const start = ["start", "web", "--port", String(port), "--", ...command];
      const started = await untilShown(sandbox, () => sandbox.json(start));
      assertEquals(started.url, `${scheme}://127.0.0.1:${port}`);
      await sandbox.json(["stop", "web"]);
    }
  },
});

costly("the lines shown at a failure are not about the requests of the start itself", async () => {
  await using sandbox = await Sandbox.create();
  const script = `console.log("Error: no database");
    require("http").createServer((q, r) => {
      console.log('127.0.0.1 - - "' + q.method + " " + q.url + ' HTTP/1.1" 503 -');
      r.statusCode = 503; r.end();
    }).listen(process.env.PORT, "127.0.0.1")`;
  const start = ["start", "web", "--port", "0", "--http", "/health", "--timeout", "4s", "--", "node", "-e", script];
  const { error } = await sandbox.json(start, { code: 124 });
  assertEquals(error.log_tail, ["Error: no database"]);
});

Deno.test("a server on ::1 is not held up by a stranger that takes 127.0.0.1 of its port later", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  await sandbox.json(["start", "web", "--port", String(port), "--", ...fixture("host=::1")]);
  sandbox.bystander(fixture(`port=${port}`));
  await until("the stranger listens", () => accepts(port));
  const status = await sandbox.json(["status", "web"]);
  assertEquals([status.ready, status.host], [true, "::1"]);
  await sandbox.json(["stop", "web"]); // its port is free, though the other address of it is not
  sandbox.assertBystanders();
});

Deno.test({
  name: "where localhost is ::1 first, a server on localhost starts",
  ignore: !canMount,
  async fn() {
    await using sandbox = await Sandbox.create();
    const hosts = `${sandbox.root}/hosts`;
    Deno.writeTextFileSync(hosts, "::1 localhost\n127.0.0.1 localhost\n");
    const port = freePort();
    const words = [...COMMAND, "start", "web", "--json", "--port", String(port), "--", ...fixture("host=localhost")];
    const inside = `mount --bind ${hosts} /etc/hosts && exec ${words.map(sandbox.quote).join(" ")}`;
    const ran = await sandbox.shell(`unshare -m sh -c ${sandbox.quote(inside)}`);
    const started = JSON.parse(ran.stdout);
    assertEquals([started.host, started.ready], ["::1", true], ran.stdout + ran.stderr);
  },
});

Deno.test("of several ports the one is found that the command names, or that stays; the others are told", async () => {
  await using sandbox = await Sandbox.create();
  // The first that appears is the wrong one each time.
  const [low, high] = [freePort(), freePort()].sort((a, b) => a - b) as [number, number];
  const start = (node: string, command: string[], flags: string[] = []) =>
    sandbox.json(["start", node, ...flags, "--", ...command]);
  const file = scriptFile(sandbox, "both.js", listening([low, high], { pause: 40 }));
  const named = await start("named", [...file, "--port", String(high)]);
  assertEquals([named.port, named.also_listens], [high, [low]]);
  assertEquals((await sandbox.json(["status", "named"])).also_listens, [low]);
  await sandbox.json(["stop", "named"]);
  const byPort = await start("by-port", file, ["--env", `PORT=${high}`]);
  assertEquals([byPort.port, byPort.also_listens], [high, [low]]);
  await sandbox.json(["stop", "by-port"]);
  const peer = await start("peer", [...file, `--peer-url=http://127.0.0.1:${low}`]);
  assertEquals([peer.port, peer.also_listens], [high, [low]]);
  await sandbox.json(["stop", "peer"]);

  const stays = scriptFile(sandbox, "stays.js", listening([0, low], { pause: 150 }));
  const ran = await sandbox.run(["start", "stays", "--", ...stays]);
  assertMatch(ran.stdout, new RegExp(`on 127\\.0\\.0\\.1:${low} in \\d+ ms, also listens on \\d+\n$`));
  await sandbox.json(["stop", "stays"]);
});

Deno.test("with --http, the port is found that answers as wanted", async () => {
  await using sandbox = await Sandbox.create();
  const ports = [freePort(), freePort(), freePort()];
  const file = scriptFile(sandbox, "three.js", listening(ports, { pause: 30, status: [404, 503, 200] }));
  const started = await sandbox.json(["start", "web", "--http", "/health", "--", ...file]);
  assertEquals([started.port, started.url], [ports[2], `http://127.0.0.1:${ports[2]}`]);
  assertEquals(started.also_listens, [ports[0]!, ports[1]!].sort((a, b) => a - b));
});

costly("a debugger's port is not a node's, a server's on the same number is", async () => {
  await using sandbox = await Sandbox.create();
  const [port, debug] = [freePort(), freePort()];
  const file = scriptFile(sandbox, "late.js", ["", "", `setTimeout(() => {${listening([port])[2]}}, 400)`]);
  for (const flags of [[`--inspect=${debug}`], [`--inspect=127.0.0.1:${debug}`], ["--inspect=0"]]) {
    const started = await sandbox.json(["start", "web", "--", "node", ...flags, ...file.slice(1)]);
    assertEquals([started.port, started.also_listens.length], [port, 1], flags.join(" "));
    await sandbox.json(["stop", "web"]);
  }
  const options = ["--env", `NODE_OPTIONS=--inspect=${debug}`];
  const started = await sandbox.json(["start", "web", ...options, "--", "sh", "-c", `${file.join(" ")}; true`]);
  assertEquals([started.port, started.also_listens], [port, [debug]]);
  await sandbox.json(["stop", "web"]);
  const plain = scriptFile(sandbox, "plain.js", listening([debug]));
  assertEquals((await sandbox.json(["start", "web", "--", ...plain])).port, debug);
});

Deno.test("what a command line says of a port", () => {
  assertEquals(nameOf(8080, "server -p 8080"), "port");
  assertEquals(nameOf(8080, "server --listen=:8080"), "port");
  assertEquals(nameOf(8080, "server --listen 127.0.0.1:8080"), "port");
  assertEquals(nameOf(8080, "node server.js 8080"), "port");
  assertEquals(nameOf(8080, "server -p 18080 --max=80801"), null);
  assertEquals(nameOf(2380, "etcd --listen-peer-urls=http://127.0.0.1:2380"), "aside");
  assertEquals(
    nameOf(2379, "etcd --listen-peer-urls=http://[::1]:2380 --listen-client-urls http://[::1]:2379"),
    "port",
  );
  assertEquals(nameOf(9000, "server --admin-port 9000"), "aside");
  assertEquals(toolPorts("node --inspect server.js"), [9229]);
  assertEquals(toolPorts("node --inspect-brk=0.0.0.0:9300 server.js 9229"), [9300]);
  assertEquals(toolPorts("node --inspect --inspect-port=9230 worker.js"), [9230]);
  assertEquals(toolPorts("deno run --inspect-wait=[::1]:9400 main.ts"), [9400]);
  assertEquals(toolPorts("workerd serve --socket-addr=entry=127.0.0.1:8787 --inspector-addr=localhost:0"), [0]);
  assertEquals(toolPorts("node server.js 9229"), []);
  assertEquals(toolPorts("beam.smp -kernel inet_dist_listen_min 25672 -kernel inet_dist_listen_max 25672"), [
    25672,
    25672,
  ]);
});

costly("a port other than the one asked for is told while the start waits, with what to type", async () => {
  await using sandbox = await Sandbox.create();
  const [asked, other] = [freePort(), freePort()];
  const file = scriptFile(sandbox, "it's.js", listening([other]));
  const child = sandbox.spawn(["start", "web", "--port", String(asked), "--timeout", "50s", "--", ...file]);
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  const limit = setTimeout(() => child.kill(), 40_000);
  while (!said.includes("instead")) {
    const { done, value } = await reader.read();
    assert(!done, `not told in time: ${said}`);
    said += value;
  }
  clearTimeout(limit);
  child.kill("SIGTERM");
  await Promise.all([child.status, child.stdout.cancel(), reader.cancel()]);
  const hint = `tombstone start web --port ${other} -- node 'it'\\''s.js'`;
  assertStringIncludes(
    said,
    `"web" should listen on port ${asked}, but listens on port ${other}: ${hint}; or tell it its port: -- node `,
  );
  // What it says can be typed.
  const late = await sandbox.json(["start", "web", "--port", String(asked), "--timeout", "5s", "--", ...file], {
    code: 124,
  });
  const line = late.error.hint.split(";")[0];
  assertEquals(line, hint);
  const typed = await sandbox.shell(line.replace("tombstone", () => COMMAND.map(sandbox.quote).join(" ")));
  assertEquals(typed.code, 0, typed.stderr);
});

/** Starts anew while a machine that is too busy keeps the server from answering within its tenth of a second. */
async function untilShown(sandbox: Sandbox, start: () => Promise<Document>): Promise<Document> {
  for (let attempt = 1;; attempt++) {
    const started = await start();
    if (started.url.includes("://") || attempt === 8) return started;
    await sandbox.json(["stop", started.node]);
  }
}

/** A server that notes every connection and what came on it, and answers with `answer`, or speaks first. */
function noting(file: string, { answer = "", greeting = "", delay = 0 }): string[] {
  const script = `const fs = require("fs");
    require("net").createServer((s) => {
      fs.appendFileSync(${JSON.stringify(file)}, "connect\\n");
      s.on("error", () => {});
      if (${JSON.stringify(greeting)}) s.write(${JSON.stringify(greeting)});
      s.on("data", (d) => {
        fs.appendFileSync(${JSON.stringify(file)}, d);
        setTimeout(() => s.end(${JSON.stringify(answer)}), ${delay});
      });
    }).listen(process.env.PORT, "127.0.0.1")`;
  return ["node", "-e", script];
}

costly("a start asks once what the server speaks; nobody else connects to it", async () => {
  await using sandbox = await Sandbox.create();
  const notes = `${sandbox.project}/notes`;
  const start = async (options: Parameters<typeof noting>[1]) => {
    Deno.writeTextFileSync(notes, "");
    return await sandbox.json([
      "start",
      "web",
      "--port",
      "0",
      "--stable-for",
      "200ms",
      "--",
      ...noting(notes, options),
    ]);
  };
  const http = await untilShown(sandbox, () => start({ answer: "HTTP/1.1 400 Bad Request\r\n\r\nno host" }));
  assertEquals(http.url, `http://127.0.0.1:${http.port}`);
  assertEquals(JSON.parse(Deno.readTextFileSync(`${http.dir}/node.info`)).protocol, "http");
  for (const args of [["status", "web"], ["wait", "web"], ["list"], ["start", "web", "--", "true"]]) {
    await sandbox.run(args);
  }
  const asked = Deno.readTextFileSync(notes);
  assertEquals(asked, "connect\nOPTIONS * HTTP/1.1\r\nUser-Agent: tombstone\r\n\r\n");
  await sandbox.json(["stop", "web"]);

  const refusal = { answer: "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server." };
  const secure = await untilShown(sandbox, () => start(refusal));
  assertEquals(secure.url, `https://127.0.0.1:${secure.port}`);
  await sandbox.json(["stop", "web"]);

  const other = await start({ answer: "-ERR unknown command\r\n" });
  assertEquals(other.url, `127.0.0.1:${other.port}`);
  await sandbox.json(["stop", "web"]);

  const silent = await start({ answer: "HTTP/1.1 200 OK\r\n\r\n", delay: 5000 });
  assertEquals(silent.url, `127.0.0.1:${silent.port}`);
  await sandbox.json(["stop", "web"]);
});

Deno.test("a server that speaks first is not spoken to", async () => {
  // A connection on which the greeting is there already, whatever else the machine is doing.
  let written = 0;
  const greeting = new TextEncoder().encode("220 ready\r\n");
  const connection = {
    remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: 9 },
    read(buffer: Uint8Array) {
      buffer.set(greeting);
      return Promise.resolve(greeting.length);
    },
    write(bytes: Uint8Array) {
      written += bytes.length;
      return Promise.resolve(bytes.length);
    },
  };
  assertEquals(await protocolOf(connection as unknown as Deno.Conn), null);
  assertEquals(written, 0);
});

Deno.test("curl takes TOMBSTONE_URL, whether HTTP was shown or not", async () => {
  await using sandbox = await Sandbox.create();
  const test = ["--", "sh", "-c", 'curl -sS --max-time 10 "$TOMBSTONE_URL" && echo " $TOMBSTONE_URL"'];
  const quick = ["run", "web", "--port", "0", "--quiet", "--serve", fixture("http").join(" "), ...test];
  assertMatch((await sandbox.run(quick)).stdout, /^pid \d+\n (http:\/\/)?127\.0\.0\.1:\d+\n$/);
  const slow = noting(`${sandbox.project}/notes`, {
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    delay: 300,
  });
  Deno.writeTextFileSync(`${sandbox.project}/slow.js`, slow[2]!);
  const unknown = ["run", "web", "--port", "0", "--quiet", "--serve", "node slow.js", ...test];
  assertMatch((await sandbox.run(unknown)).stdout, /^hi 127\.0\.0\.1:\d+\n$/);
  const six = ["run", "web", "--port", "0", "--quiet", "--serve", fixture("http", "host=::1").join(" "), ...test];
  assertMatch((await sandbox.run(six)).stdout, /^pid \d+\n (http:\/\/)?\[::1\]:\d+\n$/);
});

costly("a server that answers badly is asked some sixty times in ten seconds, and not more", async () => {
  await using sandbox = await Sandbox.create();
  const notes = `${sandbox.project}/notes`;
  Deno.writeTextFileSync(notes, "");
  const server = noting(notes, { answer: "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n" });
  const start = ["start", "web", "--port", "0", "--http", "/", "--timeout", "6s", "--", ...server];
  await sandbox.json(start, { code: 124 });
  const asked = Deno.readTextFileSync(notes).match(/^GET/gm)?.length ?? 0;
  assert(asked >= 10 && asked <= 55, String(asked));
});

Deno.test("status of a node that is not ready says why, and exits with 0; wait tells by its exit code", async () => {
  await using sandbox = await Sandbox.create();
  const file = `${sandbox.project}/status`;
  const server = fixture("http", `status-file=${file}`);
  const { port } = await sandbox.json(["start", "web", "--port", "0", "--http", "/", "--", ...server]);
  Deno.writeTextFileSync(file, "500");
  const status = await sandbox.run(["status", "web"]);
  assertEquals(status.code, 0);
  assertStringIncludes(
    status.stdout,
    `web: running, not ready: http://127.0.0.1:${port}/ answers with status 500, pid `,
  );
  assertEquals((await sandbox.run(["wait", "web", "--timeout", "0"])).code, 124);
});

Deno.test("a node with only a unix socket has its path as address", async () => {
  await using sandbox = await Sandbox.create();
  const path = `${sandbox.project}/web.sock`;
  const listen = "require('net').createServer().listen(process.argv[1])";
  const started = await sandbox.run(["start", "web", "--unix", path, "--", "node", "-e", listen, path]);
  assertMatch(started.stdout, / on unix:\S+\/project\/web\.sock in /);
  const { url, host, port } = await sandbox.json(["status", "web"]);
  assertEquals([url, host, port], [`unix:${path}`, null, null]);
  assertStringIncludes((await sandbox.run(["status"])).stdout, `unix:${path}`);
  await sandbox.run(["stop", "web"]);
});

Deno.test("list and status --all name the project, below the home directory by ~", async () => {
  await using sandbox = await Sandbox.create();
  const env = { HOME: sandbox.root };
  await sandbox.run(["start", "web", "--no-probe", "--", "sleep", "60"], { env });
  for (const command of [["list"], ["status", "--all"]]) {
    const { stdout } = await sandbox.run(command, { env });
    const [head, row] = stdout.split("\n");
    assertMatch(head!, /^WORKSPACE .* LOG +PROJECT$/);
    assertMatch(row!, / ~\/project$/);
  }
  assertEquals((await sandbox.json(["list"])).nodes[0].project, sandbox.project);
  assertEquals((await sandbox.run(["status"], { env })).stdout.includes("PROJECT"), false);
  // The first column is what --workspace takes, from anywhere.
  const [workspace] = (await sandbox.run(["list"], { env })).stdout.split("\n")[1]!.split(" ");
  assertEquals((await sandbox.run(["stop", "--workspace", workspace!], { cwd: "/" })).code, 0);
});

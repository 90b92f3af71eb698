/** Waiting: what it costs those who are waited for and this process itself. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cutShort, Latch } from "../lib/async.ts";
import type { ProbeTarget } from "../lib/readiness/types.ts";
import { isCheap, weigh } from "../lib/readiness/pattern.ts";
import { Readiness } from "../lib/readiness/wait.ts";
import { type NodeDir, nodeDir } from "../lib/state/node_dir.ts";
import { HTTP_STATUS, type Probe } from "../lib/spec/probes.ts";
import { httpProber } from "../lib/readiness/http.ts";
import { ROOT } from "./support/sandbox.ts";

/** A node whose only process is this one. */
function subjectOf(dir: NodeDir, cwd: string): ProbeTarget {
  return {
    ...{ mainPid: Deno.pid, ageMs: Infinity, sinceMs: null, cwd, env: {}, known: null, notifications: null },
    roots: { dir, attempts: [crypto.randomUUID()], processes: [], exclude: [] },
  };
}

Deno.test("a node that is looked at again and again is asked at one pace, which outlives the single look", async () => {
  const root = Deno.makeTempDirSync();
  try {
    const dir = nodeDir(root, "w", "n");
    const subject = subjectOf(dir, root);
    const readiness = new Readiness();
    const probes: Probe[] = [{ type: "exec", command: "echo >>asked; false" }];
    for (let look = 0; look < 1000; look++) assertEquals((await readiness.obstacles(probes, subject)).length, 1);
    const asked = Deno.statSync(`${root}/asked`).size;
    assert(asked < 500, `1000 looks have asked the server ${asked} times`);
    // Another attempt is another server.
    const next = { ...subject, roots: { ...subject.roots, attempts: [crypto.randomUUID()] } };
    await readiness.obstacles(probes, next);
    assertEquals(Deno.statSync(`${root}/asked`).size, asked + 1);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("the connection to a server that does not answer a GET in time is closed", async () => {
  const root = Deno.makeTempDirSync();
  using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = server.addr;
  const requests: string[] = [];
  const hungUp = Promise.withResolvers<void>();
  (async () => {
    for await (const connection of server) {
      using _connection = connection;
      const buffer = new Uint8Array(1024);
      for (let length; (length = await connection.read(buffer)) !== null;) {
        requests.push(new TextDecoder().decode(buffer.subarray(0, length)));
      }
      if (requests.length > 0) hungUp.resolve();
    }
  })().catch(hungUp.reject); // the listener is closed at the end
  const target = `http://127.0.0.1:${port}/`;
  const check = httpProber({ type: "http", target, status: [HTTP_STATUS], any_listener: true });
  const subject = subjectOf(nodeDir(root, "w", "n"), root);
  const { signal } = new AbortController();
  assertEquals(await check(subject, { number: 0, limitMs: 100, found: null, asks: true, signal }), {
    kind: "wait",
    state: `${target} did not answer within 100 ms`,
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((_, reject) =>
    timer = setTimeout(() => reject(new Error("the connection is open")), 30_000)
  );
  await Promise.race([hungUp.promise, late]).finally(() => clearTimeout(timer));
  assert(requests[0]?.startsWith("GET / HTTP/1.1\r\n"), requests.join());
  Deno.removeSync(root, { recursive: true });
});

Deno.test("a wait for the first of several events leaves nothing in those that go on", async () => {
  const script = `
    import { cutShort, Latch } from "${ROOT}/lib/async.ts";
    const gc = globalThis.gc as () => void;
    const latch = Latch.of(new Promise(() => {}));
    const used = () => (gc(), gc(), Deno.memoryUsage().heapUsed);
    const wait = async (times: number) => {
      for (let look = 0; look < times; look++) await cutShort(Promise.resolve(), latch);
    };
    await wait(1000);
    const before = used();
    await wait(200_000);
    console.log(used() - before);`;
  const path = Deno.makeTempFileSync({ suffix: ".ts" });
  Deno.writeTextFileSync(path, script);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--v8-flags=--expose-gc", path],
  }).output();
  Deno.removeSync(path);
  const grown = Number(new TextDecoder().decode(stdout) || NaN);
  assert(grown < 8_000_000, `200,000 waits keep ${grown} bytes ${new TextDecoder().decode(stderr)}`);
});

Deno.test("a latch that opens cuts short; an error of work that goes on is of no use", async () => {
  const latch = new Latch();
  const slow = Promise.withResolvers<string>();
  const cut = cutShort(slow.promise, latch);
  latch.open();
  assertEquals(await cut, "cut");
  slow.reject(new Error("later"));
  assertEquals(await cutShort(Promise.withResolvers().promise, latch), "cut");
  assertEquals(await cutShort(Promise.resolve("done"), new Latch()), "done");
  await assertRejects(() => cutShort(Promise.reject(new RangeError("at once")), new Latch()), RangeError);
});

Deno.test("what a pattern may cost is told from the pattern", () => {
  const literals = {
    "listening on .*:\\d+": "listening on ",
    "^Local: +http://localhost:\\d+$": "http://localhost:",
    "ready|done": "",
    "a(bcd)e": "a",
    "\\[INFO\\] up": "[INFO] up",
    "[a-z]+ ab?c": " a",
    "x{2}yz": "yz",
    "(?:abc)?\\u0041b\\p{L}": "b",
    "": "",
  };
  for (const [pattern, literal] of Object.entries(literals)) assertEquals(weigh(pattern).literal, literal, pattern);
  const nested = ["(a+)+$", "(a|b)*", "((a?)b)+", "(x)\\1", "(?<n>x)\\k<n>", "(?:(?:a*))+", "(a{2,3}){4}"];
  for (const pattern of nested) assertEquals(isCheap(weigh(pattern), 10), false, pattern);
  const cheap = ["listening on .*:\\d+", "(https?://)?[^ ]+:\\d+", "[(+*]+", "(ab)+", "\\(a+\\)+"];
  for (const pattern of cheap) assertEquals(isCheap(weigh(pattern), 200), true, pattern);
  assertEquals(isCheap(weigh("ready.*on.*port \\d+$"), 900_000), false);
});

/** Many starters at once: one server, and everybody tells the same. */
import { assert, assertEquals } from "@std/assert";
import { type Document, fixture, freePort, killPid, Sandbox, until } from "./support/sandbox.ts";
import { chooseServer } from "./support/servers.ts";
import { randomFrom } from "./support/soak.ts";
import { byTier, costly } from "./support/tier.ts";

const server = chooseServer();

/** What a starter came to. */
interface Told {
  code: number;
  signal: Deno.Signal | null;
  document: Document;
}

async function told(child: Deno.ChildProcess): Promise<Told> {
  const { code, signal, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  if (signal !== null) return { code, signal, document: null };
  try {
    return { code, signal, document: JSON.parse(text) };
  } catch (error) {
    throw new Error(`exit ${code}, stdout "${text}", stderr "${new TextDecoder().decode(stderr)}"`, { cause: error });
  }
}

/** The process that holds a lock, as `/proc/locks` has it; `null` if nobody does. */
function holderOf(path: string): number | null {
  try {
    const { ino } = Deno.statSync(path);
    const line = Deno.readTextFileSync("/proc/locks").split("\n").find((each) => each.includes(`:${ino} `));
    return line === undefined || line.includes("->") ? null : Number(line.split(/\s+/)[4]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

costly(
  "twenty starters at once, again and again, the lock's holder killed at a random moment: one server",
  async () => {
    const seed = Math.floor(Math.random() * 1e9);
    const random = randomFrom(seed);
    await using sandbox = await Sandbox.create();
    sandbox.bystander();
    const port = freePort();
    const args = ["start", "web", "--port", String(port), "--json", "--", ...server.command(sandbox, port)];
    await sandbox.run(args);
    const lock = `${sandbox.nodeDir("web")}/lock`;
    let killed = 0;
    const rounds = byTier({ fast: 4, full: 50 });
    for (let round = 0; round < rounds; round++) {
      await sandbox.run(["stop", "web"]);
      const all = Array.from({ length: 20 }, () => told(sandbox.spawn(args)));
      const chance = random();
      const outcome = Promise.all(all);
      let isOver = false;
      const over = outcome.then(() => isOver = true);
      // Each look kills whom it finds, by a chance of its own for each round, until one is hit or all have ended.
      await until("a holder is killed, or all have ended", () => {
        const holder = holderOf(lock);
        const isHit = holder !== null && random() < 0.02 + chance / 2;
        if (isHit) killPid(holder);
        return isHit || isOver;
      });
      const ended = await outcome;
      await over;
      killed += ended.filter(({ signal }) => signal === "SIGKILL").length;
      const survivors = ended.filter(({ signal }) => signal === null);
      const { pid } = await sandbox.assertOneServer("web");
      assertEquals(
        new Set(survivors.map(({ code, document }) => `${code} ${document.pid}`)),
        new Set([`0 ${pid}`]),
        `seed ${seed}, round ${round}`,
      );
      assert(survivors.filter(({ document }) => document.started).length <= 1);
    }
    assert(killed > rounds / 10, `only ${killed} holders were killed`);
  },
);

Deno.test("many starters at once: one server, and all report it", async () => {
  await using sandbox = await Sandbox.create();
  const port = freePort();
  const command = server.command(sandbox, port); // once, since it writes the server's configuration
  const args = ["start", "web", "--port", String(port), "--lock-timeout", "60s", "--json", "--", ...command];
  const all = Array.from({ length: byTier({ fast: 20, full: 200 }) }, () => told(sandbox.spawn(args)));
  const ended = await Promise.all(all);
  const failed = ended.find(({ code }) => code !== 0);
  assertEquals(failed, undefined, JSON.stringify(failed?.document));
  const { pid } = await sandbox.assertOneServer("web");
  assertEquals(new Set(ended.map(({ code, document }) => `${code} ${document.pid}`)), new Set([`0 ${pid}`]));
  assertEquals(ended.filter(({ document }) => document.started).length, 1);
});

costly("many nodes at once: each has its server, no record lost", async () => {
  await using sandbox = await Sandbox.create();
  const names = Array.from({ length: byTier({ fast: 20, full: 50 }) }, (_, number) => `node${number}`);
  const args = (node: string) => ["start", node, "--port", "0", "--json", "--", ...fixture()];
  const ended = await Promise.all(names.map((node) => told(sandbox.spawn(args(node)))));
  assertEquals(ended.map(({ code }) => code), names.map(() => 0));
  assertEquals(new Set(ended.map(({ document }) => document.port)).size, names.length);
  const { nodes } = await sandbox.json(["list"]);
  const running = nodes.filter(({ state }: Document) => state === "running");
  assertEquals(
    running.map(({ node, pid }: Document) => `${node} ${pid}`).toSorted(),
    ended.map(({ document }) => `${document.node} ${document.pid}`).toSorted(),
  );
  assertEquals(new Set(running.map(({ pid }: Document) => pid)).size, names.length);
  await sandbox.json(["stop", "--all"]);
  assertEquals(sandbox.processes(), []);
});

Deno.test("eight starters that find something else in the lock's place: one of them removes it, one server", async () => {
  await using sandbox = await Sandbox.create();
  const args = ["start", "web", "--no-probe", "--alive-for", "0", "--json", "--", "sleep", "600"];
  const { dir } = await sandbox.json(args.filter((word) => word !== "--json"));
  for (let round = 0; round < byTier({ fast: 2, full: 10 }); round++) {
    await sandbox.run(["stop", "web"]);
    Deno.removeSync(`${dir}/lock`, { recursive: true });
    if (round % 2 === 0) Deno.symlinkSync("/dev/null", `${dir}/lock`);
    else Deno.mkdirSync(`${dir}/lock/full`, { recursive: true });
    const ended = await Promise.all(Array.from({ length: 8 }, () => told(sandbox.spawn(args))));
    assertEquals(ended.map(({ code }) => code), ended.map(() => 0), JSON.stringify(ended));
    assertEquals(ended.filter(({ document }) => document.started).length, 1);
    assertEquals(sandbox.processes(), [ended[0]!.document.pid]);
  }
});

/**
 * The main job on a small built-in server: `deno task demo`.
 *
 * It starts a server, kills a second start half-way with SIGKILL, shows what is left, starts again, and stops.
 *
 * @module
 */
const COMMAND =
  (Deno.env.get("TOMBSTONE_CMD") ?? `${Deno.execPath()} run -A ${new URL("../main.ts", import.meta.url).pathname}`)
    .split(/\s+/);

/** A TCP server that listens after `ms` milliseconds. */
const SERVER = `await new Promise((go) => setTimeout(go, Number(Deno.args[0])));
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, () => new Response("hello\\n"));`;

const dir = Deno.makeTempDirSync({ prefix: "tombstone-demo-" });
const env = { TOMBSTONE_STATE_DIR: `${dir}/state`, NO_COLOR: "1" };
Deno.writeTextFileSync(`${dir}/server.ts`, SERVER);

function say(text: string): void {
  console.log(`\n# ${text}`);
}

function command(args: string[]): Deno.Command {
  console.log(`$ tombstone ${args.join(" ")}`);
  return new Deno.Command(COMMAND[0]!, {
    args: [...COMMAND.slice(1), ...args],
    cwd: dir,
    env,
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs the tool; the exit code must be as expected, or the demo has failed. */
async function tombstone(expected: number, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await command(args).output();
  for (const text of [stderr, stdout]) Deno.stdout.writeSync(text);
  console.log(`(exit code ${code})`);
  if (code !== expected) throw new Error(`expected exit code ${expected}`);
}

const server = (delay: number) => ["--port", "0", "--", Deno.execPath(), "run", "-A", "server.ts", String(delay)];

/** Waits until the start in progress has spawned its server. */
async function untilSpawned(): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    for (const workspace of Deno.readDirSync(env.TOMBSTONE_STATE_DIR)) {
      if (workspace.name.startsWith(".")) continue; // what is no workspace
      const files = [...Deno.readDirSync(`${env.TOMBSTONE_STATE_DIR}/${workspace.name}/web`)];
      if (files.some(({ name }) => name.startsWith("launch."))) return;
    }
    await new Promise((go) => setTimeout(go, 5));
  }
  throw new Error("the second start did not come to its spawn");
}

try {
  say("A server starts detached; the command comes back when it is ready.");
  await tombstone(0, "start", "web", ...server(100));
  await tombstone(0, "status", "web");

  say("A second start replaces it by one that takes a minute to listen. Half-way, the starter gets SIGKILL.");
  const second = command(["start", "web", "--replace", ...server(60_000)]).spawn();
  await untilSpawned();
  second.kill("SIGKILL");
  await second.output();
  console.log(`(SIGKILL to pid ${second.pid}: nobody waits for that server any more, but it runs)`);
  await tombstone(1, "status", "web");

  say("The next start finds the tombstone, ends what the dead one left, and starts cleanly.");
  await tombstone(0, "start", "web", ...server(100));
  await tombstone(0, "status", "web");

  say("Stop means gone: processes, port and files.");
  await tombstone(0, "stop", "web");
  await tombstone(3, "status", "web");
} finally {
  await new Deno.Command(COMMAND[0]!, { args: [...COMMAND.slice(1), "stop", "web", "--quiet"], cwd: dir, env })
    .output();
  Deno.removeSync(dir, { recursive: true });
}

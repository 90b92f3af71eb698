/**
 * Random kills of starters, sweepers and servers, round after round, from a seed that repeats them.
 *
 * @module
 */
import { freePort, kill, killPid, Sandbox } from "./sandbox.ts";
import type { Server } from "./servers.ts";

/** Numbers in [0, 1) that a seed determines (Mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a soak came to. */
export interface Soaked {
  rounds: number;
  /** How many commands were killed before they had finished. */
  killed: number;
  /** What was wrong after a round, with its number and its kind. */
  failures: string[];
}

/** Longest time until a kill, in milliseconds. */
const LONGEST = 400;

/** How long the server sleeps before it listens, in seconds: a third of the kills shall meet a start at its wait. */
const SLOW = "0.12";

/**
 * In each round one or two commands are killed after a random time, sometimes the server too. Then one normal start
 * must succeed, and end in one server without leftovers.
 */
export async function soak(server: Server, options: { seed: number; rounds: number }): Promise<Soaked> {
  const random = randomFrom(options.seed);
  const result: Soaked = { rounds: 0, killed: 0, failures: [] };
  await using sandbox = await Sandbox.create();
  sandbox.bystander();
  sandbox.bystander(["sleep", "601"]);
  const port = freePort();
  const command = ["sh", "-c", `sleep ${SLOW}; exec "$@"`, "sh", ...server.command(sandbox, port)];
  const begin = ["start", "web", "--port", String(port)];
  const start = [...begin, "--", ...command];
  const rounds: Record<string, string[][]> = {
    "one start": [start],
    "two starts": [start, start],
    "start and server": [start],
    "replacement": [[...begin, "--replace", "--", ...command]],
    "start, then its sweep": [start, ["sweep", "web"]],
    "start, then its recovery": [start, start],
    "stop": [["stop", "web"]],
    "stop and start": [["stop", "web"], start],
    "restart": [["restart", "web"]],
  };

  const killLater = async (args: string[]) => {
    const child = sandbox.spawn(args);
    const output = child.output();
    const timer = setTimeout(() => kill(child), random() * LONGEST);
    if ((await output).signal === "SIGKILL") result.killed++;
    clearTimeout(timer);
  };
  const killServers = () => {
    sandbox.processes().filter(() => random() < 0.5).forEach(killPid);
  };

  for (let round = 1; round <= options.rounds; round++) {
    const kind = Object.keys(rounds)[Math.floor(random() * Object.keys(rounds).length)]!;
    try {
      // Half of the rounds begin with nothing, so that there is something to start.
      if (random() < 0.5) await sandbox.run(["stop", "web"]);
      if (kind.includes("then")) { for (const args of rounds[kind]!) await killLater(args); }
      else await Promise.all(rounds[kind]!.map(killLater));
      if (kind === "start and server") killServers();
      await sandbox.json(start);
      await sandbox.assertOneServer("web");
    } catch (error) {
      result.failures.push(`round ${round} (${kind}): ${error instanceof Error ? error.message : error}`);
    }
    result.rounds = round;
  }
  return result;
}

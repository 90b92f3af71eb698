/**
 * A long soak of random kills: `deno task soak [--seed N] [--rounds N] [--server nginx|redis|node]`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { parseCount } from "../lib/spec/values.ts";
import { chooseServer } from "../tests/support/servers.ts";
import { soak } from "../tests/support/soak.ts";

const flags = parseArgs(Deno.args, { string: ["seed", "rounds", "server"], default: { rounds: "500" } });
const seed = parseCount("--seed", flags.seed ?? String(Math.floor(Math.random() * 1e9)));
const count = parseCount("--rounds", flags.rounds);
const server = chooseServer(flags.server);
console.log(`seed ${seed}, ${flags.rounds} rounds, ${server.name}`);
const begun = performance.now();
const { rounds, killed, failures } = await soak(server, { seed, rounds: count });
for (const failure of failures) console.log(`FAILED: ${failure}`);
const seconds = Math.round((performance.now() - begun) / 1000);
console.log(`${rounds} rounds, ${killed} commands killed, ${failures.length} failed, ${seconds} s (seed ${seed})`);
Deno.exitCode = failures.length === 0 ? 0 : 1;

/**
 * Tries real servers, one after the other: are they started on the right port, recovered, asked before they end, and
 * gone when they are said to be gone?
 * `deno task servers [--only NAME,…] [--list] [--install] [--cache DIR] [--json FILE] [--seed N]`.
 *
 * Servers from npm are installed into the cache directory, those of Debian by apt-get, if `--install` says so.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { parseCount } from "../lib/spec/values.ts";
import { choose, SERVERS } from "./servers/catalogue.ts";
import { defaultCache, install, versionOf } from "./servers/install.ts";
import { randomFrom } from "../tests/support/soak.ts";
import { runWithBoth, SIGNALS } from "./servers/hosts.ts";
import { head, isRight, line, plain, type Row } from "./servers/table.ts";
import { Trial } from "./servers/trial.ts";

const flags = parseArgs(Deno.args, {
  string: ["only", "json", "cache", "seed"],
  boolean: ["list", "install"],
  default: { cache: defaultCache() },
});

if (flags.list) {
  for (const { name, npm, program } of SERVERS) console.log(`${name}\t${npm?.join(" ") ?? program?.[1] ?? "-"}`);
  Deno.exit();
}

const code = await runWithBoth();
if (code !== null) Deno.exit(code);

const seed = parseCount("--seed", flags.seed ?? String(Math.floor(Math.random() * 1e9)));
const next = randomFrom(seed);
const rows: Row[] = [];

let trial: Trial | null = null;
for (const signal of SIGNALS) {
  Deno.addSignalListener(signal, async () => {
    await trial?.end();
    Deno.exit(1);
  });
}

console.log(head());
for (const server of flags.only === undefined ? SERVERS : choose(flags.only.split(","))) {
  const dir = `${flags.cache}/${server.name}`;
  const absent = await install(server, dir, flags.install ? "install" : "what-is-there");
  const row: Row = { server, version: "–", absent, shown: null };
  if (absent === null) {
    row.version = await versionOf(server, dir);
    trial = new Trial(server, dir, next);
    row.shown = await trial.whole();
  }
  rows.push(row);
  console.log(line(row));
}

const tried = rows.filter(({ absent }) => absent === null);
const failed = tried.filter((row) => !isRight(row));
for (const { server, shown } of failed) {
  for (const { question, reason } of shown!.failures) console.log(`FAILED: ${server.name}, ${question}: ${reason}`);
}
console.log(
  `${tried.length} servers, ${failed.length} failed, ${rows.length - tried.length} not to be had here (seed ${seed})`,
);
if (flags.json !== undefined) Deno.writeTextFileSync(flags.json, JSON.stringify(rows.map(plain), null, 2) + "\n");
Deno.exitCode = failed.length === 0 ? 0 : 1;

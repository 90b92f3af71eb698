/** Real servers of every kind, tried as `deno task servers` tries them all. Part of the full tier. */
import { assertEquals } from "@std/assert";
import { choose, QUICK } from "../tools/servers/catalogue.ts";
import { defaultCache, install } from "../tools/servers/install.ts";
import { Trial } from "../tools/servers/trial.ts";
import { TIER } from "./support/tier.ts";

if (TIER === "fast") console.log("skipped: real servers are tried in the full tier (TOMBSTONE_FULL=1)");

for (const server of choose(QUICK)) {
  const dir = `${defaultCache()}/${server.name}`;
  const absent = TIER === "full" ? await install(server, dir, "what-is-there") : null;
  if (absent !== null) console.log(`skipped: ${server.name}: ${absent}`);
  Deno.test({
    name:
      `${server.name}: started on the port that is named, recovered, asked before it ends, and gone when it is said so`,
    ignore: TIER === "fast" || absent !== null,
    fn: async () => assertEquals((await new Trial(server, dir, Math.random).whole()).failures, []),
  });
}

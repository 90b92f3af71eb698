/**
 * The command in a current directory that has been removed. Deno does not begin in one, so it is removed once Deno runs;
 * a shell in front of it, or a program that uses the library, comes to the same.
 *
 * @module
 */
import { main } from "../../lib/cli/main.ts";

const directory = Deno.makeTempDirSync({ prefix: "tombstone-removed-" });
Deno.chdir(directory);
Deno.removeSync(directory);
Deno.exit(await main(Deno.args));

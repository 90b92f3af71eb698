/**
 * `tombstone` starts any server detached and crash-safe, and always knows what became of it.
 *
 * This module is the command line. Run it with `deno run -A`.
 *
 * @module
 */
import { main } from "./lib/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));

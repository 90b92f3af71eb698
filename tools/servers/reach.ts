/**
 * The test command of a `run`: it reaches the server by `TOMBSTONE_URL`, says so and by which address in the file that is its
 * argument, and exits with {@linkcode REACHED}, a code that nobody else gives.
 *
 * @module
 */

/** Exit code of a test that has reached its server. */
export const REACHED = 7;

if (import.meta.main) {
  const text = Deno.env.get("TOMBSTONE_URL") ?? "";
  Deno.writeTextFileSync(Deno.args[0]!, `${await reach(text)}\n${text}`);
  Deno.exit(REACHED);
}

async function reach(text: string): Promise<string> {
  if (text === "") return "no address";
  try {
    const url = new URL(text.includes("://") ? text : `tcp://${text}`);
    if (url.protocol.startsWith("http")) {
      const response = await fetch(url);
      await response.body?.cancel();
    } else {
      (await Deno.connect({ hostname: url.hostname.replace(/[[\]]/g, ""), port: Number(url.port) })).close();
    }
    return "reached";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

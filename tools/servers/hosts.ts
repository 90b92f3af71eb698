/**
 * Most systems call both 127.0.0.1 and ::1 `localhost`, and many servers of the web then listen on ::1 alone.
 *
 * @module
 */
import { run } from "./install.ts";

/** Signals at which this program ends what it has started. */
export const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Set in the program that sees such a file. */
const MARK = "TOMBSTONE_SERVERS_HOSTS";

const HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/**
 * Where `localhost` is 127.0.0.1 alone, runs this program again with a private `/etc/hosts` in which it is both.
 *
 * @returns its exit code; `null` if there is no need, or no way
 */
export async function runWithBoth(): Promise<number | null> {
  if (Deno.env.has(MARK) || Deno.uid() !== 0) return null;
  const isBoth = /^::1\s.*\blocalhost\b/m.test(Deno.readTextFileSync("/etc/hosts"));
  if (isBoth || (await run(["unshare", "--mount", "true"])).code !== 0) return null;
  const file = Deno.makeTempFileSync({ prefix: "hosts-" });
  try {
    Deno.writeTextFileSync(file, HOSTS);
    Deno.chmodSync(file, 0o644);
    const script = `mount --bind "$0" /etc/hosts && exec "$@"`;
    const own = [Deno.execPath(), "run", "-A", ...std(), Deno.mainModule, ...Deno.args];
    const command = new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", script, file, ...own],
      env: { [MARK]: "both" },
    });
    const child = command.spawn();
    for (const signal of SIGNALS) Deno.addSignalListener(signal, () => child.kill(signal));
    return (await child.status).code;
  } finally {
    Deno.removeSync(file);
  }
}

/** The flags with which this program was run, as far as modules are concerned (see `tools/task.ts`). */
function std(): string[] {
  return (Deno.env.get("TOMBSTONE_API_FLAGS") ?? "").split(" ").filter((flag) => flag !== "");
}

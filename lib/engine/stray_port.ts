/**
 * Hints for a server that listens on another port than the requested one.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { basename } from "../paths.ts";
import { PORT } from "../spec/placeholders.ts";
import type { Settings } from "../spec/settings.ts";
import type { StartRequest } from "./request.ts";

/** Warns of such a port once, as soon as it is known: the user should not have to wait for the timeout. */
export function strayReporter(
  { dir, settings, reporter }: StartRequest,
  asked: number | null,
): (stray: number | null) => void {
  let reported: number | null = null;
  return (stray) => {
    if (stray === null || stray === reported) return;
    reported = stray;
    const way = strayHint(dir.node, settings, stray);
    reporter.warn(`"${dir.node}" should listen on port ${asked}, but listens on port ${stray}: ${way}`);
  };
}

/**
 * The commands to type: one with the port that the server has, one that passes the requested port to the server. The
 * port replaces the one in the command, or is added in the way that this program, or most programs, expect it.
 */
export function strayHint(node: string, { command }: Settings, stray: number): string {
  const typed = command.map(system.shell.quote).join(" ");
  const isGiven = command.some((word) => word.includes(PORT));
  const given = isGiven ? null : withPlaceholder(command, stray);
  return `tombstone start ${node} --port ${stray} -- ${typed}` +
    (given === null ? "" : `; or tell it its port: -- ${given.map(system.shell.quote).join(" ")}`);
}

/** Port options of programs that have no `--port N`; empty: they read a configuration file. */
const PORT_FLAGS: Record<string, string[]> = {
  postgres: ["-p", PORT],
  gunicorn: ["--bind", `127.0.0.1:${PORT}`],
  memcached: ["-p", PORT],
  "http.server": [PORT],
  runserver: [PORT],
  lighttpd: [],
  nginx: [],
};

/** The command with `{port}` in it; `null` where that is not known. */
function withPlaceholder(command: string[], port: number): string[] | null {
  const named = new RegExp(`(?<=^|[:=\\s])${port}(?=$|[\\s/,;])`);
  if (command.some((word) => named.test(word))) return command.map((word) => word.replace(named, PORT));
  const [program, verb] = [basename(command[0]!), command[1]];
  if (program === "sh") return null;
  const isPassedOn = program === "npm" && verb !== "exec" && !command.includes("--");
  const known = Object.keys(PORT_FLAGS).find((name) => command.some((word) => basename(word) === name));
  const flags = known === undefined ? ["--port", PORT] : PORT_FLAGS[known]!;
  return flags.length === 0 ? null : [...command, ...(isPassedOn ? ["--"] : []), ...flags];
}

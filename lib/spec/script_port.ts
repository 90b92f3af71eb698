/**
 * The port of a script, where it is known how the server can be told another one: two worktrees then have two.
 *
 * @module
 */
import type { Files, Script } from "./scripts.ts";

/** Servers that read `PORT`. */
const READS_PORT = /^(next (dev|start)|nuxi? dev|nuxt dev|react-scripts start|remix-serve|react-router-serve)\b/;

/** A port or an environment that is set already. */
const HAS_PORT = /(^|\s)(--port\b|-p\b|PORT=)/;

/** A program that reads `PORT` from its environment, and its own port: `env.PORT || 3000`. */
const OWN = /process\.env(?:\.PORT\b|\[["']PORT["']\])\s*(?:\|\||\?\?)\s*["'`]?(\d{2,5})\b/;

/** The command with its port and the port to ask for; `null` where nothing is known. */
export function portOfScript(
  { command, line }: Script,
  read: Files["read"],
): { command: string[]; port: string } | null {
  const text = line?.trim() ?? "";
  if (text === "" || HAS_PORT.test(text)) return null;
  if (/^vite( dev| serve)?( -\S*)*$/.test(text)) {
    const pass = command[0] === "npm" ? ["--"] : [];
    return { command: [...command, ...pass, "--port", "{port}", "--strictPort"], port: "5173+" };
  }
  if (READS_PORT.test(text)) return { command, port: "3000+" };
  const own = mainFilesOf(text).map((file) => OWN.exec(read(file) ?? "")?.[1]).find((port) => port !== undefined);
  return own === undefined ? null : { command, port: `${own}+` };
}

/** Files that a script may run. */
function mainFilesOf(line: string): string[] {
  if (/^nest start\b/.test(line)) return ["src/main.ts", "src/main.js"];
  const [, file] = /^(?:node|nodemon|tsx|ts-node|bun)(?: (?:--?\S+|watch|run))* (?:\.\/)?([\w./-]+)$/.exec(line) ?? [];
  return file === undefined ? [] : [file, `${file}.js`, `${file}.ts`];
}

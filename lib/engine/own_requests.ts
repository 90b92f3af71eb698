/**
 * Lines of a server's log that are about nothing but being asked whether it is ready.
 *
 * @module
 */
import { urlOf } from "../readiness/http.ts";
import { lastLines } from "../state/log_reader.ts";
import type { Probe } from "../spec/probes.ts";

/** Lines among which the last ones of another kind are looked for. */
const LOOKED_AT = 2000;

/** The last lines of a log, those about requests of these probes left out, since what matters stands before them. */
export function lastLinesOfItsOwn(log: string, probes: Probe[], count: number): string[] {
  const paths = probes.flatMap((probe) => probe.type === "http" ? [pathOf(probe.target)] : []);
  const lines = lastLines(log, LOOKED_AT);
  const own = lines.filter((line) => !isAboutRequest(line, paths));
  return (own.length > 0 ? own : lines).slice(-count);
}

function pathOf(target: string): string {
  const { pathname, search } = urlOf(target, { host: null, port: 1 });
  return pathname + search;
}

/** Whether a line of an access log is about a request of this tool: by its `User-Agent`, or by method and path. */
function isAboutRequest(line: string, paths: string[]): boolean {
  if (/"tombstone"|\bOPTIONS \*/.test(line)) return true;
  return paths.some((path) => {
    const at = line.indexOf(`GET ${path}`);
    return at >= 0 && /^($|[\s"'])/.test(line.slice(at + 4 + path.length));
  });
}

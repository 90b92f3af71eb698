/**
 * Every server that can be tried.
 *
 * @module
 */
import { DAEMONS } from "./daemons.ts";
import { DATABASES } from "./databases.ts";
import { LANGUAGES } from "./languages.ts";
import { NODE_PROGRAMS } from "./node_programs.ts";
import type { Server } from "./server.ts";
import { WEB_TOOLS } from "./web_tools.ts";

/** All of them, in the order of the table. */
export const SERVERS: Server[] = [...WEB_TOOLS, ...NODE_PROGRAMS, ...LANGUAGES, ...DAEMONS, ...DATABASES];

/** Those that install and start quickly, of every kind. */
export const QUICK = [
  "redis",
  "nginx",
  "python-http",
  "memcached",
  "lighttpd",
  "postgresql",
  "node",
  "http-server",
];

/**
 * The servers of these names.
 *
 * @throws {Error} there is none of a name
 */
export function choose(names: string[]): Server[] {
  return names.map((name) => {
    const found = SERVERS.find((server) => server.name === name);
    if (found === undefined) {
      throw new Error(`Cannot try "${name}": expected one of ${SERVERS.map((s) => s.name).join(", ")}`);
    }
    return found;
  });
}

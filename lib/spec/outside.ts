/**
 * Addresses of servers that this tool has not started: ports of hosts, and URLs.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { parseHost, refuse } from "./values.ts";

/** A port, and its host. */
export interface PortOf {
  /** Host name or address, IPv6 without brackets; `null`: this machine. */
  host: string | null;
  /** Port, 1 to 65535. */
  port: number;
}

/**
 * A port: `3000`, `:3000`, `db.local:5432`, `[::1]:3000`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parsePortOf } from "./outside.ts";
 *
 * assertEquals(parsePortOf("--port", "[::1]:3000"), { host: "::1", port: 3000 });
 * ```
 */
export function parsePortOf(flag: string, value: string): PortOf {
  if (/^https?:\/\//i.test(value)) {
    throw usageError(`Cannot use "${value}" for ${flag}: it is a URL`, `--http ${value}`);
  }
  const form = /^(?:(\[[^[\]]*\]|[^:]*):)?(\d{1,5})$/.exec(value);
  const port = Number(form?.[2]);
  if (form === null || !(port >= 1 && port <= 65535)) throw refuse(flag, value, WANTED, exampleFor(value));
  const host = form[1] ?? "";
  if (host === "tcp") throw refuse(flag, value, WANTED, exampleFor(value)); // of wait-on
  if (host === "") return { host: null, port };
  return { host: parseHost(flag, host.replace(/^\[|\]$/g, "")), port };
}

const WANTED = "a port from 1 to 65535, or HOST:PORT";

/** What was probably meant. */
function exampleFor(value: string): string {
  const { prefix, host, port } = /^(?<prefix>tcp:(?:\/\/)?)?(?<host>.*?):?(?<port>\d+)$/.exec(value)?.groups ?? {};
  if (port === undefined || !(Number(port) >= 1 && Number(port) <= 65535)) return "localhost:3000";
  if (host?.includes(":")) return `[${host.replace(/[[\]]/g, "")}]:${port}`;
  return prefix === undefined || host === "" ? port : `${host}:${port}`;
}

/**
 * A URL to ask for. wait-on's `http-get://` means the same: it is always a GET.
 *
 * @param port the probable port for a path alone; `null` if unknown
 */
export function parseUrl(flag: string, value: string, port: number | null): URL {
  const url = URL.parse(value.replace(/^(https?)-get:/i, "$1:"));
  if ((url?.protocol === "http:" || url?.protocol === "https:") && /:\/\//.test(value)) {
    if (url.username === "" && url.password === "") return url;
    throw refuse(flag, url.host, "a URL without user and password", `${url.protocol}//${url.host}${url.pathname}`);
  }
  if (value.startsWith("/")) {
    throw usageError(
      `Cannot use "${value}" for ${flag}: a path alone does not say on which port`,
      `${flag} http://localhost:${port ?? 3000}${value}`,
    );
  }
  const rest = /^:?\d/.test(value) ? `localhost:${value.replace(/^:/, "")}` : value;
  const meant = /^[a-z][a-z-]*:\/\//i.test(value) ? null : URL.parse(`http://${rest}`);
  throw refuse(flag, value, "a URL with http or https", meant?.href ?? "http://localhost:3000/");
}

/** The flag of `wait` that a word is probably meant for, as of wait-on's; `null` if it may be the name of a node. */
export function flagFor(word: string): string | null {
  const rest = word.replace(/^(tcp|file|socket|unix):(\/\/)?/, "");
  if (/^https?(-get)?:\/\//.test(word)) return `--http ${word.replace("-get:", ":")}`;
  if (/^(socket|unix):/.test(word) || word.endsWith(".sock")) return `--unix ${rest}`;
  if (/^(.*:)?\d{1,5}$/.test(rest)) return `--port ${rest}`;
  return word.startsWith("file:") || word.includes("/") ? `--file ${rest}` : null;
}

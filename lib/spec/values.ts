/**
 * From the text of a flag or field to its value. Every refusal names where it stands, the value found and the form
 * wanted.
 *
 * @module
 */
import { type TombstoneError, usageError } from "../errors.ts";
import { HTTP_STATUS, isPattern, kindOfTarget } from "./probes.ts";
import { isSignal } from "./recorded_settings.ts";

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Longest duration that makes sense here: a year. */
const LONGEST = 365 * 24 * MILLISECONDS.h!;

/** The error of a value of another form; `flag` is `--flag`, or words that say where else it stands. */
export function refuse(flag: string, value: string, wanted: string, example: string): TombstoneError {
  return usageError(`Cannot use "${value}" for ${flag}: expected ${wanted}`, hintOf(flag, example));
}

function hintOf(flag: string, example: string): string {
  return flag.startsWith("--") ? `${flag} ${example}` : `write ${example} for ${flag}`;
}

/**
 * A duration in milliseconds: `250ms`, `30s`, `5m`, `4h`; a bare number is seconds.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseDuration } from "./values.ts";
 *
 * assertEquals(parseDuration("--timeout", "1.5m"), 90_000);
 * ```
 */
export function parseDuration(flag: string, value: string): number {
  const form = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
  const duration = form === null ? NaN : Number(form[1]) * MILLISECONDS[form[2] ?? "s"]!;
  if (!(duration <= LONGEST)) {
    throw refuse(flag, value, "a duration such as 250ms, 30s, 5m or 4h (a bare number is seconds)", "30s");
  }
  return Math.round(duration);
}

/** A port, 0 to 65535. */
export function parsePort(flag: string, value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : NaN;
  if (!(port <= 65535)) throw refuse(flag, value, "a port from 0 to 65535 (0: a free one is chosen)", "3000");
  return port;
}

/** A host name or an address. */
export function parseHost(flag: string, value: string): string {
  // deno-lint-ignore no-control-regex
  if (/^[^\s/\x00-\x20\x7f-\x9f]+$/.test(value)) return value;
  throw refuse(flag, printed(value), "a host name or an IP address", "127.0.0.1");
}

/** Without what moves a cursor or begins a line. */
function printed(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

/** A whole number from 0 to `most`. */
export function parseCount(flag: string, value: string, most = 999_999_999): number {
  const count = /^\d{1,9}$/.test(value) ? Number(value) : NaN;
  if (count <= most) return count;
  throw refuse(flag, value, `a whole number up to ${most}`, String(Math.min(most, 20)));
}

const BYTES: Record<string, number> = { k: 1e3, m: 1e6, g: 1e9, ki: 1024, mi: 1024 ** 2, gi: 1024 ** 3 };

/** A size in bytes: `50MB`, `512k`, `1GiB`; a bare number is bytes. */
export function parseSize(flag: string, value: string): number {
  const form = /^(\d+(?:\.\d+)?)(?:([kmg]i?)b?|b)?$/i.exec(value);
  const size = form === null ? NaN : Math.round(Number(form[1]) * (BYTES[form[2]?.toLowerCase() ?? ""] ?? 1));
  if (!Number.isSafeInteger(size)) {
    throw refuse(flag, value, "a size such as 512kB, 50MB or 1GiB (a bare number is bytes, 0 no limit)", "50MB");
  }
  return size;
}

/**
 * Ranges of HTTP statuses, first to last: `200-399`, `200,204,301-308`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseStatuses } from "./values.ts";
 *
 * assertEquals(parseStatuses("--http-status", "200,300-399"), [[200, 200], [300, 399]]);
 * ```
 */
export function parseStatuses(flag: string, value: string | undefined): [number, number][] {
  if (value === undefined) return HTTP_STATUS;
  return value.split(",").map((range) => {
    const form = /^([2-5]\d\d)(?:-([2-5]\d\d))?$/.exec(range.trim());
    const [low, high] = [Number(form?.[1]), Number(form?.[2] ?? form?.[1])];
    if (!(low <= high)) throw refuse(flag, value, "statuses or ranges of them from 200 to 599", "200-399,401");
    return [low, high];
  });
}

/** What an HTTP probe asks for: a path on the node's port, or a URL. */
export function parseHttpTarget(flag: string, value: string): "path" | "url" {
  const kind = kindOfTarget(value);
  if (kind !== null) return kind;
  throw refuse(flag, value, "a path that begins with / or a URL with http or https", "/health");
}

/** A regular expression. */
export function parsePattern(flag: string, value: string): string {
  if (isPattern(value)) return value;
  throw refuse(flag, value, "a regular expression", "'listening on .*:\\d+'");
}

/** `NAME=VALUE` pairs; a later one wins. */
export function parseEnv(flag: string, values: string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const value of values) {
    const at = value.indexOf("=");
    const name = value.slice(0, Math.max(at, 0));
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes("\0")) {
      // What comes after the = may be a secret.
      throw refuse(flag, at < 0 ? value : `${name}=…`, "NAME=VALUE", "NODE_ENV=test");
    }
    env[name] = value.slice(at + 1);
  }
  return env;
}

/** A signal that can stop a server, with or without `SIG`. */
export function parseSignal(flag: string, value: string): Deno.Signal {
  const upper = value.toUpperCase();
  const name = upper.startsWith("SIG") ? upper : `SIG${upper}`;
  if (!isSignal(name)) throw refuse(flag, value, "a signal such as TERM, INT, QUIT or HUP", "INT");
  return name;
}

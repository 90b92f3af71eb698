/**
 * From the text of a flag or field to its value. Every error names the flag or field, the value found and the form wanted.
 *
 * @module
 */
import { isAbsolute, resolve } from "../paths.ts";
import { type TombstoneError, usageError } from "../errors.ts";
import { isFields } from "./json.ts";
import { fillPort } from "./placeholders.ts";

/** `250ms`, `30s`, `5m`, `4h`; a number is seconds. */
export type Duration = string | number;

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Longest duration that is accepted: a year. */
export const DURATION_MAX_MS = 365 * 24 * MILLISECONDS.h!;

/** The error for a value of another form; `flag` is `--flag`, or words for another place. */
export function refuse(flag: string, value: string | number, wanted: string, example: string): TombstoneError {
  return usageError(`Cannot use "${value}" for ${flag}: expected ${wanted}`, hintOf(flag, example));
}

function hintOf(flag: string, example: string): string {
  return flag.startsWith("--") ? `${flag} ${example}` : `write ${example} for ${flag}`;
}

/** A number without a unit as it is; number and unit of a text; `NaN` where it has another form. */
function amountOf(value: string | number, form: RegExp): { amount: number; unit?: string | undefined } {
  if (typeof value === "number") return { amount: value };
  const [, amount, unit] = form.exec(value) ?? [];
  return { amount: Number(amount ?? NaN), unit };
}

/** Text of a duration: number and unit. */
export const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/;

/**
 * A duration in milliseconds: `250ms`, `30s`, `5m`, `4h`; a bare number is seconds.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseDuration } from "./values.ts";
 *
 * assertEquals(parseDuration("--timeout", "1.5m"), 90_000);
 * assertEquals(parseDuration("--timeout", 30), 30_000);
 * ```
 */
export function parseDuration(flag: string, value: Duration): number {
  const { amount, unit = "s" } = amountOf(value, DURATION);
  const duration = amount * MILLISECONDS[unit]!;
  if (!(duration >= 0 && duration <= DURATION_MAX_MS)) {
    throw refuse(flag, value, "a duration such as 250ms, 30s, 5m or 4h (a bare number is seconds)", "30s");
  }
  return Math.round(duration);
}

/** A number of up to this many digits, or `NaN`. */
function wholeNumber(value: string | number, digits: number): number {
  const text = String(value);
  return /^\d+$/.test(text) && text.length <= digits ? Number(text) : NaN;
}

/** Text of a host name or an address: nothing that ends a word, moves a cursor or begins a path. */
// deno-lint-ignore no-control-regex
export const HOST = /^[^\s/\x00-\x20\x7f-\x9f]+$/;

/** A host name or an address. */
export function parseHost(flag: string, value: string): string {
  if (HOST.test(value)) return value;
  throw refuse(flag, printed(value), "a host name or an IP address", "127.0.0.1");
}

/** Longest path of a unix socket, in bytes; `sun_path` of unix(7), on macOS 103. */
const LONGEST_SOCKET_BYTES = 107;

/** The full path of a unix socket. */
export function parseSocketPath(flag: string, path: string): string {
  if (new TextEncoder().encode(path).length <= LONGEST_SOCKET_BYTES) return path;
  throw usageError(
    `Cannot use "${path}" for ${flag}: it is longer than the ${LONGEST_SOCKET_BYTES} bytes that a socket's path may have`,
    "choose a shorter path, such as one in /tmp",
  );
}

/** Removes control characters. */
function printed(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

/** A whole number from 0 to `most`. */
export function parseCount(flag: string, value: string | number, most = 999_999_999): number {
  const count = wholeNumber(value, 9);
  if (count <= most) return count;
  throw refuse(flag, value, `a whole number up to ${most}`, String(Math.min(most, 20)));
}

/** Largest id of a process: `PID_MAX_LIMIT` of the Linux kernel. */
export const PID_MAX = 2 ** 22;

/** The pid that a value gives. */
export function parsePid(flag: string, value: string | number): number {
  const pid = wholeNumber(value, 7);
  if (pid >= 1 && pid <= PID_MAX) return pid;
  throw refuse(flag, value, "the id of a process", "$$");
}

/** Text of a label: no spaces and nothing that moves a cursor. */
// deno-lint-ignore no-control-regex
export const LABEL = /^[^\s\x00-\x20\x7f-\x9f]{1,200}$/;

/** A label. */
export function parseLabel(flag: string, value: string): string {
  if (LABEL.test(value)) return value;
  throw refuse(flag, printed(value), "a label of up to 200 characters without spaces", "agent-7");
}

const BYTES: Record<string, number> = { k: 1e3, m: 1e6, g: 1e9, ki: 1024, mi: 1024 ** 2, gi: 1024 ** 3 };

/** Text of a size: number and unit. */
export const SIZE = /^(\d+(?:\.\d+)?)(?:([kKmMgG][iI]?)[bB]?|[bB])?$/;

/** A size in bytes: `50MB`, `512k`, `1GiB`; a bare number is bytes. */
export function parseSize(flag: string, value: string | number): number {
  const { amount, unit = "" } = amountOf(value, SIZE);
  const size = Math.round(amount * (BYTES[unit.toLowerCase()] ?? 1));
  if (!Number.isSafeInteger(size) || size < 0) {
    throw refuse(flag, value, "a size such as 512kB, 50MB or 1GiB (a bare number is bytes, 0 no limit)", "50MB");
  }
  return size;
}

/** Text of ranges of HTTP statuses. */
export const STATUSES = /^\s*[2-5]\d\d(-[2-5]\d\d)?\s*(,\s*[2-5]\d\d(-[2-5]\d\d)?\s*)*$/;

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
export function parseStatuses(flag: string, value: string): [number, number][] {
  const ranges = value.split(",").map((range): [number, number] => {
    const [first, last = first] = range.trim().split("-").map(Number);
    return [first!, last!];
  });
  if (STATUSES.test(value) && ranges.every(([first, last]) => first <= last)) return ranges;
  throw refuse(flag, value, "statuses or ranges of them from 200 to 599", "200-399,401");
}

/** An absolute path. */
export function parsePath(value: string, base: () => string): string {
  return isAbsolute(value) ? resolve(value) : resolve(base(), value);
}

/** What an HTTP probe asks for: a path on the node's port, or a URL; `null` if it is neither. */
export function kindOfTarget(text: string): "path" | "url" | null {
  if (text.startsWith("/")) return "path";
  const url = URL.parse(fillPort(text, 1));
  return url?.protocol === "http:" || url?.protocol === "https:" ? "url" : null;
}

/** Checks the target of an HTTP probe. */
export function parseHttpTarget(flag: string, value: string): string {
  if (kindOfTarget(value) !== null) return value;
  throw refuse(flag, value, "a path that begins with / or a URL with http or https", "/health");
}

/** Whether this is a regular expression. */
export function isPattern(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** A regular expression. */
export function parsePattern(flag: string, value: string): string {
  if (isPattern(value)) return value;
  throw refuse(flag, value, "a regular expression", "'listening on .*:\\d+'");
}

/** Variables by name, as JSON has them. */
export type Variables = Record<string, string | number | boolean>;

/** Whether these are variables: an object of texts, numbers or booleans. */
export function isVariables(value: unknown): value is Variables {
  return isFields(value) &&
    Object.entries(value).every(([name, one]) =>
      name !== "" && !/[=\0]/.test(name) && ["string", "number", "boolean"].includes(typeof one)
    );
}

/** Variables from `NAME=VALUE` pairs, a later one wins; or by name. */
export function parseVariables(flag: string, given: string[] | Variables): Record<string, string> {
  const variables: Record<string, string> = {};
  const pairs = Array.isArray(given) ? given.map(splitPair) : Object.entries(given);
  for (const [name, value] of pairs) {
    if (value === null || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || String(value).includes("\0")) {
      // The value after the = may be a secret.
      throw refuse(flag, value === null ? name : `${name}=…`, "NAME=VALUE", "NODE_ENV=test");
    }
    variables[name] = String(value);
  }
  return variables;
}

function splitPair(pair: string): [string, string | null] {
  const at = pair.indexOf("=");
  return at < 0 ? [pair, null] : [pair.slice(0, at), pair.slice(at + 1)];
}

/** Signals that can stop a server; signal(7). */
const STOP_SIGNALS = [
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGHUP",
  "SIGKILL",
  "SIGUSR1",
  "SIGUSR2",
  "SIGABRT",
  "SIGALRM",
  "SIGWINCH",
] as const;

/** Whether this is the full name of a signal that can stop a server. */
export function isSignal(name: string): name is Deno.Signal {
  return (STOP_SIGNALS as readonly string[]).includes(name);
}

/** A signal that can stop a server, with or without `SIG`. */
export function parseSignal(flag: string, value: string): Deno.Signal {
  const upper = value.toUpperCase();
  const name = upper.startsWith("SIG") ? upper : `SIG${upper}`;
  if (!isSignal(name)) throw refuse(flag, value, "a signal such as TERM, INT, QUIT or HUP", "INT");
  return name;
}

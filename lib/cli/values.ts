/**
 * From the text of a flag to its value. Every refusal names the flag, the value found and the form wanted.
 *
 * @module
 */
import { type TombstoneError, usageError } from "../errors.ts";
import { NAME } from "../state/node_dir.ts";
import { isSignal } from "../state/settings.ts";

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Longest duration that makes sense here: a year. */
const LONGEST = 365 * 24 * MILLISECONDS.h!;

function refuse(flag: string, value: string, wanted: string, example: string): TombstoneError {
  return usageError(`Cannot use "${value}" for ${flag}: expected ${wanted}`, `${flag} ${example}`);
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

/** A whole number from 0. */
export function parseCount(flag: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw refuse(flag, value, "a whole number", "20");
  return Number(value);
}

/** Names of nodes and workspaces. A node's directory stands beside the workspace's record, so it cannot have its name. */
export function parseName(what: "node" | "workspace", value: string): string {
  if (NAME.test(value) && value !== "workspace.json") return value;
  throw usageError(
    `Cannot use "${value}" as the name of a ${what}: ` +
      "expected 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit",
    what === "node" ? "tombstone start web -- COMMAND" : "--workspace my-project",
  );
}

/** `NAME=VALUE` pairs; a later one wins. */
export function parseEnv(flag: string, values: string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const value of values) {
    const at = value.indexOf("=");
    const name = value.slice(0, Math.max(at, 0));
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes("\0")) {
      throw refuse(flag, value, "NAME=VALUE", "NODE_ENV=test");
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

/**
 * The conditions for "ready", in the form in which records keep them (snake_case JSON), and their total reader.
 *
 * @module
 */
import type { DeclaredFile } from "./declared.ts";
import { asNumber, asPath, asString, type Fields } from "./json.ts";
import { DURATION_MAX_MS, isPattern, kindOfTarget } from "./values.ts";

/** One condition for "ready". */
export type Probe =
  /** The node accepts TCP connections; without a host, on any loopback address. */
  | { type: "tcp"; host: string | null; port: number; any_listener: boolean }
  /** The node wrote its port into a file, and accepts there. */
  | { type: "port-file"; host: string | null; path: string; any_listener: boolean }
  /** The node listens on some TCP port. */
  | { type: "discover" }
  /** A GET answers with a status in one of the ranges. `target`: a URL (`{port}` in it is filled in), or a path. */
  | { type: "http"; target: string; status: [number, number][]; any_listener: boolean }
  /** The node accepts connections on a unix socket. */
  | { type: "unix"; path: string; any_listener: boolean }
  /** A line of this start's log matches. */
  | { type: "log"; pattern: string }
  /** The file exists and is not older than the attempt. */
  | { type: "file"; path: string }
  /** The shell command exits with 0; `{port}` in it is filled in. */
  | { type: "exec"; command: string }
  /** The server says `READY=1` by the protocol of sd_notify(3). */
  | { type: "notify" }
  /** It has run for this long, in milliseconds. */
  | { type: "alive"; for_ms: number }
  /** It has exited with 0; for a step instead of a server. */
  | { type: "exit" };

/** Whether a node with these conditions is a step instead of a server. */
export function isStep({ probes }: { probes: Probe[] }): boolean {
  return probes.some(({ type }) => type === "exit");
}

/** Statuses that an HTTP probe accepts by default: first to last. */
export const HTTP_STATUS: [number, number] = [200, 399];

/** Whether a probe waits for an event, which stays true after it has happened, instead of a state. */
export function isEvent(probe: Probe): boolean {
  return ["log", "notify", "alive", "exit"].includes(probe.type);
}

/** The file that the server creates for a probe, which is stale while it does not run; `null` if there is none. */
export function fileOf(probe: Probe): DeclaredFile | null {
  if (probe.type === "port-file") return { path: probe.path, kind: "number" };
  return probe.type === "unix" ? { path: probe.path, kind: "socket" } : null;
}

/** Recorded ranges of HTTP statuses; `null` if they are of another form. */
export function readStatuses(value: unknown): [number, number][] | null {
  if (!Array.isArray(value)) return null;
  const ranges = value.flatMap((range): [number, number][] => {
    const [low, high] = Array.isArray(range) ? range.map((end) => asNumber(end, 100, 599)) : [];
    return typeof low === "number" && typeof high === "number" ? [[low, high]] : [];
  });
  return ranges.length > 0 ? ranges : null;
}

/** Reads one recorded probe; none if it is of another form. */
export function readProbe(value: unknown): Probe[] {
  const fields = (value ?? {}) as Fields;
  const host = asString(fields.host);
  const any_listener = fields.any_listener === true;
  const path = asPath(fields.path);
  const port = asNumber(fields.port, 0, 65535);
  const for_ms = asNumber(fields.for_ms, 0, DURATION_MAX_MS);
  const target = asString(fields.target);
  const pattern = asString(fields.pattern);
  const command = asString(fields.command);
  switch (fields.type) {
    case "tcp":
      return port === null ? [] : [{ type: "tcp", host, port, any_listener }];
    case "port-file":
      return path === null ? [] : [{ type: "port-file", host, path, any_listener }];
    case "discover":
      return [{ type: "discover" }];
    case "http":
      if (target === null || kindOfTarget(target) === null) return [];
      return [{ type: "http", target, status: readStatuses(fields.status) ?? [HTTP_STATUS], any_listener }];
    case "unix":
      return path === null ? [] : [{ type: "unix", path, any_listener }];
    case "log":
      return pattern === null || !isPattern(pattern) ? [] : [{ type: "log", pattern }];
    case "file":
      return path === null ? [] : [{ type: "file", path }];
    case "exec":
      return command === null ? [] : [{ type: "exec", command }];
    case "notify":
      return [{ type: "notify" }];
    case "exit":
      return [{ type: "exit" }];
    case "alive":
      return for_ms === null ? [] : [{ type: "alive", for_ms }];
    default:
      return [];
  }
}

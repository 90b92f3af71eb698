/**
 * What the user asked for when starting a node, in the form in which the tombstone and `node.info`
 * record it (snake_case JSON), and a reader that accepts anything.
 *
 * @module
 */

/** One condition for "ready". */
export type Probe =
  | { type: "tcp"; host: string; port: number; any_listener: boolean }
  | { type: "port-file"; host: string; path: string; any_listener: boolean }
  | { type: "discover" }
  | { type: "alive"; for_ms: number };

/** How to stop a node. */
export interface StopSettings {
  /** Signal for the main process. */
  signal: Deno.Signal;
  /** Milliseconds until what is left is killed. */
  timeout_ms: number;
  /** Shell command to run instead of the signal. */
  command: string | null;
}

/** The recorded settings of a node. */
export interface Settings {
  /** Program and arguments, `{port}` not yet replaced. */
  command: string[];
  /** Directory that the command runs in, absolute. */
  cwd: string;
  /** Address that probes connect to. */
  host: string;
  /** Port asked for; 0: chosen by the tool; `null`: none. */
  port_request: number | null;
  /** What must hold before the node counts as ready; never empty. */
  probes: Probe[];
  /** Milliseconds from the spawn until a node that is not ready has failed. */
  timeout_ms: number;
  /** How to stop it. */
  stop: StopSettings;
  /** Files, absolute, that are stale whenever the node does not run. */
  sweep_files: string[];
  /** Where a server that daemonises itself writes its pid, absolute. */
  pid_file: string | null;
  /** Names of processes that reaping leaves alone, besides `epmd`. */
  spare: string[];
  /** Names of the variables given with `--env`; values are never recorded. */
  env_names: string[];
  /** Whether the environment was cleared. */
  clear_env: boolean;
}

/** What holds where nothing was asked for or nothing readable was recorded. */
export const DEFAULTS: Settings = {
  command: [],
  cwd: "/",
  host: "127.0.0.1",
  port_request: null,
  probes: [{ type: "discover" }],
  timeout_ms: 60_000,
  stop: { signal: "SIGTERM", timeout_ms: 10_000, command: null },
  sweep_files: [],
  pid_file: null,
  spare: [],
  env_names: [],
  clear_env: false,
};

/** A value that JSON can hold, for total readers. */
export type Fields = Record<string, unknown>;

/** The fields of a JSON object; `null` for anything else. */
export function parseObject(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Fields : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** The value if it is a string without NUL, else `null`. */
export function asString(value: unknown): string | null {
  return typeof value === "string" && !value.includes("\0") ? value : null;
}

/** The value if it is a finite number in the range, else `null`. */
export function asNumber(value: unknown, low: number, high: number): number | null {
  return typeof value === "number" && value >= low && value <= high ? value : null;
}

/** The strings of an array; empty for anything else. */
export function asStrings(value: unknown): string[] {
  return Array.isArray(value) && value.every((item) => asString(item) !== null) ? value : [];
}

/** The value if it is a random UUID in its canonical form, else `null`. */
export function asAttempt(value: unknown): string | null {
  return typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value) ? value : null;
}

const isAbsolute = (path: string) => path.startsWith("/");
const DAY = 24 * 3600 * 1000;

function readProbe(value: unknown): Probe[] {
  const fields = (value ?? {}) as Fields;
  const host = asString(fields.host) ?? DEFAULTS.host;
  const any_listener = fields.any_listener === true;
  const path = asString(fields.path);
  const port = asNumber(fields.port, 0, 65535);
  const for_ms = asNumber(fields.for_ms, 0, DAY);
  switch (fields.type) {
    case "tcp":
      return port === null ? [] : [{ type: "tcp", host, port, any_listener }];
    case "port-file":
      return path === null || !isAbsolute(path) ? [] : [{ type: "port-file", host, path, any_listener }];
    case "discover":
      return [{ type: "discover" }];
    case "alive":
      return for_ms === null ? [] : [{ type: "alive", for_ms }];
    default:
      return [];
  }
}

/** Reads recorded settings; what is missing or of another form becomes its default. */
export function readSettings(fields: Fields): Settings {
  const probes = Array.isArray(fields.probes) ? fields.probes.flatMap(readProbe) : [];
  const stop = (typeof fields.stop === "object" && fields.stop !== null ? fields.stop : {}) as Fields;
  const signal = asString(stop.signal);
  const pidFile = asString(fields.pid_file);
  return {
    command: asStrings(fields.command),
    cwd: asString(fields.cwd) ?? DEFAULTS.cwd,
    host: asString(fields.host) ?? DEFAULTS.host,
    port_request: asNumber(fields.port_request, 0, 65535),
    probes: probes.length > 0 ? probes : DEFAULTS.probes,
    timeout_ms: asNumber(fields.timeout_ms, 0, 365 * DAY) ?? DEFAULTS.timeout_ms,
    stop: {
      signal: signal !== null && isSignal(signal) ? signal : DEFAULTS.stop.signal,
      timeout_ms: asNumber(stop.timeout_ms, 0, 365 * DAY) ?? DEFAULTS.stop.timeout_ms,
      command: asString(stop.command),
    },
    sweep_files: asStrings(fields.sweep_files).filter(isAbsolute),
    pid_file: pidFile !== null && isAbsolute(pidFile) ? pidFile : null,
    spare: asStrings(fields.spare),
    env_names: asStrings(fields.env_names),
    clear_env: fields.clear_env === true,
  };
}

/** Signals that may be asked for to stop a server; signal(7). */
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

/** Every file outside the node's directory that is stale while the node does not run. */
export function declaredFiles(settings: Settings): string[] {
  const written = settings.probes.flatMap((probe) => probe.type === "port-file" ? [probe.path] : []);
  const pidFile = settings.pid_file === null ? [] : [settings.pid_file];
  return [...new Set([...settings.sweep_files, ...written, ...pidFile])];
}

/** The settings with the port that was chosen for them. */
export function withPort(settings: Settings, port: number | null): Settings {
  if (port === null) return settings;
  return {
    ...settings,
    probes: settings.probes.map((probe) => probe.type === "tcp" ? { ...probe, port } : probe),
  };
}

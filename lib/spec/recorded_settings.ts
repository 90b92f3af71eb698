/**
 * What the user asked for when starting a node, in the form in which the tombstone and `node.info`
 * record it (snake_case JSON), and a reader that accepts anything.
 *
 * @module
 */

import { type DeclaredFile, distinct } from "./declared.ts";
import { asNumber, asString, asStrings, type Fields } from "./json.ts";
import { fileOf, isPattern, type Probe, readProbe } from "./probes.ts";

/** How to stop a node. */
export interface StopSettings {
  /** Signal for the main process. */
  signal: Deno.Signal;
  /** Milliseconds until what is left is killed. */
  timeout_ms: number;
  /** Shell command to run instead of the signal. */
  command: string | null;
}

/** How much of a server's output is kept. */
export interface LogSettings {
  /** Number of logs of earlier starts. */
  keep: number;
  /** Length above which a log is cut to its end, in bytes; 0: never. */
  max_bytes: number;
}

/** Where a node was to be found. */
export interface Endpoint {
  /** Address. */
  host: string;
  /** Port. */
  port: number;
  /** Both as a URL. */
  url: string;
}

/** The recorded settings of a node. */
export interface Settings {
  /** Program and arguments, `{port}` not yet replaced. */
  command: string[];
  /** Directory that the command runs in, absolute. */
  cwd: string;
  /** Address that probes connect to; `null`: any loopback address that the node listens on. */
  host: string | null;
  /** Port asked for; 0: chosen by the tool; `null`: none. */
  port_request: number | null;
  /** What must hold before the node counts as ready; never empty. */
  probes: Probe[];
  /** Regular expressions: a line of the log that matches one tells that it will never be ready. */
  fail_log: string[];
  /** Milliseconds for which all of it must go on to hold; 0: none. */
  stable_for_ms: number;
  /** Milliseconds from the spawn until a node that is not ready has failed. */
  timeout_ms: number;
  /** How to stop it. */
  stop: StopSettings;
  /** Files, absolute, that are stale whenever the node does not run. */
  sweep_files: string[];
  /** Where a server that daemonises itself writes its pid, absolute. */
  pid_file: string | null;
  /** Names of processes that terminating leaves alone, besides `epmd`. */
  exclude: string[];
  /** Names of the variables given with `--env`; values are never recorded. */
  env_names: string[];
  /** Whether the environment was cleared. */
  clear_env: boolean;
  /** Whether the server's input stays open; without it, it is at its end from the beginning. */
  stdin_open: boolean;
  /** Whether the variables by which CI runners find the processes of a job are kept from the server. */
  outlive_ci_job: boolean;
  /** How much of the server's output is kept. */
  log: LogSettings;
  /** Where the nodes were that it comes after, by name: it was told so in its command and environment. */
  needs: Record<string, Endpoint>;
}

/** Most logs of earlier starts that can be asked for. */
export const MOST_LOGS = 100;

/** What holds where nothing was asked for or nothing readable was recorded. */
export const DEFAULTS: Settings = {
  command: [],
  cwd: "/",
  host: null,
  port_request: null,
  probes: [{ type: "discover" }],
  fail_log: [],
  stable_for_ms: 0,
  timeout_ms: 60_000,
  stop: { signal: "SIGTERM", timeout_ms: 10_000, command: null },
  sweep_files: [],
  pid_file: null,
  exclude: [],
  env_names: [],
  clear_env: false,
  stdin_open: false,
  outlive_ci_job: false,
  log: { keep: 3, max_bytes: 50_000_000 },
  needs: {},
};

const isAbsolute = (path: string) => path.startsWith("/");
const DAY = 24 * 3600 * 1000;

function asFields(value: unknown): Fields {
  return (typeof value === "object" && value !== null ? value : {}) as Fields;
}

/** Reads recorded settings; what is missing or of another form becomes its default. */
export function readSettings(fields: Fields): Settings {
  const probes = Array.isArray(fields.probes) ? fields.probes.flatMap(readProbe) : [];
  const stop = asFields(fields.stop);
  const log = asFields(fields.log);
  const signal = asString(stop.signal);
  const pidFile = asString(fields.pid_file);
  return {
    command: asStrings(fields.command),
    cwd: asString(fields.cwd) ?? DEFAULTS.cwd,
    host: asString(fields.host) ?? DEFAULTS.host,
    port_request: asNumber(fields.port_request, 0, 65535),
    probes: probes.length > 0 ? probes : DEFAULTS.probes,
    fail_log: asStrings(fields.fail_log).filter(isPattern),
    stable_for_ms: asNumber(fields.stable_for_ms, 0, DAY) ?? DEFAULTS.stable_for_ms,
    timeout_ms: asNumber(fields.timeout_ms, 0, 365 * DAY) ?? DEFAULTS.timeout_ms,
    stop: {
      signal: signal !== null && isSignal(signal) ? signal : DEFAULTS.stop.signal,
      timeout_ms: asNumber(stop.timeout_ms, 0, 365 * DAY) ?? DEFAULTS.stop.timeout_ms,
      command: asString(stop.command),
    },
    sweep_files: asStrings(fields.sweep_files).filter(isAbsolute),
    pid_file: pidFile !== null && isAbsolute(pidFile) ? pidFile : null,
    exclude: asStrings(fields.exclude),
    env_names: asStrings(fields.env_names),
    clear_env: fields.clear_env === true,
    stdin_open: fields.stdin_open === true,
    outlive_ci_job: fields.outlive_ci_job === true,
    log: {
      keep: asNumber(log.keep, 0, MOST_LOGS) ?? DEFAULTS.log.keep,
      max_bytes: asNumber(log.max_bytes, 0, Number.MAX_SAFE_INTEGER) ?? DEFAULTS.log.max_bytes,
    },
    needs: readNeeds(fields.needs),
  };
}

function readNeeds(value: unknown): Record<string, Endpoint> {
  return Object.fromEntries(
    Object.entries(asFields(value)).flatMap(([node, place]) => {
      const host = asString(asFields(place).host);
      const port = asNumber(asFields(place).port, 1, 65535);
      const url = asString(asFields(place).url);
      return host === null || port === null || url === null ? [] : [[node, { host, port, url }]];
    }),
  );
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
export function declaredFiles({ sweep_files, probes, pid_file }: Settings): DeclaredFile[] {
  return distinct([
    ...sweep_files.map((path): DeclaredFile => ({ path, kind: "leftover" })),
    ...probes.map(fileOf).filter((file) => file !== null),
    ...(pid_file === null ? [] : [{ path: pid_file, kind: "number" } as const]),
  ]);
}

/** The settings with the port that was chosen for them. */
export function withPort(settings: Settings, port: number | null): Settings {
  if (port === null) return settings;
  return {
    ...settings,
    probes: settings.probes.map((probe) => probe.type === "tcp" ? { ...probe, port } : probe),
  };
}

/** The settings alone of a record that holds more. */
export function settingsOf(record: Settings): Settings {
  const names = Object.keys(DEFAULTS) as (keyof Settings)[];
  return Object.fromEntries(names.map((name) => [name, record[name]])) as unknown as Settings;
}

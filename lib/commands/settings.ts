/**
 * From the flags of a start to its settings.
 *
 * @module
 */
import { resolve } from "@std/path/posix/resolve";
import type { Call } from "../cli/call.ts";
import {
  parseCount,
  parseEnv,
  parseHttpTarget,
  parsePattern,
  parsePort,
  parseSignal,
  parseSize,
  parseStatuses,
} from "../cli/values.ts";
import { usageError } from "../errors.ts";
import { platform } from "../os/platform.ts";
import type { Probe } from "../state/probes.ts";
import { DEFAULTS, type LogSettings, MOST_LOGS, type Settings } from "../state/settings.ts";

/** Largest file that may be a port file or pid file of an earlier run, in bytes. */
const SMALL = 4096;

/**
 * The settings that the flags of a start ask for.
 *
 * @throws {TombstoneError} a value is of another form, or names what cannot be used
 */
export function readSettingFlags(call: Call, command: string[]): Settings {
  const { flags } = call;
  const path = (flag: string) => flags.texts(flag).map((value) => fromHere(value));
  const cwd = fromHere(flags.text("cwd") ?? ".");
  requireDirectory(cwd);
  const host = flags.text("host") ?? DEFAULTS.host;
  const port = flags.text("port");
  const portRequest = port === undefined ? null : parsePort("--port", port);
  const pidFile = path("pid-file")[0] ?? null;
  for (const file of path("sweep-file")) requireSweepable("--sweep-file", file, Infinity);
  for (const file of path("port-file")) requireSweepable("--port-file", file, SMALL);
  for (const file of path("pid-file")) requireSweepable("--pid-file", file, SMALL);
  return {
    command,
    cwd,
    host,
    port_request: portRequest,
    probes: readProbes(call, host, portRequest, path("port-file")[0]),
    stable_for_ms: call.duration("stable-for", DEFAULTS.stable_for_ms),
    timeout_ms: call.duration("timeout", DEFAULTS.timeout_ms),
    stop: {
      signal: parseSignal("--stop-signal", flags.text("stop-signal") ?? DEFAULTS.stop.signal),
      timeout_ms: call.duration("stop-timeout", DEFAULTS.stop.timeout_ms),
      command: flags.text("stop-command") ?? null,
    },
    sweep_files: path("sweep-file"),
    pid_file: pidFile,
    spare: flags.texts("spare"),
    env_names: Object.keys(parseEnv("--env", flags.texts("env"))),
    clear_env: flags.has("clear-env"),
    outlive_ci_job: flags.has("outlive-ci-job"),
    log: readLogFlags(call),
  };
}

function readLogFlags({ flags }: Call): LogSettings {
  const keep = flags.text("log-keep");
  const max = flags.text("log-max");
  return {
    keep: keep === undefined ? DEFAULTS.log.keep : parseCount("--log-keep", keep, MOST_LOGS),
    max_bytes: max === undefined ? DEFAULTS.log.max_bytes : parseSize("--log-max", max),
  };
}

function readProbes(call: Call, host: string, port: number | null, portFile: string | undefined): Probe[] {
  const { flags } = call;
  const any_listener = flags.has("any-listener");
  const noProbe = flags.has("no-probe");
  const status = parseStatuses("--http-status", flags.text("http-status"));
  const probes: Probe[] = [];
  if (port !== null && !noProbe) probes.push({ type: "tcp", host, port, any_listener });
  if (portFile !== undefined) probes.push({ type: "port-file", host, path: portFile, any_listener });
  for (const target of flags.texts("http")) {
    const isPath = parseHttpTarget("--http", target) === "path";
    // Whether a path is answered can be asked only where the node listens.
    if ((isPath || target.includes("{port}")) && probes.length === 0) probes.push(...discovery(call));
    probes.push({ type: "http", target, status, any_listener });
  }
  for (const path of flags.texts("unix")) {
    probes.push({ type: "unix", path: requireSocket(fromHere(path)), any_listener });
  }
  for (const pattern of flags.texts("log")) probes.push({ type: "log", pattern: parsePattern("--log", pattern) });
  for (const path of flags.texts("file")) probes.push({ type: "file", path: fromHere(path) });
  for (const command of flags.texts("exec")) probes.push({ type: "exec", command });
  if (flags.has("notify")) probes.push({ type: "notify" });
  if (noProbe && probes.length > 0) {
    const name = portFile !== undefined ? "port-file" : probes.at(-1)!.type;
    throw usageError(`Cannot use --no-probe with --${name}: that is a probe`, "leave one of them out");
  }
  if (noProbe || flags.text("alive-for") !== undefined) {
    probes.push({ type: "alive", for_ms: call.duration("alive-for", 200) });
  }
  return probes.length > 0 ? probes : discovery(call);
}

function discovery(call: Call): Probe[] {
  if (platform.listeners !== null) return [{ type: "discover" }];
  throw usageError(
    `Cannot start "${call.node}" without a probe: this platform does not tell which ports a process listens on`,
    "say when it is ready with --port N, --port-file PATH, --log REGEX or --no-probe",
  );
}

/** Longest path of a unix socket, in bytes; `sun_path` of unix(7), on macOS 103. */
const LONGEST_SOCKET = 107;

/** A socket is removed while the node does not run; a file that is none must not be. */
function requireSocket(path: string): string {
  const info = lookAt(path);
  if (info !== null && !info.isSocket) {
    throw usageError(
      `Cannot use "${path}" for --unix: it exists and is no socket`,
      "--unix PATH of the server's socket",
    );
  }
  if (new TextEncoder().encode(path).length > LONGEST_SOCKET) {
    throw usageError(
      `Cannot use "${path}" for --unix: it is longer than the ${LONGEST_SOCKET} bytes that a socket's path may have`,
      "choose a shorter path, such as one in /tmp",
    );
  }
  return path;
}

/** An absolute path. Left to find the current directory itself, `resolve` loads Node's `process`, some 11 ms. */
function fromHere(path: string): string {
  return resolve(Deno.cwd(), path);
}

function lookAt(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error) return null; // missing, or not to be seen
    throw error;
  }
}

function requireDirectory(path: string): void {
  if (lookAt(path)?.isDirectory) return;
  throw usageError(`Cannot use "${path}" for --cwd: no such directory`, "name an existing directory with --cwd");
}

/** Declared files are removed; a slip of the pen must not cost a directory or a document. */
function requireSweepable(flag: string, path: string, largest: number): void {
  const info = lookAt(path);
  if (info?.isDirectory) {
    throw usageError(`Cannot use "${path}" for ${flag}: it is a directory, and only files are swept`, `${flag} FILE`);
  }
  if (info !== null && info.size > largest) {
    throw usageError(
      `Cannot use "${path}" for ${flag}: it exists and is ${info.size} bytes long, so it is no such file`,
      `name the file that the server writes with ${flag}`,
    );
  }
}

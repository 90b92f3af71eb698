/**
 * From what people ask for to the settings of a start.
 *
 * @module
 */
import { PORT } from "./placeholders.ts";
import { resolve } from "@std/path/posix/resolve";
import type { Source } from "./source.ts";
import {
  parseCount,
  parseDuration,
  parseEnv,
  parseHost,
  parseHttpTarget,
  parsePattern,
  parsePort,
  parseSignal,
  parseSize,
  parseStatuses,
} from "./values.ts";
import { describeErrno, errnoOf, stateError } from "../errno.ts";
import { usageError } from "../errors.ts";
import { system } from "../os/system.ts";
import type { DeclaredFile, DeclaredKind } from "./declared.ts";
import { lookAtDeclared } from "../state/declared.ts";
import type { Probe } from "./probes.ts";
import { DEFAULTS, type LogSettings, MOST_LOGS, type Settings } from "./recorded_settings.ts";

/** The directory is asked for only where a path begins in it: the current one may be gone. */
function at(source: Source, path: string): string {
  return path.startsWith("/") ? resolve(path) : resolve(source.base, path);
}

/**
 * The settings that a start is asked for.
 *
 * @throws {TombstoneError} a value is of another form, or names what cannot be used
 */
export function settingsFrom(source: Source, command: string[]): Settings {
  const { flags, place } = source;
  const paths = (flag: string) => flags.texts(flag).map((value) => at(source, value));
  const cwd = at(source, flags.text("cwd") ?? ".");
  requireDirectory(place("cwd"), cwd);
  const givenHost = flags.text("host");
  const host = givenHost === undefined ? DEFAULTS.host : parseHost(place("host"), givenHost);
  const port = flags.text("port");
  const portRequest = port === undefined ? null : parsePort(place("port"), port);
  const signal = flags.text("stop-signal");
  for (const path of paths("sweep-file")) requireSweepable(place("sweep-file"), { path, kind: "leftover" });
  for (const path of paths("port-file")) requireSweepable(place("port-file"), { path, kind: "number" });
  for (const path of paths("pid-file")) requireSweepable(place("pid-file"), { path, kind: "number" });
  for (const path of paths("file")) requirePossible(place("file"), path);
  return {
    command,
    cwd,
    host,
    port_request: portRequest,
    probes: readProbes(source, host, portRequest, paths),
    fail_log: flags.texts("fail-log").map((pattern) => parsePattern(place("fail-log"), pattern)),
    stable_for_ms: duration(source, "stable-for", DEFAULTS.stable_for_ms),
    timeout_ms: duration(source, "timeout", DEFAULTS.timeout_ms),
    stop: {
      signal: signal === undefined ? DEFAULTS.stop.signal : parseSignal(place("stop-signal"), signal),
      timeout_ms: duration(source, "stop-timeout", DEFAULTS.stop.timeout_ms),
      command: flags.text("stop-command") ?? null,
    },
    sweep_files: paths("sweep-file"),
    pid_file: paths("pid-file")[0] ?? null,
    exclude: flags.texts("exclude"),
    env_names: Object.keys(parseEnv(place("env"), flags.texts("env"))),
    clear_env: flags.has("clear-env"),
    stdin_open: flags.has("stdin-open"),
    outlive_ci_job: flags.has("outlive-ci-job"),
    log: readLog(source),
    needs: {},
  };
}

function duration({ flags, place }: Source, flag: string, otherwise: number): number {
  const text = flags.text(flag);
  return text === undefined ? otherwise : parseDuration(place(flag), text);
}

function readLog({ flags, place }: Source): LogSettings {
  const keep = flags.text("log-keep");
  const max = flags.text("log-max");
  return {
    keep: keep === undefined ? DEFAULTS.log.keep : parseCount(place("log-keep"), keep, MOST_LOGS),
    max_bytes: max === undefined ? DEFAULTS.log.max_bytes : parseSize(place("log-max"), max),
  };
}

function readProbes(
  source: Source,
  host: string | null,
  port: number | null,
  paths: (flag: string) => string[],
): Probe[] {
  const { flags, place } = source;
  const any_listener = flags.has("any-listener");
  const noProbe = flags.has("no-probe");
  const status = parseStatuses(place("http-status"), flags.text("http-status"));
  const probes: Probe[] = [];
  if (port !== null && !noProbe) probes.push({ type: "tcp", host, port, any_listener });
  for (const path of paths("port-file")) probes.push({ type: "port-file", host, path, any_listener });
  for (const target of flags.texts("http")) {
    const isPath = parseHttpTarget(place("http"), target) === "path";
    // Whether a path is answered can be asked only where the node listens.
    if ((isPath || target.includes(PORT)) && probes.length === 0) probes.push(...discovery(source));
    probes.push({ type: "http", target, status, any_listener });
  }
  for (const path of paths("unix")) {
    probes.push({ type: "unix", path: requireSocket(place("unix"), path), any_listener });
  }
  for (const pattern of flags.texts("log")) probes.push({ type: "log", pattern: parsePattern(place("log"), pattern) });
  for (const path of paths("file")) probes.push({ type: "file", path });
  for (const command of flags.texts("exec")) probes.push({ type: "exec", command });
  if (flags.has("notify")) probes.push({ type: "notify" });
  if (noProbe && probes.length > 0) {
    const other = place(probes[0]!.type === "port-file" ? "port-file" : probes.at(-1)!.type);
    throw usageError(`Cannot use ${place("no-probe")} with ${other}: that is a probe`, "leave one of them out");
  }
  if (noProbe || flags.text("alive-for") !== undefined) {
    probes.push({ type: "alive", for_ms: duration(source, "alive-for", 200) });
  }
  return probes.length > 0 ? probes : discovery(source);
}

function discovery({ node, place }: Source): Probe[] {
  if (system.sockets !== null) return [{ type: "discover" }];
  const port = place("port");
  throw usageError(
    `Cannot start "${node}" without a probe: this platform does not tell which ports a process listens on`,
    port.startsWith("--")
      ? "say when it is ready with --port N, --port-file PATH, --log REGEX or --no-probe"
      : `say when it is ready with ${port}, ${place("log")} or ${place("no-probe")}`,
  );
}

function hintFor(place: string, value: string): string {
  return place.startsWith("--") ? `${place} ${value}` : `${place}: ${value}`;
}

/** Longest path of a unix socket, in bytes; `sun_path` of unix(7), on macOS 103. */
const LONGEST_SOCKET = 107;

/** A socket is removed while the node does not run; a file that is none must not be. */
function requireSocket(place: string, path: string): string {
  // A server may make a link to its socket; the link is never removed.
  const target = lookAt(path);
  if (!target?.isSocket && (target !== null || !isLink(path))) requireSweepable(place, { path, kind: "socket" });
  if (new TextEncoder().encode(path).length > LONGEST_SOCKET) {
    throw usageError(
      `Cannot use "${path}" for ${place}: it is longer than the ${LONGEST_SOCKET} bytes that a socket's path may have`,
      "choose a shorter path, such as one in /tmp",
    );
  }
  return path;
}

function lookAt(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (errnoOf(error) !== null) return null; // missing, or not to be seen
    throw error;
  }
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch (error) {
    if (errnoOf(error) !== null) return false;
    throw error;
  }
}

function requireDirectory(place: string, path: string): void {
  if (lookAt(path)?.isDirectory) return;
  throw usageError(`Cannot use "${path}" for ${place}: no such directory`, `name an existing directory for ${place}`);
}

/** What the server makes in each kind of place, for hints. */
const WANTED: Record<DeclaredKind, string> = {
  leftover: "FILE that the server leaves behind",
  number: "FILE that the server writes its number to",
  socket: "PATH of the server's socket",
};

/** Declared files are removed; a slip of the pen must not cost a directory or a document. */
function requireSweepable(place: string, file: DeclaredFile): void {
  const found = lookAtDeclared(file);
  if (found.kind === "missing" || found.kind === "stale") return;
  const hint = hintFor(place, WANTED[file.kind]);
  if (found.kind === "other") {
    const why = found.reason === "it is a directory" ? `${found.reason}, and only files are swept` : found.reason;
    throw usageError(`Cannot use "${file.path}" for ${place}: ${why}`, hint);
  }
  const isMistake = found.kind === "impossible" || found.error instanceof Deno.errors.PermissionDenied;
  if (!isMistake) throw stateError("look at", file.path, found.error, "elsewhere");
  throw usageError(`Cannot use "${file.path}" for ${place}: ${describeErrno(found.error)}`, hint);
}

/** A file that is waited for must be one that there can be. */
function requirePossible(place: string, path: string): void {
  const found = lookAtDeclared({ path, kind: "leftover" });
  if (found.kind !== "impossible") return;
  throw usageError(`Cannot use "${path}" for ${place}: ${describeErrno(found.error)}`, hintFor(place, "FILE"));
}

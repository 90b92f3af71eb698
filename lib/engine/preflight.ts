/**
 * Checks of the settings of a start against this system, before anything is written.
 *
 * @module
 */
import { describeErrno, stateError } from "../os/errno.ts";
import type { Identity } from "../os/rows.ts";
import { variable } from "../os/surroundings.ts";
import { lstatOrNull, statOrNull } from "../os/stat.ts";
import { usageError } from "../errors.ts";
import { system } from "../os/system.ts";
import { variablesFromFiles } from "./env_file.ts";
import type { DeclaredFile, DeclaredKind } from "../spec/declared.ts";
import type { Path } from "../spec/fields.ts";
import { type Settings, settingsFrom, type Source, valueOf } from "../spec/settings.ts";
import { parseLabel, parseSocketPath } from "../spec/values.ts";
import { lookAtDeclared } from "../state/declared.ts";

/** A start, checked. */
export interface Prepared {
  /** What to run. */
  settings: Settings;
  /** Variables for the server. */
  env: Record<string, string>;
  /** The process that the node is to end with; `null`: none. */
  whileProcess: Identity | null;
}

/**
 * The requested settings and variables of a start, after checks of the directory and the files that they name.
 *
 * @throws {TombstoneError} a value is invalid, or names something that cannot be used here
 */
export function prepare(source: Source): Prepared {
  const settings = { ...settingsFrom(source, system.shell.words), session: sessionOf(source) };
  const look = (path: Path, kind: DeclaredKind) => (file: string) =>
    requireSweepable(source.place(path), { path: file, kind });
  requireDirectory(source.place("cwd"), settings.cwd);
  settings.sweep_files.forEach(look("sweep_files", "leftover"));
  if (settings.pid_file !== null) look("pid_file", "number")(settings.pid_file);
  for (const probe of settings.probes) {
    if (probe.type === "port-file") look("port_file", "number")(probe.path);
    if (probe.type === "file") requirePossible(source.place("probes.file"), probe.path);
    if (probe.type === "unix") requireSocket(source.place("probes.unix"), probe.path);
    if (probe.type === "discover" && system.sockets === null) throw nothingToDiscover(source);
  }
  variablesFromFiles(settings, source.place("env_file")); // a mistake there costs no state, either
  return { settings, env: valueOf(source, "env"), whileProcess: whileProcessOf(source) };
}

/** The given session, else that of the environment; `null`: none. */
export function sessionOf(source: Source): string | null {
  const own = variable("TOMBSTONE_SESSION");
  return valueOf(source, "session") ?? (own ? parseLabel("TOMBSTONE_SESSION", own) : null);
}

/**
 * The process that the node is to end with; `null`: none.
 *
 * @throws {TombstoneError} there is no such process, or it cannot be seen
 */
export function whileProcessOf(source: Source): Identity | null {
  const pid = valueOf(source, "while_pid");
  if (pid === null) return null;
  const row = system.processes.read(pid);
  if (row !== null && row.isAlive) return { pid, startTime: row.startTime };
  const state = row === null && !system.processes.maySignal(pid)
    ? "it cannot be seen from here"
    : "there is no such process";
  const place = source.place("while_pid");
  throw usageError(
    `Cannot use "${pid}" for ${place}: ${state}`,
    hintFor(place, "PID of a process that runs, such as $$"),
  );
}

function nothingToDiscover({ node, place }: Source) {
  const port = place("port");
  return usageError(
    `Cannot start "${node}" without a probe: this platform does not tell which ports a process listens on`,
    port.startsWith("--")
      ? "say when it is ready with --port N, --port-file PATH, --log REGEX or --no-probe"
      : `say when it is ready with ${port}, ${place("probes.log")} or ${place("probes.none")}`,
  );
}

function hintFor(place: string, value: string): string {
  return place.startsWith("--") ? `${place} ${value}` : `${place}: ${value}`;
}

/** A socket is removed while the node does not run; another file at that path must not be. */
function requireSocket(place: string, path: string): void {
  // A server may create a symbolic link to its socket; the link is never removed.
  const target = statOrNull(path, OF_USER);
  if (!target?.isSocket && (target !== null || !lstatOrNull(path, OF_USER)?.isSymlink)) {
    requireSweepable(place, { path, kind: "socket" });
  }
  parseSocketPath(place, path);
}

/** A path of the user. A place that is closed to this user counts as missing. */
const OF_USER = { place: "elsewhere", unseen: "missing" } as const;

function requireDirectory(place: string, path: string): void {
  if (statOrNull(path, OF_USER)?.isDirectory) return;
  throw usageError(`Cannot use "${path}" for ${place}: no such directory`, `name an existing directory for ${place}`);
}

/** What the server creates at each kind of path, for hints. */
const WANTED: Record<DeclaredKind, string> = {
  leftover: "FILE that the server leaves behind",
  number: "FILE that the server writes its number to",
  socket: "PATH of the server's socket",
};

/** Declared files are removed, so a typo must not cost a directory or a document. */
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

/** Refuses a path that no file can have. */
function requirePossible(place: string, path: string): void {
  const found = lookAtDeclared({ path, kind: "leftover" });
  if (found.kind !== "impossible") return;
  throw usageError(`Cannot use "${path}" for ${place}: ${describeErrno(found.error)}`, hintFor(place, "FILE"));
}

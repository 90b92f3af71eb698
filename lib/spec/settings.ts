/**
 * The settings of a node: converts flags and fields to the form that the tombstone and `node.info` record (snake_case
 * JSON), and back.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { type DeclaredFile, distinct } from "./declared.ts";
import { type AnyField, FIELDS, type Path, type ValueOf } from "./fields.ts";
import { asNumber, asString, asStrings, type Fields, isFields } from "./json.ts";
import { PORT } from "./placeholders.ts";
import { fixedPort } from "./port_request.ts";
import { fileOf, type Probe, readProbe } from "./probes.ts";
import type { Type } from "./field.ts";
import { TYPES } from "./types.ts";
import { kindOfTarget } from "./values.ts";

/** The last address of a node. */
export interface Endpoint {
  /** Address. */
  host: string;
  /** Port. */
  port: number;
  /** Both as a URL. */
  url: string;
}

/** The settings that are recorded as they are, by their path in a record: `timeout_ms`, `stop.timeout_ms`. */
export type RecordedFields = {
  [F in Extract<AnyField, { recorded: string }> as F["recorded"]]: ValueOf<F>;
};

/** The names of their groups: `stop`, `log`. */
export type RecordedGroup = keyof RecordedFields extends infer R ? R extends `${infer Group}.${string}` ? Group : never
  : never;

/** The recorded settings of a node: those of the table, with their groups, and those derived from several of them. */
export type Settings =
  & { [R in keyof RecordedFields as R extends `${string}.${string}` ? never : R]: RecordedFields[R] }
  & {
    [Group in RecordedGroup]: {
      [R in keyof RecordedFields as R extends `${Group}.${infer Name}` ? Name : never]: RecordedFields[R];
    };
  }
  & {
    /** Program and arguments, `{port}` not yet replaced. */
    command: string[];
    /** The conditions for ready; never empty. */
    probes: Probe[];
    /** Names of the variables given with `--env`; values are never recorded. */
    env_names: string[];
    /** Addresses of the nodes that it needs, by name, as given to its command and environment. */
    needs: Record<string, Endpoint>;
  };

/** A source of settings: flags of the command line, a node in `tombstone.json`, or options of the library. */
export interface Source {
  /** Name of the node. */
  node: string;
  /** The given value of each setting: a JSON value of the form of its type, or the text of its flag. */
  given: ReadonlyMap<Path, unknown>;
  /** Absolute directory for relative paths. Read only if there is one, since the current directory may be gone. */
  base: () => string;
  /** What messages call the place of a setting: `--port`, or `"port" of node "web" in tombstone.json`. */
  place: (path: Path) => string;
}

/**
 * The value of a setting: the given one, else its default.
 *
 * @throws {TombstoneError} the given value is invalid
 */
export function valueOf<P extends Path>(source: Source, path: P): ValueOf<Extract<AnyField, { path: P }>> {
  const field: AnyField = FIELDS.find((field) => field.path === path)!;
  const type = TYPES[field.type] as Type<unknown, unknown>;
  const given = source.given.get(path) ?? ("default" in field ? field.default : undefined);
  const value = given === undefined ? type.none : type.parse(given, { name: source.place(path), base: source.base });
  return value as ValueOf<Extract<AnyField, { path: P }>>;
}

/**
 * The settings that a start requests.
 *
 * @param shell the words that run a line in this system's shell
 * @throws {TombstoneError} a value is of another form
 */
export function settingsFrom(source: Source, shell: (line: string) => string[]): Settings {
  const given = valueOf(source, "command");
  const command = typeof given === "string" ? shell(given) : given;
  const probes = probesFrom(source);
  const own = recordedFields((field) => valueOf(source, field.path));
  return { command, ...own, probes, env_names: Object.keys(valueOf(source, "env")), needs: {} };
}

/** The settings that are recorded as they are, each with this value. */
function recordedFields(value: (field: AnyField & { recorded: string }) => unknown): Omit<Settings, Made> {
  const fields: Fields = {};
  for (const field of FIELDS) {
    if (!("recorded" in field)) continue;
    const [name, inner] = field.recorded.split(".") as [string, string | undefined];
    if (inner === undefined) fields[name] = value(field);
    else fields[name] = { ...fields[name] as Fields | undefined, [inner]: value(field) };
  }
  return fields as Omit<Settings, Made>;
}

/** The settings that are made of several fields of the table. */
type Made = "command" | "probes" | "env_names" | "needs";

/** What only a server has. */
const STEP_HAS_NONE = FIELDS.map(({ path }) => path)
  .filter((path) => path.startsWith("probes.") && path !== "probes.fail_log")
  .concat("port", "host", "port_file", "pid_file");

/** The conditions for ready, in the order in which they are checked. */
function probesFrom(source: Source): Probe[] {
  const host = valueOf(source, "host");
  const port = valueOf(source, "port");
  const port_file = valueOf(source, "port_file");
  const none = valueOf(source, "probes.none");
  const any_listener = valueOf(source, "probes.any_listener");
  const status = valueOf(source, "probes.http_status");
  const probes: Probe[] = [];
  if (port !== null && !none) probes.push({ type: "tcp", host, port: fixedPort(port) ?? 0, any_listener });
  if (port_file !== null) probes.push({ type: "port-file", host, path: port_file, any_listener });
  for (const target of valueOf(source, "probes.http")) {
    const needsPort = kindOfTarget(target) === "path" || target.includes(PORT);
    // A path can be requested only where the node listens, so its port must be discovered.
    if (needsPort && probes.length === 0) probes.push({ type: "discover" });
    probes.push({ type: "http", target, status, any_listener });
  }
  for (const path of valueOf(source, "probes.unix")) probes.push({ type: "unix", path, any_listener });
  for (const pattern of valueOf(source, "probes.log")) probes.push({ type: "log", pattern });
  for (const path of valueOf(source, "probes.file")) probes.push({ type: "file", path });
  for (const command of valueOf(source, "probes.exec")) probes.push({ type: "exec", command });
  if (valueOf(source, "probes.notify")) probes.push({ type: "notify" });
  const last = probes.at(-1);
  if (valueOf(source, "once")) {
    const other = STEP_HAS_NONE.find((path) => source.given.has(path));
    if (other === undefined) return [{ type: "exit" }];
    throw usageError(
      `Cannot use ${source.place(other)} with "once": a step is not a server: it is done when it exits`,
      "leave one of them out",
    );
  }
  if (none && last !== undefined) {
    const other = source.place(last.type === "port-file" ? "port_file" : `probes.${last.type}` as Path);
    throw usageError(
      `Cannot use ${source.place("probes.none")} with ${other}: that is a probe`,
      "leave one of them out",
    );
  }
  if (none || source.given.has("probes.alive_for")) {
    probes.push({ type: "alive", for_ms: valueOf(source, "probes.alive_for") });
  }
  return probes.length > 0 ? probes : [{ type: "discover" }];
}

/** The defaults, also for records that cannot be read. */
export const DEFAULTS: Settings = settingsFrom(
  { node: "", given: new Map(), base: () => "/", place: (path) => path },
  () => [],
);

/** Reads recorded settings; a missing or invalid value gets its default. */
export function readSettings(record: Fields): Settings {
  const own = recordedFields((field) => {
    const type = TYPES[field.type] as Type<unknown, unknown>;
    return type.restore(at(record, field.recorded)) ?? at(DEFAULTS, field.recorded);
  });
  const probes = Array.isArray(record.probes) ? record.probes.flatMap(readProbe) : [];
  return {
    command: asStrings(record.command),
    ...own,
    probes: probes.length > 0 ? probes : DEFAULTS.probes,
    env_names: asStrings(record.env_names),
    needs: readNeeds(record.needs),
  };
}

/** The value at a path such as `stop.timeout_ms`. */
function at(fields: Fields, path: string): unknown {
  return path.split(".").reduce<unknown>((value, name) => isFields(value) ? value[name] : undefined, fields);
}

function readNeeds(value: unknown): Record<string, Endpoint> {
  return Object.fromEntries(
    Object.entries(isFields(value) ? value : {}).flatMap(([node, place]) => {
      const host = asString(at({ place }, "place.host"));
      const port = asNumber(at({ place }, "place.port"), 1, 65535);
      const url = asString(at({ place }, "place.url"));
      return host === null || port === null || url === null ? [] : [[node, { host, port, url }]];
    }),
  );
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

/** The settings of a record that has more fields. */
export function settingsOf(record: Settings): Settings {
  const names = Object.keys(DEFAULTS) as (keyof Settings)[];
  return Object.fromEntries(names.map((name) => [name, record[name]])) as unknown as Settings;
}

/**
 * The two durable records of a start: the tombstone (intent) and `node.info` (commit). This module owns
 * their form; the readers accept anything and never throw for what a file holds.
 *
 * @module
 */
import type { Identity } from "../os/types.ts";
import { type DeclaredFile, readDeclared } from "../spec/declared.ts";
import { prepareFile, readSmallFile, replaceFile, syncDir } from "./durable.ts";
import type { NodeDir } from "./node_dir.ts";
import { asAttempt, asNumber, asString, asStrings, type Fields, parseObject } from "../spec/json.ts";
import { type Elsewhere, type Origin, readElsewhere, readOrigin } from "./origin.ts";
import { readTree, treeFields } from "./tree_fields.ts";
import { readSettings, type Settings } from "../spec/recorded_settings.ts";

/** Version of both formats. */
export const SCHEMA = 1;

/** The file `starting`: "this attempt has begun and has not finished". */
export interface Tombstone extends Origin, Settings {
  /** Random UUID of the attempt. */
  attempt: string;
  /** Process that performs it. */
  starter_pid: number;
  /** Its kernel start time. */
  starter_start_time: number;
  /** When it began, ISO 8601. */
  begun_at: string;
  /** Why it failed; `null` while it runs or when it was interrupted. */
  failed: string | null;
  /** When it failed, ISO 8601. */
  failed_at: string | null;
  /** Pid files of older attempts that have not been recovered yet, absolute. */
  older_pid_files: string[];
  /** Files that older attempts declared, which have not been swept yet. */
  older_files: DeclaredFile[];
  /** Where an older attempt of another pid namespace ran that has not been recovered yet; `null`: there is none. */
  elsewhere: Elsewhere | null;
  /** Processes that were proven to be the node's by descent alone, while they are being ended. */
  tree: Identity[];
}

/** A `tombstone run` that started a node, and stops it when its test command ends. */
export interface RunOwner {
  /** Random UUID; the test command's environment holds it. */
  id: string;
  /** The process that runs it. */
  pid: number;
  /** Its kernel start time. */
  start_time: number;
}

/** The file `node.info`: "this attempt has succeeded". */
export interface NodeInfo extends Origin, Settings {
  /** Node name. */
  node_name: string;
  /** Workspace id. */
  workspace: string;
  /** Attempt that started it; `null` in a file of another tool. */
  attempt: string | null;
  /** Port that the node listens on; 0: none. */
  port: number;
  /** Main process of the node. */
  pid: number;
  /** Its kernel start time; `null` in a file of another tool. */
  start_time: number | null;
  /** Process that the launcher became: leader of the node's session. Differs from `pid` for self-made daemons. */
  session_pid: number;
  /**
   * Inode of the log, if the main process had that open for writing when it was ready: as long as the file is held open,
   * somebody of its tree lives, wherever that is looked at from. `null`: it had not.
   */
  held_log: number | null;
  /** Nonce of the server's port file. */
  nonce: string | null;
  /** Address that the probes reached it at. */
  bind_addr: string | null;
  /** What it has shown to speak on its port at its start; `null`: nothing of these, or it was not asked. */
  protocol: "http" | "https" | null;
  /** Other ports that it listens on, where its own was found out. */
  also_listens: number[];
  /** When the attempt began, ISO 8601. */
  started_at: string | null;
  /** When it was ready, ISO 8601. */
  ready_at: string | null;
  /** Milliseconds from the spawn until ready. */
  ready_ms: number | null;
  /** When a stop of it began, ISO 8601; should that be interrupted, nobody joins a server on its way out. */
  stop_began_at: string | null;
  /** Processes that the stop has found to be the node's, and that have no other proof; else empty. */
  tree: Identity[];
  /** The run that it belongs to; `null` for a node that stays. */
  run: RunOwner | null;
}

/** What stands in a record's place. */
export type Found<T> =
  | { kind: "missing" }
  | { kind: "unreadable"; reason: string }
  | { kind: "record"; record: T };

function read<T>(path: string, form: (fields: Fields) => T | null): Found<T> {
  const content = readSmallFile(path, "own");
  if (content.kind !== "text") return content;
  if (content.text.trim() === "") return { kind: "unreadable", reason: "it is empty" };
  const fields = parseObject(content.text);
  if (fields === null) return { kind: "unreadable", reason: "it is not a JSON object" };
  const schema = fields.schema ?? SCHEMA;
  if (typeof schema === "number" && schema > SCHEMA) {
    return { kind: "unreadable", reason: `it has schema ${schema}, of a newer version` };
  }
  const record = schema === SCHEMA ? form(fields) : null;
  return record === null ? { kind: "unreadable", reason: "fields are missing or invalid" } : { kind: "record", record };
}

/** Reads the tombstone, whatever is in its place. */
export function readTombstone(dir: NodeDir): Found<Tombstone> {
  return read(dir.starting, (fields) => {
    const attempt = asAttempt(fields.attempt);
    if (attempt === null) return null;
    return {
      attempt,
      starter_pid: asNumber(fields.starter_pid, 0, 2 ** 31) ?? 0,
      starter_start_time: asNumber(fields.starter_start_time, 0, Number.MAX_SAFE_INTEGER) ?? -1,
      begun_at: asString(fields.begun_at) ?? "",
      failed: asString(fields.failed),
      failed_at: asString(fields.failed_at),
      older_pid_files: asStrings(fields.older_pid_files),
      older_files: readDeclared(fields.older_files),
      elsewhere: readElsewhere(fields.elsewhere),
      tree: readTree(fields.tree),
      ...readOrigin(fields),
      ...readSettings(fields),
    };
  });
}

/**
 * Puts the tombstone in place, durably. Replacing an older one takes it over: the launcher of that
 * attempt finds another name in it and ends.
 *
 * @throws {TombstoneError} the disk refuses; nothing has changed then
 */
export async function writeTombstone(dir: NodeDir, tombstone: Tombstone): Promise<void> {
  // The launcher compares the beginning (see process/launcher.ts). A shell reads its line byte by byte, so it is a short
  // one: what follows is of no use to it, and may be as long as a command line.
  const { attempt, tree, ...rest } = tombstone;
  const begins = JSON.stringify({ schema: SCHEMA, attempt }).slice(0, -1);
  await replaceFile(dir.starting, `${begins},\n${JSON.stringify({ ...rest, ...treeFields(tree) }).slice(1)}\n`);
  await syncDir(dir.path);
}

function readRun(value: unknown): RunOwner | null {
  const { id, pid, start_time } = (value ?? {}) as Fields;
  const run = { id: asAttempt(id), pid: asNumber(pid, 1, 2 ** 22), start_time: asNumber(start_time, 0, Infinity) };
  return run.id === null || run.pid === null || run.start_time === null ? null : run as RunOwner;
}

function readPorts(value: unknown): number[] {
  return Array.isArray(value) ? value.map((port) => asNumber(port, 1, 65535)).filter((port) => port !== null) : [];
}

/** Reads `node.info`, whatever is in its place. */
export function readNodeInfo(dir: NodeDir): Found<NodeInfo> {
  return read(dir.info, (fields) => {
    const pid = asNumber(fields.pid, 2, 2 ** 22);
    if (pid === null || !Number.isInteger(pid)) return null;
    return {
      node_name: asString(fields.node_name) ?? dir.node,
      workspace: asString(fields.workspace) ?? dir.workspace,
      attempt: asAttempt(fields.attempt),
      port: asNumber(fields.port, 0, 65535) ?? 0,
      pid,
      start_time: asNumber(fields.start_time, 0, Number.MAX_SAFE_INTEGER),
      session_pid: asNumber(fields.session_pid, 2, 2 ** 22) ?? pid,
      held_log: asNumber(fields.held_log, 0, Infinity),
      nonce: asString(fields.nonce),
      bind_addr: asString(fields.bind_addr),
      protocol: fields.protocol === "http" || fields.protocol === "https" ? fields.protocol : null,
      also_listens: readPorts(fields.also_listens),
      started_at: asString(fields.started_at),
      ready_at: asString(fields.ready_at),
      ready_ms: asNumber(fields.ready_ms, 0, Number.MAX_SAFE_INTEGER),
      stop_began_at: asString(fields.stop_began_at),
      tree: readTree(fields.tree),
      run: readRun(fields.run),
      ...readOrigin(fields),
      ...readSettings(fields),
    };
  });
}

/** Commits: from the rename on, the attempt has succeeded. */
export async function writeNodeInfo(dir: NodeDir, info: NodeInfo): Promise<void> {
  const { nonce, bind_addr, stop_began_at, tree, run, ...rest } = info;
  const optional = {
    ...(nonce === null ? {} : { nonce }),
    ...(bind_addr === null ? {} : { bind_addr }),
    ...(stop_began_at === null ? {} : { stop_began_at }),
    ...treeFields(tree),
    ...(run === null ? {} : { run }),
  };
  await replaceFile(dir.info, JSON.stringify({ schema: SCHEMA, ...rest, ...optional }, null, 2) + "\n");
  await syncDir(dir.path);
}

/**
 * Prepares `port`: the number, and the server's nonce on a second line.
 *
 * @returns what puts it in place
 */
export function preparePort(dir: NodeDir, port: number, nonce: string | null): Promise<() => void> {
  return prepareFile(dir.port, nonce === null ? `${port}\n` : `${port}\n${nonce}\n`);
}

/** Writes `pid`: the number alone, so that `kill $(cat pid)` is right. */
export async function writePid(dir: NodeDir, pid: number): Promise<void> {
  await replaceFile(dir.pid, `${pid}\n`);
}

/** A port file of a server: its port, and its nonce where it wrote one. */
export interface PortFile {
  /** 1 to 65535. */
  port: number;
  /** Second line. */
  nonce: string | null;
}

/** Parses a port file; `null` while it is missing, incomplete or no port file. */
export function readPortFile(path: string): PortFile | null {
  const content = readSmallFile(path);
  if (content.kind !== "text") return null;
  const [first, second] = content.text.split("\n").map((line) => line.trim());
  const port = /^\d{1,5}$/.test(first ?? "") ? Number(first) : 0;
  if (port < 1 || port > 65535) return null;
  return { port, nonce: second ? second : null };
}

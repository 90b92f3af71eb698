/**
 * `node.info`, the commit record: the attempt has succeeded; names its main process.
 *
 * @module
 */
import {
  identityFields,
  readIdentity,
  readPorts,
  readRecord,
  readTree,
  type RecordResult,
  SCHEMA,
  treeFields,
} from "./record.ts";
import type { Identity } from "../os/rows.ts";
import { replaceFile, syncDir } from "./durable.ts";
import type { NodeDir } from "./node_dir.ts";
import { asAttempt, asNumber, asString, type Fields } from "../spec/json.ts";
import { type Origin, readOrigin } from "./origin.ts";
import { readSettings, type Settings } from "../spec/settings.ts";

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
  /** Process that the launcher became. Differs from `pid` for self-made daemons. */
  leader_pid: number;
  /**
   * Inode of the log, if the main process had it open for writing when it was ready. As long as that file is open, some
   * process of its tree is alive, which can be seen from other namespaces, too. `null`: it was not open.
   */
  held_log: number | null;
  /** Nonce of the server's port file. */
  nonce: string | null;
  /** Address that the probes reached it at. */
  bind_addr: string | null;
  /** Its protocol, detected during its start; `null`: another one, or unknown. */
  protocol: "http" | "https" | null;
  /** Other ports that it listens on, if its own was discovered. */
  also_listens: number[];
  /** When the attempt began, ISO 8601. */
  started_at: string | null;
  /** When it was ready, ISO 8601. */
  ready_at: string | null;
  /** Milliseconds from the spawn until ready. */
  ready_ms: number | null;
  /** When a stop of it began, ISO 8601. If that stop is killed, no start reuses a server that is shutting down. */
  stop_began_at: string | null;
  /** The node's processes that have no other proof, recorded by a stop; else empty. */
  tree: Identity[];
  /** The run that it belongs to; `null` for a node that stays. */
  run: RunOwner | null;
  /** The process that it was to end with; `null`: none. */
  while_process: Identity | null;
}

function readRun(value: unknown): RunOwner | null {
  const { id, pid, start_time } = (value ?? {}) as Fields;
  const run = { id: asAttempt(id), pid: asNumber(pid, 1, 2 ** 22), start_time: asNumber(start_time, 0, Infinity) };
  return run.id === null || run.pid === null || run.start_time === null ? null : run as RunOwner;
}

/** Reads `node.info`; accepts anything in its place. */
export function readNodeInfo(dir: NodeDir): RecordResult<NodeInfo> {
  return readRecord(dir.info, (fields) => {
    const pid = asNumber(fields.pid, 2, 2 ** 22);
    if (pid === null || !Number.isInteger(pid)) return null;
    return {
      node_name: asString(fields.node_name) ?? dir.node,
      workspace: asString(fields.workspace) ?? dir.workspace,
      attempt: asAttempt(fields.attempt),
      port: asNumber(fields.port, 0, 65535) ?? 0,
      pid,
      start_time: asNumber(fields.start_time, 0, Number.MAX_SAFE_INTEGER),
      leader_pid: asNumber(fields.leader_pid, 2, 2 ** 22) ?? pid,
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
      while_process: readIdentity(fields.while_process),
      ...readOrigin(fields),
      ...readSettings(fields),
    };
  });
}

/** Commits: from the rename on, the attempt has succeeded. */
export async function writeNodeInfo(dir: NodeDir, info: NodeInfo): Promise<void> {
  const { nonce, bind_addr, stop_began_at, tree, run, while_process, ...rest } = info;
  const optional = {
    ...(nonce === null ? {} : { nonce }),
    ...(bind_addr === null ? {} : { bind_addr }),
    ...(stop_began_at === null ? {} : { stop_began_at }),
    ...treeFields(tree),
    ...(run === null ? {} : { run }),
    ...identityFields("while_process", while_process),
  };
  await replaceFile(dir.info, JSON.stringify({ schema: SCHEMA, ...rest, ...optional }, null, 2) + "\n");
  await syncDir(dir.path);
}

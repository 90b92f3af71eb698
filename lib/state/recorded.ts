/**
 * `recorded.json`: the settings of a node that a stop and a sweep keep, so that it can be started again.
 *
 * @module
 */
import { asNumber, asString, isFields, parseObject } from "../spec/json.ts";
import { isStep } from "../spec/probes.ts";
import { readSettings, type Settings, settingsOf } from "../spec/settings.ts";
import { readSmallFile, replaceFile } from "./durable.ts";
import type { NodeDir } from "./node_dir.ts";
import type { NodeInfo } from "./node_info.ts";
import { readPorts } from "./record.ts";

/** Version of the format. */
const SCHEMA = 1;

/** Name of the file. */
export const RECORDED = "recorded.json";

/** What is kept of a node. */
export interface Recorded {
  /** Settings of the last start that succeeded; `null`: none did, or they cannot be read. */
  settings: Settings | null;
  /** Address that it was last reached at. */
  bind_addr: string | null;
  /** Its protocol there. */
  protocol: "http" | "https" | null;
  /** Ports chosen for the node and kept from others, the first one first (see port_claims.ts). */
  ports: number[];
  /** First port of the range that they were chosen from; 0: any. */
  ports_from: number;
  /** Of a step, when it was last done, ISO 8601; `null`: it never was, or its last start has not ended so. */
  done_at: string | null;
}

/** Reads the kept settings of a node; never throws, no matter what the file contains. */
export function readRecorded(dir: NodeDir): Recorded {
  return parse(textOf(dir));
}

/** What is kept of a node that was never started. */
const NOTHING: Recorded = {
  settings: null,
  bind_addr: null,
  protocol: null,
  ports: [],
  ports_from: 0,
  done_at: null,
};

function textOf(dir: NodeDir): string {
  const content = readSmallFile(`${dir.path}/${RECORDED}`, "own");
  return content.kind === "text" ? content.text : "";
}

function parse(text: string): Recorded {
  const fields = parseObject(text);
  if (fields?.schema !== SCHEMA) return NOTHING;
  const settings = isFields(fields.settings) ? readSettings(fields.settings) : null;
  return {
    settings: settings === null || settings.command.length === 0 ? null : settings,
    bind_addr: asString(fields.bind_addr),
    protocol: fields.protocol === "http" || fields.protocol === "https" ? fields.protocol : null,
    ports: readPorts(fields.ports),
    ports_from: asNumber(fields.ports_from, 0, 65535) ?? 0,
    done_at: asString(fields.done_at),
  };
}

/**
 * Changes the kept settings of a node. The caller holds the node's lock.
 *
 * @throws {TombstoneError} the disk refuses; the old content is unchanged
 */
export async function updateRecorded(dir: NodeDir, change: Partial<Recorded>): Promise<void> {
  const before = textOf(dir);
  const text = JSON.stringify({ schema: SCHEMA, ...parse(before), ...change }, null, 2) + "\n";
  if (text !== before) await replaceFile(`${dir.path}/${RECORDED}`, text);
}

/**
 * Keeps the settings of a committed start. They are in the commit record as well, so this is called before that is removed.
 *
 * @throws {TombstoneError} as {@linkcode updateRecorded}
 */
export async function keepSettings(dir: NodeDir, info: NodeInfo): Promise<void> {
  if (info.command.length === 0) return; // a record of another tool
  const { bind_addr, protocol } = info;
  const done_at = isStep(info) ? info.ready_at : null;
  await updateRecorded(dir, { settings: settingsOf(info), bind_addr, protocol, done_at });
}

/**
 * Records that the last start of a step was killed or has failed. Only its tombstone says so, and that is about to be
 * removed.
 *
 * @throws {TombstoneError} as {@linkcode updateRecorded}
 */
export async function keepUndone(dir: NodeDir): Promise<void> {
  if (readRecorded(dir).done_at !== null) await updateRecorded(dir, { done_at: null });
}

/**
 * What the two durable records of a start have in common. Whatever a file holds, reading it does not throw.
 *
 * @module
 */
import { asNumber, type Fields, isFields, parseObject } from "../spec/json.ts";
import type { Identity } from "../os/rows.ts";
import { readSmallFile } from "./durable.ts";

/** Version of both formats. */
export const SCHEMA = 1;

/** Result of reading a record. */
export type RecordResult<T> =
  | { kind: "missing" }
  | { kind: "unreadable"; reason: string }
  | { kind: "record"; record: T };

/** The record; `null` if none could be read. */
export function recordOf<T>(found: RecordResult<T>): T | null {
  return found.kind === "record" ? found.record : null;
}

/** Reads a record. `form` converts it to its type, and returns `null` if a field is missing or invalid. */
export function readRecord<T>(path: string, form: (fields: Fields) => T | null): RecordResult<T> {
  const content = readSmallFile(path, "own");
  if (content.kind !== "text") return content;
  if (content.text.trim() === "") return { kind: "unreadable", reason: "it is empty" };
  const fields = parseObject(content.text);
  if (fields === null) return { kind: "unreadable", reason: "it is not a JSON object" };
  const schema = fields.schema ?? SCHEMA;
  if (typeof schema === "number" && schema > SCHEMA) {
    return { kind: "unreadable", reason: `a newer version wrote it (schema ${schema})` };
  }
  const record = schema === SCHEMA ? form(fields) : null;
  return record === null ? { kind: "unreadable", reason: "fields are missing or invalid" } : { kind: "record", record };
}

/** Recorded ports; anything else is left out. */
export function readPorts(value: unknown): number[] {
  if (!Array.isArray(value)) return [];
  return value.filter((port) => Number.isInteger(port) && asNumber(port, 1, 65535) !== null);
}

/** The field `tree`: processes that were proven to be the node's by descent alone, and are being terminated. */
export function readTree(value: unknown): Identity[] {
  return (Array.isArray(value) ? value : []).flatMap((item) => {
    const identity = readIdentity(item);
    return identity === null || identity.pid === 1 ? [] : [identity];
  });
}

/** A process in a record; `null` for anything else. */
export function readIdentity(value: unknown): Identity | null {
  const fields = isFields(value) ? value : {};
  const pid = asNumber(fields.pid, 1, 2 ** 22);
  const startTime = asNumber(fields.start_time, 0, Number.MAX_SAFE_INTEGER);
  return pid === null || startTime === null ? null : { pid, startTime };
}

/** The same for writing; `null` is left out. */
export function identityFields(name: string, identity: Identity | null): Fields {
  return identity === null ? {} : { [name]: { pid: identity.pid, start_time: identity.startTime } };
}

/** The same as {@linkcode readTree} for writing; an empty list is left out. */
export function treeFields(tree: Identity[]): Fields {
  return tree.length === 0 ? {} : { tree: tree.map(({ pid, startTime }) => ({ pid, start_time: startTime })) };
}

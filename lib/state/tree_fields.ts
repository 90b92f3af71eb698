/**
 * Processes in a record: those that have been proven to be the node's by descent alone, and are being ended.
 *
 * @module
 */
import type { Identity } from "../os/types.ts";
import { asNumber, type Fields, isFields } from "../spec/json.ts";

/** The processes of the field `tree`; what is not one is left out. */
export function readTree(value: unknown): Identity[] {
  return (Array.isArray(value) ? value : []).flatMap((item) => {
    const fields = isFields(item) ? item : {};
    const pid = asNumber(fields.pid, 2, 2 ** 22);
    const startTime = asNumber(fields.start_time, 0, Number.MAX_SAFE_INTEGER);
    return pid === null || startTime === null ? [] : [{ pid, startTime }];
  });
}

/** The field, where there is anything to record. */
export function treeFields(tree: Identity[]): Fields {
  return tree.length === 0 ? {} : { tree: tree.map(({ pid, startTime }) => ({ pid, start_time: startTime })) };
}

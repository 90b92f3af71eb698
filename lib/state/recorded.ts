/**
 * `recorded.json`: what a node keeps beyond a stop and a sweep.
 *
 * @module
 */
import { readSmallFile, replaceFile } from "./durable.ts";
import { asNumber, parseObject } from "../spec/json.ts";
import type { NodeDir } from "./node_dir.ts";

/** Version of the format. */
const SCHEMA = 1;

/** Name of the file. */
export const RECORDED = "recorded.json";

/** The port that was last chosen for the node; `null` if none is known, whatever is in the file's place. */
export function rememberedPort(dir: NodeDir): number | null {
  const content = readSmallFile(`${dir.path}/${RECORDED}`, "own");
  const fields = content.kind === "text" ? parseObject(content.text) : null;
  return fields?.schema === SCHEMA && Number.isInteger(fields.port) ? asNumber(fields.port, 1, 65535) : null;
}

/**
 * Remembers the port that was chosen for the node.
 *
 * @throws {TombstoneError} the disk refuses
 */
export async function rememberPort(dir: NodeDir, port: number): Promise<void> {
  if (rememberedPort(dir) === port) return;
  await replaceFile(`${dir.path}/${RECORDED}`, JSON.stringify({ schema: SCHEMA, port }) + "\n");
}

/**
 * The small files with a number for other programs to read, `pid` and `port`, and the port files of servers.
 *
 * @module
 */
import type { NodeInfo } from "./node_info.ts";
import { isPlausiblePid } from "../os/system.ts";
import { type FileOwner, type PreparedFile, prepareFile, readSmallFile, replaceFile } from "./durable.ts";
import type { NodeDir } from "./node_dir.ts";

/** Prepares `port`: the number, and the server's nonce on a second line. */
export function preparePort(dir: NodeDir, port: number, nonce: string | null): Promise<PreparedFile> {
  return prepareFile(dir.port, nonce === null ? `${port}\n` : `${port}\n${nonce}\n`);
}

/** Writes `pid`: the number alone, so that `kill $(cat pid)` is right. */
export async function writePid(dir: NodeDir, pid: number): Promise<void> {
  await replaceFile(dir.pid, `${pid}\n`);
}

/** The pid that a file holds; `null` if it is missing, unreadable or holds something else. */
export function readPid(path: string, owner: FileOwner): number | null {
  const content = readSmallFile(path, owner);
  const pid = content.kind === "text" && /^\s*\d{1,7}\s*$/.test(content.text) ? Number(content.text) : 0;
  return isPlausiblePid(pid) ? pid : null;
}

/** A port file of a server: its port, and its nonce where it wrote one. */
export interface PortFile {
  /** 1 to 65535. */
  port: number;
  /** Second line. */
  nonce: string | null;
}

/** Reads a port file; `null` if it is missing, incomplete or invalid. */
export function readPortFile(path: string): PortFile | null {
  const content = readSmallFile(path, "anybody");
  if (content.kind !== "text") return null;
  const [first, second] = content.text.split("\n").map((line) => line.trim());
  const port = /^\d{1,5}$/.test(first ?? "") ? Number(first) : 0;
  if (port < 1 || port > 65535) return null;
  return { port, nonce: second ? second : null };
}

/** In words, which port file has a nonce other than the recorded one; `null` if none has. */
export function findForeignNonce(dir: NodeDir, info: NodeInfo): string | null {
  if (info.nonce === null) return null;
  const files = [dir.port, ...info.probes.flatMap((probe) => probe.type === "port-file" ? [probe.path] : [])];
  const other = files.find((path) => {
    const nonce = readPortFile(path)?.nonce ?? null;
    return nonce !== null && nonce !== info.nonce;
  });
  return other === undefined ? null : `"${other}" carries the nonce of another server`;
}

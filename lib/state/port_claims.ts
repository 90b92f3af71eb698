/**
 * Ports that were chosen for the nodes of a state directory, and stay theirs: `.ports/3000` names the node.
 *
 * A claim is valid only while the node's `recorded.json` names the port, too. That is written first, so a command that is
 * killed between the two has claimed nothing, and its next start claims the port unless another node has it by then. The
 * claims of a node end when its directory is removed.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { stateError } from "../os/errno.ts";
import { parseObject } from "../spec/json.ts";
import { NAME } from "../spec/names.ts";
import { sleep } from "../async.ts";
import { tombstoneError } from "../errors.ts";
import { isTemporaryName, readSmallFile, removeEntry, replaceFile } from "./durable.ts";
import { isStillLinked, lockNow, removeIntruder } from "./lock.ts";
import { type NodeDir, nodeDir } from "./node_dir.ts";
import { readRecorded } from "./recorded.ts";

/** Directory of the claims; no workspace can have this name. */
const PORTS = ".ports";

/** How to wait for the lock of all claims. */
export interface PortsLockOptions {
  /** How long, in milliseconds. */
  timeoutMs: number;
  /** Ends the wait early. */
  abort?: AbortSignal | undefined;
}

/** Longest pause between two tries, in milliseconds; the lock is held for the choice of one port. */
const MAX_PAUSE_MS = 20;

/**
 * Holds the lock for choosing ports until it is disposed. Of two starts that choose at the same time, the second sees
 * the claim of the first. (Test: "eight nodes that choose at once".)
 *
 * @throws {TombstoneError} another command holds it for the whole time, or the directory cannot be created
 */
export async function lockPorts(stateDir: string, { timeoutMs, abort }: PortsLockOptions): Promise<Disposable> {
  const path = `${stateDir}/${PORTS}`;
  const begun = performance.now();
  for (let pause = 1;; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    const file = openDirectory(path);
    if (file !== null) {
      let isHeld = false;
      try {
        isHeld = lockNow(file, path, "exclusive") && isStillLinked(file, path);
        if (isHeld) return file;
      } finally {
        if (!isHeld) file.close();
      }
    }
    abort?.throwIfAborted();
    if (performance.now() - begun >= timeoutMs) {
      throw tombstoneError(
        `Cannot choose a port: another tombstone command is still choosing one after ${timeoutMs} ms`,
        {
          kind: "lock-timeout",
          hint: "wait longer with --lock-timeout, or name a port with --port N",
        },
      );
    }
    await sleep(pause);
  }
}

/** Opens the directory, which is made where it is missing; `null`: something else was in its place, or it is gone again. */
function openDirectory(path: string): Deno.FsFile | null {
  try {
    Deno.mkdirSync(path, system.files.privateDirectory);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw stateError("make the directory", path, error);
  }
  try {
    if (Deno.lstatSync(path).isDirectory) return Deno.openSync(path);
    removeIntruder(path, "directory");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw stateError("open", path, error);
  }
  return null;
}

/** The node that has claimed a port; `null` if none has. Accepts anything in the file's place. */
export function claimantOfPort(stateDir: string, port: number): NodeDir | null {
  const content = readSmallFile(`${stateDir}/${PORTS}/${port}`, "own");
  const { workspace, node } = (content.kind === "text" ? parseObject(content.text) : null) ?? {};
  if (typeof workspace !== "string" || typeof node !== "string" || !NAME.test(workspace) || !NAME.test(node)) {
    return null;
  }
  const dir = nodeDir(stateDir, workspace, node);
  return readRecorded(dir).ports.includes(port) ? dir : null;
}

/**
 * Claims a port for a node whose record already names it. The caller holds the lock of {@linkcode lockPorts}.
 *
 * @throws {TombstoneError} the disk refuses
 */
export async function claimPort(stateDir: string, port: number, { workspace, node }: NodeDir): Promise<void> {
  // Nobody else writes here now, so any temporary file is what a killed command left.
  for (const { name } of Deno.readDirSync(`${stateDir}/${PORTS}`)) {
    if (isTemporaryName(name)) removeEntry(`${stateDir}/${PORTS}/${name}`);
  }
  await replaceFile(`${stateDir}/${PORTS}/${port}`, JSON.stringify({ schema: 1, workspace, node }) + "\n");
}

/**
 * Removes those of these claims that belong to the node. The caller holds the lock of {@linkcode lockPorts}.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function releasePorts(stateDir: string, dir: NodeDir): void {
  for (const port of readRecorded(dir).ports) {
    if (claimantOfPort(stateDir, port)?.path === dir.path) removeEntry(`${stateDir}/${PORTS}/${port}`);
  }
}

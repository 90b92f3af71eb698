/**
 * Removing the files of a node that does not run: the tool's own, and those that the node declares.
 *
 * @module
 */
import { breathe } from "../os/thread.ts";
import { TombstoneError } from "../errors.ts";
import { findUnixOccupant } from "../process/listeners.ts";
import { connectToUnix } from "../process/connect.ts";
import type { DeclaredFile } from "../spec/declared.ts";
import { lookAtDeclared, removeDeclared } from "../state/declared.ts";
import { isTemporaryName, removeEntry, syncDir } from "../state/durable.ts";
import { attemptOfEntry } from "../state/launch_record.ts";
import { entriesOf, type NodeDir } from "../state/node_dir.ts";
import { claimantOf, isOfTool } from "./claims.ts";

/** What interrupted commands leave in the node's directory: temporary files and launch records. */
function passingEntries(dir: NodeDir): string[] {
  return entriesOf(dir).filter((name) => isTemporaryName(name) || attemptOfEntry(name) !== null);
}

/** Entries of the node's directory that are stale while it does not run, except the tombstone. */
export function runtimeEntries(dir: NodeDir): string[] {
  // node.info is removed last: from it, the next command knows which files were declared.
  return ["port", "pid", ...passingEntries(dir), "node.info"];
}

/**
 * Removes what an interrupted command left beside a running node: the launch record and tombstone of a start that was
 * killed after its commit, and the temporary file of a replacement that was killed before its tombstone was in place.
 */
export async function removeLeftovers(dir: NodeDir): Promise<void> {
  for (const name of passingEntries(dir)) removeEntry(`${dir.path}/${name}`);
  if (removeEntry(dir.starting)) await syncDir(dir.path);
}

/** How to sweep. */
export interface SweepOptions {
  /**
   * Called with a message for each declared file that could not be removed. Without it, such a file is an error: a
   * start that declares it would treat it as a file of its own server.
   */
  onKept?: (message: string) => void;
  /** Called after each step that may have taken time; throws if the directory is no longer the caller's. */
  insist: () => void;
}

/**
 * Removes the runtime files of a node that is not running, all but the tombstone. A declared path that holds another
 * kind of file is left alone.
 *
 * @returns the files that were removed
 * @throws {TombstoneError} a file could not be removed
 */
export async function sweepFiles(
  dir: NodeDir,
  declared: DeclaredFile[],
  { onKept, insist }: SweepOptions,
): Promise<string[]> {
  const swept = new Set<string>();
  for (const file of declared) {
    try {
      const found = lookAtDeclared(file);
      if (found.kind === "other") {
        onKept?.(`left "${file.path}" alone: ${found.reason}`);
        continue;
      }
      const reason = found.kind === "stale" ? whyNotStale(dir, file) : null;
      if (reason !== null) {
        onKept?.(`left "${file.path}" alone: ${reason}`);
        continue;
      }
      if (found.kind === "stale" && found.isSocket && await isInUse(file.path)) continue;
      if (removeDeclared(file)) swept.add(file.path);
    } catch (error) {
      if (!(error instanceof TombstoneError) || onKept === undefined) throw error;
      onKept(error.message);
    }
  }
  insist();
  for (const name of runtimeEntries(dir)) {
    if (removeEntry(`${dir.path}/${name}`)) swept.add(name);
    await breathe();
    insist();
  }
  return [...swept];
}

/** In words, why a declared file must stay though this node does not run; `null`: it is stale. */
function whyNotStale(dir: NodeDir, file: DeclaredFile): string | null {
  if (isOfTool(dir, file.path)) return "it is in tombstone's own state";
  // Whether a socket is in use, a connect shows.
  const claimant = file.kind === "socket" ? undefined : claimantOf(dir, [file])?.claimant;
  return claimant === undefined ? null : `it also belongs to "${claimant.dir.node}", ${claimant.state}`;
}

/**
 * Whether a process listens on a socket, such as an excluded one. No table here shows a listener in another network
 * namespace, but a connect reaches it.
 */
async function isInUse(path: string): Promise<boolean> {
  return await findUnixOccupant(path) !== null || await connectToUnix(path) !== "refused";
}

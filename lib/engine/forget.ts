/**
 * Forgetting a node that does not run: its records, its logs, its claims on ports, and its directory.
 *
 * @module
 */
import { dirname } from "../paths.ts";
import { errnoOf, stateError } from "../os/errno.ts";
import { removeEntry, syncDir } from "../state/durable.ts";
import type { Lock } from "../state/lock.ts";
import { entriesOf, type NodeDir } from "../state/node_dir.ts";
import { lockPorts, releasePorts } from "../state/port_claims.ts";
import { isOfTool } from "./claims.ts";
import { reached, type Recovered } from "./reporter.ts";
import type { StopOptions } from "./request.ts";
import { classify, isKnown, readNodeFiles } from "./state.ts";
import { lockNode, refuseForeign, undo } from "./sweep.ts";

/** What {@linkcode forget} did. */
export interface Forgotten {
  /** `running`: the node runs and is left alone; `nothing`: there is no such node. */
  action: "forgotten" | "running" | "nothing";
  /** What was cleaned up first after a dead start or server; `null` if nothing. */
  recovered: Recovered | null;
  /** Names of files in the node's directory that are not the tool's: they stay, and so does the directory. */
  kept: string[];
}

/**
 * Forgets a node. Leaves a running one alone. Sweeps what a dead one left first, so that no process is forgotten. Can
 * be repeated after it was killed half-way.
 *
 * @throws {TombstoneError} as `sweep`
 */
export async function forget(dir: NodeDir, options: StopOptions): Promise<Forgotten> {
  if (!isKnown(dir)) return { action: "nothing", recovered: null, kept: [] };
  using lock = await lockNode(dir, "forget", options);
  const nodeFiles = readNodeFiles(dir);
  const nodeState = classify(nodeFiles);
  refuseForeign(dir, nodeState, "forget", options.foreign);
  if (nodeState.kind === "running") return { action: "running", recovered: null, kept: [] };
  const recovered = await undo(dir, nodeFiles, nodeState, { lock, ...options });
  const stateDir = dirname(dirname(dir.path));
  {
    using _others = await lockPorts(stateDir, { timeoutMs: options.lockTimeoutMs });
    lock.insist();
    releasePorts(stateDir, dir);
  }
  reached("released", options.reporter);
  return { action: "forgotten", recovered, kept: await removeDirectory(dir, lock) };
}

/** Removes the tool's files, the lock last: while it exists, no other command begins. */
async function removeDirectory(dir: NodeDir, lock: Lock): Promise<string[]> {
  const names = entriesOf(dir).filter((name) => name !== "lock");
  const kept = names.filter((name) => !isOwn(dir, name));
  for (const name of names) {
    lock.insist();
    if (!kept.includes(name)) removeEntry(`${dir.path}/${name}`);
  }
  lock.insist();
  removeEntry(dir.lock);
  if (kept.length > 0) return kept;
  try {
    Deno.removeSync(dir.path);
  } catch (error) {
    // A command that was waiting for the lock may have made the directory again.
    if (!(error instanceof Deno.errors.NotFound) && errnoOf(error) !== "ENOTEMPTY") {
      throw stateError("remove", dir.path, error);
    }
    return [];
  }
  await syncDir(dirname(dir.path));
  return [];
}

/** Whether an entry of the node's directory is the tool's; a server may have files of its own there. */
function isOwn(dir: NodeDir, name: string): boolean {
  return ["pid", "port"].includes(name) || isOfTool(dir, `${dir.path}/${name}`);
}

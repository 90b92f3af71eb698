/**
 * Which processes belong to a node: what was launched for it and what that leads, its descendants, and every process
 * whose environment names one of its attempts, or that has kept the log which the launcher opened for it.
 *
 * @module
 */
import { live } from "../os/scan.ts";
import { system } from "../os/system.ts";
import type { Identity, ProcessRow, ProcessWithVariable } from "../os/rows.ts";
import type { Scan } from "../os/types.ts";
import { asAttempt } from "../spec/json.ts";
import { isLogOf, type NodeDir } from "../state/node_dir.ts";
import type { Proven } from "./proven.ts";

/** What is known of the node's processes. */
export interface Roots {
  /** The node, whose log tells who belongs to a launched process that is gone. */
  dir: NodeDir;
  /** Attempts whose processes are meant. */
  attempts: string[];
  /** Recorded processes: launchers, main processes, daemons. Dead ones count too. */
  processes: Identity[];
  /** Names of processes to leave alone, besides `epmd`. */
  exclude: string[];
  /** Whose processes are meant: the node's, the default, or those of a command beside its server, which keeps the log. */
  of?: "node" | "command";
  /** Variable that names the attempt; default {@linkcode ATTEMPT_VARIABLE}. */
  variable?: string;
  /** Who was proven by earlier looks; each look adds to it. */
  proven?: Proven;
  /** Where to ask who is there; default {@linkcode live}. */
  scan?: Scan;
  /** Processes that other nodes have recorded; asked for only where a member has no proof of its own. */
  others?: () => Identity[];
}

/** epmd(1) is shared by every BEAM node of the user, though the first node starts it. */
export const ALWAYS_EXCLUDED: readonly string[] = ["epmd"];

/** Variable by which a process shows to which attempt it belongs. */
export const ATTEMPT_VARIABLE = "TOMBSTONE_ATTEMPT";

/** Variable by which a process shows which node it belongs to, by the node's directory. */
export const NODE_DIR_VARIABLE = "TOMBSTONE_NODE_DIR";

/**
 * Attempts of a node by their processes alone, for a node whose directory holds no record, since somebody has removed
 * it. The environment that the launcher gave them names directory and attempt; a node that was started from inside has
 * another directory.
 */
export function findAttempts(dir: NodeDir, scan: Scan): string[] {
  const attempts = scan.list(NODE_DIR_VARIABLE)
    .filter((row) =>
      row.value === dir.path && row.pid !== Deno.pid && row.isAlive && system.processes.isNeighbour(row.pid)
    )
    .map((row) => asAttempt(scan.environment(row.pid, ATTEMPT_VARIABLE)));
  return [...new Set(attempts.filter((attempt) => attempt !== null))];
}

/** The live processes of a node, as {@linkcode findTree} finds them; many who ask at the same time share the look. */
export async function lookForTree(roots: Roots): Promise<ProcessRow[]> {
  return treeAmong(await scanOf(roots).look(roots.variable ?? ATTEMPT_VARIABLE), roots);
}

/**
 * The live processes of a node, from one look at the process table. The caller's own process is never
 * among them, nor a node that was started from inside this one.
 */
export function findTree(roots: Roots): ProcessRow[] {
  return treeAmong(scanOf(roots).list(roots.variable ?? ATTEMPT_VARIABLE), roots);
}

/**
 * The same by the proofs alone that come with the rows. To look at everybody's descriptors takes longer than a process
 * lives that becomes another one all the time.
 */
export function findTreeQuickly(roots: Roots): ProcessRow[] {
  return treeAmong(scanOf(roots).list(roots.variable ?? ATTEMPT_VARIABLE), roots, "quick");
}

/** Where to ask about this node. */
export function scanOf(roots: Roots): Scan {
  return roots.scan ?? live;
}

function treeAmong(rows: ProcessWithVariable[], roots: Roots, proofs: "all" | "quick" = "all"): ProcessRow[] {
  const { dir, attempts, processes, exclude, proven, others = null } = roots;
  const members = system.processes.members(rows, {
    values: attempts,
    processes,
    exclude: [...ALWAYS_EXCLUDED, ...exclude],
    log: {
      path: dir.log,
      isLog: (path) => isLogOf(dir, path),
      // The log tells who is the node's: its server is not what a test command or a stop command has left.
      proves: roots.of !== "command" && proofs === "all",
    },
    isProven: (row) => proven?.has(row) === true,
    others,
    scan: scanOf(roots),
  });
  for (const { row, proof } of members) proven?.add(row, proof);
  return members.map(({ row }) => row);
}

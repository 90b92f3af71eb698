/**
 * The order of nodes by their `after`.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { nearest } from "./names.ts";

/** Something with dependencies. */
export interface Ordered {
  /** Names of what must come before it. */
  after: string[];
}

/**
 * Checks that all names in `after` exist, and that there is no cycle.
 *
 * @throws {TombstoneError} the message shows the unknown name, or the cycle
 */
export async function checkOrder(nodes: Map<string, Ordered>): Promise<void> {
  for (const [node, { after }] of nodes) {
    const unknown = after.find((name) => !nodes.has(name));
    if (unknown === undefined) continue;
    const others = [...nodes.keys()].filter((name) => name !== node);
    const hint = others.length === 0
      ? `"${node}" is the only node`
      : `did you mean "${await nearest(unknown, others)}"? There are ${others.join(", ")}`;
    throw usageError(
      `Cannot use "${unknown}" for "after" of node "${node}" in tombstone.json: there is no such node`,
      hint,
    );
  }
  const cycle = findCycle(nodes);
  if (cycle === null) return;
  throw usageError(
    `Cannot order the nodes of tombstone.json: ${cycle.join(" comes after ")}`,
    `take one of them out of "after" of the other`,
  );
}

/** Names along a cycle, the first again at the end; `null` if there is none. */
function findCycle(nodes: Map<string, Ordered>): string[] | null {
  const done = new Set<string>();
  const visit = (node: string, path: string[]): string[] | null => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
    if (done.has(node)) return null;
    for (const name of nodes.get(node)!.after) {
      const cycle = visit(name, [...path, node]);
      if (cycle !== null) return cycle;
    }
    done.add(node);
    return null;
  };
  for (const node of nodes.keys()) {
    const cycle = visit(node, []);
    if (cycle !== null) return cycle;
  }
  return null;
}

/**
 * These nodes and all that they need, dependencies first, else in the order of the file. The order must have been checked.
 */
export function inOrder(nodes: Map<string, Ordered>, wanted: Iterable<string>): string[] {
  const ordered = new Set<string>();
  const visit = (node: string) => {
    if (ordered.has(node)) return;
    for (const name of nodes.get(node)!.after) visit(name);
    ordered.add(node);
  };
  for (const node of wanted) visit(node);
  return [...ordered];
}

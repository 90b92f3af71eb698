/**
 * Names: of nodes and workspaces, of the file that describes nodes, and the one nearest to a mistyped name.
 *
 * @module
 */
import { usageError } from "../errors.ts";

/** Name of the file that describes the nodes of a project, in its directory. */
export const PROJECT_FILE = "tombstone.json";

/** Valid names of workspaces and nodes: no path separator, no leading dot. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Checks the name of a node or a workspace. A node's directory is beside `workspace.json`, so it cannot have that name.
 *
 * @throws {TombstoneError} it is invalid
 */
export function parseName(what: "node" | "workspace", value: string, hint?: string): string {
  if (NAME.test(value) && value !== "workspace.json") return value;
  throw usageError(
    `Cannot use "${value}" as the name of a ${what}: ` +
      "expected 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit",
    hint ?? (what === "node" ? "tombstone start web -- COMMAND" : "--workspace my-project"),
  );
}

/** The candidate that begins with the word, else the most similar one. Loads the comparison when needed. */
export async function nearest(word: string, candidates: string[]): Promise<string> {
  const beginning = candidates.find((candidate) => candidate.startsWith(word));
  if (beginning !== undefined) return beginning;
  // Two swapped letters are the most common typo, but an edit distance of two.
  const letters = (text: string) => [...text].sort().join("");
  const mixed = candidates.find((candidate) => letters(candidate) === letters(word));
  if (mixed !== undefined) return mixed;
  const { closestString } = await import("@std/text/closest-string");
  return closestString(word, candidates) ?? candidates[0]!;
}

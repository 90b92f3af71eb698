/**
 * What nodes and workspaces may be called, and the file that describes nodes.
 *
 * @module
 */
import { usageError } from "../errors.ts";

/** Name of the file that describes the nodes of a project, in its directory. */
export const PROJECT_FILE = "tombstone.json";

/** Names of workspaces and nodes; no path separator, no leading dot. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Checks the name of a node or a workspace. A node's directory stands beside the workspace's record, so it cannot have
 * its name.
 *
 * @throws {TombstoneError} it cannot be one
 */
export function parseName(what: "node" | "workspace", value: string): string {
  if (NAME.test(value) && value !== "workspace.json") return value;
  throw usageError(
    `Cannot use "${value}" as the name of a ${what}: ` +
      "expected 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit",
    what === "node" ? "tombstone start web -- COMMAND" : "--workspace my-project",
  );
}

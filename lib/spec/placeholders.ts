/**
 * Placeholders in commands, URLs and variables, and mistakes in them: `{port}` for the node's own port, `{db.port}`,
 * `{db.host}` and `{db.url}` for a node that it needs.
 *
 * Braces are common in shells, awk, templates and JSON. So only a text that is certainly meant for this tool is a
 * mistake: a known node or a known property around a dot, and `{port}` with its letters mixed up or in another case.
 *
 * @module
 */
import { type TombstoneError, usageError } from "../errors.ts";
import { nearest, PROJECT_FILE } from "./names.ts";

/** Properties of a node. */
export const PROPERTIES = ["port", "host", "url"] as const;

/** Their values. */
export type PropertyValues = Record<typeof PROPERTIES[number], string | number>;

/** A placeholder such as `{db.port}`. */
const REFERENCE: RegExp = /\{([A-Za-z0-9][A-Za-z0-9._-]*)\.(port|host|url)\}/g;

/** The placeholder for the node's own port. */
export const PORT = "{port}";

/** Fills in the node's own port, if it is known. */
export function fillPort(text: string, port: number | null): string {
  return port === null ? text : text.replaceAll(PORT, String(port));
}

/** Fills in the known addresses of other nodes. */
export function fillReferences(text: string, addresses: Record<string, PropertyValues>): string {
  return text.replaceAll(REFERENCE, (reference, node: string, property: keyof PropertyValues) => {
    const address = Object.hasOwn(addresses, node) ? addresses[node] : undefined;
    return address === undefined ? reference : String(address[property]);
  });
}

/** Text that looks like a placeholder; `${db.port}` is the shell's. */
const LOOKALIKE = /(?<!\$)\{ *([A-Za-z0-9][A-Za-z0-9._-]*)\.([A-Za-z_]+) *\}/g;

/** One word in braces; `${port}` is the shell's. */
const WORD = /(?<!\$)\{ *([A-Za-z]{4}) *\}/g;

/** The node whose texts are checked. */
export interface Referrer {
  /** Its name. */
  node: string;
  /** Names of all nodes that it needs, directly or not. */
  needs: string[];
  /** Names of all described nodes. */
  nodes: string[];
  /** Whether it has a port for `{port}`. */
  hasPort: boolean;
}

/**
 * Checks the placeholders of a text.
 *
 * @throws {TombstoneError} one names an unknown node or property; the hint names the nearest
 */
export async function checkReferences(text: string, { node, needs, nodes, hasPort }: Referrer): Promise<void> {
  const where = `of node "${node}" in ${PROJECT_FILE}`;
  const refuse = (found: string, state: string, hint: string): TombstoneError =>
    usageError(`Cannot use "${found}" ${where}: ${state}`, hint);
  for (const [found, other, property] of text.matchAll(LOOKALIKE)) {
    const isProperty = (PROPERTIES as readonly string[]).includes(property!);
    if (nodes.includes(other!) && !isProperty) {
      const near = await nearest(property!, [...PROPERTIES]);
      throw refuse(found, `of a node there are ${PROPERTIES.join(", ")}`, `did you mean "{${other}.${near}}"?`);
    }
    if (!isProperty || needs.includes(other!) && REFERENCE_ALONE.test(found)) continue;
    if (needs.includes(other!)) throw refuse(found, "there are spaces in it", `"{${other}.${property}}"`);
    if (nodes.includes(other!)) throw refuse(found, `it does not come after "${other}"`, `"after": ["${other}"]`);
    const near = await nearest(other!, nodes);
    throw refuse(
      found,
      `there is no node "${other}"`,
      `did you mean "{${near}.${property}}"? It describes ${nodes.join(", ")}`,
    );
  }
  if (text.includes(PORT) && !hasPort) throw refuse(PORT, 'the node has no "port"', '"port": 0 chooses a free one');
  for (const [found, word] of text.matchAll(WORD)) {
    if (found === PORT || [...word!.toLowerCase()].sort().join("") !== "oprt") continue;
    throw refuse(found, "there is no such placeholder", 'did you mean "{port}"?');
  }
}

const REFERENCE_ALONE = new RegExp(`^${REFERENCE.source}$`);

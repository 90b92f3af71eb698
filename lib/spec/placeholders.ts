/**
 * What stands in braces in commands, URLs and variables: `{port}` for the node's own port, `{db.port}`, `{db.host}` and
 * `{db.url}` for a node that it comes after.
 *
 * @module
 */

/** What can be said of a node. */
export const PROPERTIES = ["port", "host", "url"] as const;

/** Where a node is. */
export type Address = Record<typeof PROPERTIES[number], string | number>;

/** Text such as `{db.port}`: where a node that this one comes after is to be found. */
export const REFERENCE: RegExp = /\{([A-Za-z0-9][A-Za-z0-9._-]*)\.(port|host|url)\}/g;

/** What stands for the node's own port. */
export const PORT = "{port}";

/** The text with the node's own port; as it is, where no port is known. */
export function fillPort(text: string, port: number | null): string {
  return port === null ? text : text.replaceAll(PORT, String(port));
}

/** The text with the addresses of other nodes, as far as they are known. */
export function fillReferences(text: string, addresses: Record<string, Address>): string {
  return text.replaceAll(REFERENCE, (reference, node: string, property: keyof Address) => {
    const address = Object.hasOwn(addresses, node) ? addresses[node] : undefined;
    return address === undefined ? reference : String(address[property]);
  });
}

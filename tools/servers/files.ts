/**
 * Whether the files of a project are what they were.
 *
 * @module
 */

/** What belongs to npm and no server. */
const NOT_THE_PROJECT = ["node_modules", "package-lock.json"];

/** Every path below a directory, with a sum of what is in it; those that the server may write are left out. */
export async function sumsOf(dir: string, own: string[], below = ""): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const entry of Deno.readDirSync(`${dir}/${below}`)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (NOT_THE_PROJECT.includes(path) || own.includes(path)) continue;
    if (entry.isDirectory) {
      sums.set(path, "directory");
      for (const [inner, sum] of await sumsOf(dir, own, path)) sums.set(inner, sum);
    } else if (entry.isFile) {
      const digest = await crypto.subtle.digest("SHA-256", Deno.readFileSync(`${dir}/${path}`));
      sums.set(path, new Uint8Array(digest).toHex());
    } else {
      sums.set(path, entry.isSymlink ? Deno.readLinkSync(`${dir}/${path}`) : "special");
    }
  }
  return sums;
}

/** What is different, in words. */
export function differences(before: Map<string, string>, after: Map<string, string>): string[] {
  const all = [...new Set([...before.keys(), ...after.keys()])].sort();
  return all.filter((path) => before.get(path) !== after.get(path)).map((path) =>
    `${path} ${!after.has(path) ? "is gone" : before.has(path) ? "has changed" : "is new"}`
  );
}

/**
 * What a release consists of: `deno task release URL` writes `dist/release/`.
 *
 * Binaries for every system, the bundle, the schema, `install.sh` that knows where the release is to
 * be found, and the sums of all of them.
 *
 * @module
 */
import { ROOT } from "./standard_library.ts";

/** Files of the binaries, and the targets of `deno compile`. */
export const TARGETS: Record<string, string> = {
  "tombstone-linux-x64": "x86_64-unknown-linux-gnu",
  "tombstone-linux-arm64": "aarch64-unknown-linux-gnu",
  "tombstone-macos-x64": "x86_64-apple-darwin",
  "tombstone-macos-arm64": "aarch64-apple-darwin",
  "tombstone-windows-x64.exe": "x86_64-pc-windows-msvc",
};

/** Files that are taken as they are. */
const COPIED = ["dist/tombstone.js", "tombstone.schema.json"];

/** `SHA256SUMS` of the files of a directory, as `sha256sum --check` reads it. */
export async function sumsOf(dir: string): Promise<string> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name !== "SHA256SUMS").sort();
  const lines = await Promise.all(names.map(async (name) => {
    const digest = await crypto.subtle.digest("SHA-256", Deno.readFileSync(`${dir}/${name}`));
    return `${new Uint8Array(digest).toHex()}  ${name}\n`;
  }));
  return lines.join("");
}

/** The installer, for the releases at this URL. */
export function installer(releases: string): string {
  return Deno.readTextFileSync(`${ROOT}/install.sh`).replace("@RELEASES@", releases);
}

if (import.meta.main) {
  const releases = Deno.args[0];
  if (releases === undefined || !URL.canParse(releases)) {
    console.error("Cannot make a release: where it will be found is missing");
    console.error("hint: deno task release https://github.com/OWNER/tombstone/releases");
    Deno.exit(2);
  }
  const dir = `${ROOT}/dist/release`;
  Deno.mkdirSync(dir, { recursive: true });
  for (const path of COPIED) Deno.copyFileSync(`${ROOT}/${path}`, `${dir}/${path.split("/").at(-1)}`);
  Deno.writeTextFileSync(`${dir}/install.sh`, installer(releases), { mode: 0o755 });
  for (const [name, target] of Object.entries(TARGETS)) {
    const args = ["compile", "--quiet", "-A", "--target", target, "-o", `${dir}/${name}`, `${ROOT}/dist/tombstone.js`];
    const { success } = await new Deno.Command(Deno.execPath(), { args }).spawn().status;
    if (!success) Deno.exit(1);
  }
  Deno.writeTextFileSync(`${dir}/SHA256SUMS`, await sumsOf(dir));
}

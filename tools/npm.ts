/**
 * The npm package: `deno task npm` writes `dist/npm/`, and beside it the tarball that `npm pack` makes of that. The bundle
 * must be there already.
 *
 * The package holds the bundle, and takes Deno from the npm registry at the version that makes this package.
 *
 * @module
 */
import { ROOT } from "./standard_library.ts";

const [OUTPUT = `${ROOT}/dist`] = Deno.args;
const DIR = `${OUTPUT}/npm`;

/** Files of the package and where they come from. */
const FILES: Record<string, string> = {
  "tombstone.schema.json": "tombstone.schema.json",
  "bin/tombstone": "npm/tombstone.cjs", // replaced by the install where scripts may run
  "bin/tombstone.cjs": "npm/tombstone.cjs",
  "bin/deno.cjs": "npm/deno.cjs",
  "bin/install.cjs": "npm/install.cjs",
  "README.md": "npm/README.md",
  "LICENSE": "LICENSE",
};

/** The package's description of itself. */
function manifest(): Record<string, unknown> {
  const { version, license } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  return {
    name: "tombstone",
    version,
    description: "Start a server in the background, wait until it is really ready, and never end up with two of them",
    license,
    keywords: ["start-server-and-test", "wait-on", "dev-server", "background", "detached", "readiness", "ci"],
    bin: { tombstone: "bin/tombstone" },
    files: ["tombstone.js", ...Object.keys(FILES)],
    scripts: { postinstall: "node bin/install.cjs" },
    dependencies: { deno: Deno.version.deno },
    engines: { node: ">=18" },
  };
}

Deno.mkdirSync(`${DIR}/bin`, { recursive: true });
for (const [name, source] of Object.entries(FILES)) Deno.copyFileSync(`${ROOT}/${source}`, `${DIR}/${name}`);
Deno.chmodSync(`${DIR}/bin/tombstone`, 0o755);
Deno.writeTextFileSync(`${DIR}/package.json`, JSON.stringify(manifest(), null, 2) + "\n");
const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
const args = ["pack", "--pack-destination", OUTPUT, "--silent"];
const { success } = await new Deno.Command(npm, { args, cwd: DIR }).spawn().status;
Deno.exitCode = success ? 0 : 1;

// Where the Deno is that npm has installed with this package.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

/** What comes before the bundle: no file of the user's project has a say in how it runs. */
const flags = ["run", "-A", "--quiet", "--no-config", "--no-lock", "--node-modules-dir=none"];

/** The executable of the package "deno". That package puts it into place when it is first asked for. */
function findDeno() {
  const dir = path.dirname(require.resolve("deno/package.json"));
  const placed = path.join(dir, process.platform === "win32" ? "deno.exe" : "deno");
  return fs.existsSync(placed) ? placed : require(path.join(dir, "install_api.cjs")).runInstall();
}

module.exports = { findDeno, flags };

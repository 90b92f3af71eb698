// After the install: lets a shell start Deno, so that no Node stands in between and a command takes 0.1 s less. The file
// stays one that Node can run, too, since some package managers have noted by then that it is one for Node.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { findDeno, flags } = require("./deno.cjs");

const single = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command as a script: its first part is one for a shell, and for Node a comment. */
function script(deno) {
  return `#!/bin/sh
":" /*
self=$0
while [ -h "$self" ]; do
  link=$(readlink "$self")
  case $link in
    /?*) self=$link ;;
    ?*) self=\${self%/?*}/$link ;;
  esac
done
dir=\${self%/?*}
[ "$dir" != "$self" ] || dir=.
deno=$dir/${single(deno)}
[ -x "$deno" ] && exec "$deno" ${flags.join(" ")} "$dir/../tombstone.js" "$@"
exec node "$dir/tombstone.cjs" "$@"
*/
require("./tombstone.cjs");
`;
}

function install() {
  if (process.platform === "win32") return; // there is no shell in the way of npm's own .cmd file
  const target = path.join(__dirname, "tombstone");
  const deno = path.relative(__dirname, findDeno());
  if (deno.includes("*/")) return;
  // Whoever runs the command meanwhile finds the one or the other, never half of it.
  const temporary = `${target}.${process.pid}`;
  fs.writeFileSync(temporary, script(deno), { mode: 0o755 });
  fs.renameSync(temporary, target);
}

try {
  install();
} catch (error) {
  // The command as it is works, too; it says itself what is missing.
  console.error(`tombstone is started by way of Node, since the faster way could not be prepared: ${error.message}`);
}

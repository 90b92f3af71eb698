#!/usr/bin/env node
// Runs tombstone by the Deno that is installed beside it. After an install with scripts, a shell does this instead
// (see install.cjs); this file serves where scripts are switched off, and on Windows.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const path = require("node:path");
const { findDeno, flags } = require("./deno.cjs");

let deno;
try {
  deno = findDeno();
} catch (error) {
  console.error(`Cannot run tombstone: ${error.message.split("\n")[0]}`);
  console.error("hint: npm install tombstone, with optional dependencies (they hold the runtime)");
  process.exit(1);
}
const bundle = path.join(__dirname, "..", "tombstone.js");
const child = spawn(deno, [...flags, bundle, ...process.argv.slice(2)], { stdio: "inherit" });
child.on("error", (error) => {
  console.error(`Cannot run "${deno}": ${error.message}`);
  console.error("hint: npm install tombstone, once more");
  process.exit(1);
});
// A terminal sends its signals to both; those that come to this process alone are passed on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));

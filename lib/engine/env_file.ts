/**
 * Variables from files such as `.env`. Each start reads them again, and they are never recorded.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { builtin } from "../os/builtin.ts";
import { isInherited } from "../process/launcher.ts";
import type { Settings } from "../spec/settings.ts";
import { readSmallFile } from "../state/durable.ts";

/**
 * The variables that a server gets from its files. A later file wins over an earlier one, and inherited variables win
 * over all files. Ignores `PORT` if the node has a port.
 *
 * @param place what messages call the place of the setting
 * @throws {TombstoneError} a file is missing or cannot be read, or has a line that is not a variable
 */
export function variablesFromFiles(settings: Settings, place: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const file of settings.env_file) {
    for (const [name, value] of Object.entries(read(file, place))) variables[name] = value;
  }
  for (const name of Object.keys(variables)) {
    const isOwn = name === "PORT" && settings.port_request !== null;
    if (isOwn || isInherited(name, settings.clear_env ? "basics" : "all")) delete variables[name];
  }
  return variables;
}

/** One file; `PATH?` may be missing. Its content may be secret, so no message quotes it. */
function read(file: string, place: string): Record<string, string> {
  const path = file.replace(/\?$/, "");
  const content = readSmallFile(path, "anybody");
  if (content.kind === "missing") {
    if (path !== file) return {};
    const optional = place.startsWith("--") ? `${place} '${path}?'` : `"${path}?"`;
    throw refused(path, place, "it does not exist", `create it, or write ${optional} if it may be missing`);
  }
  if (content.kind === "unreadable") throw refused(path, place, content.reason, `name another file for ${place}`);
  const variables = builtin("node:util").parseEnv(content.text) as Record<string, string>;
  for (const [name, value] of Object.entries(variables)) {
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes("\0")) continue;
    throw refused(
      path,
      place,
      "a line in it is not a variable",
      "each line is NAME=VALUE; a name has letters, digits and _",
    );
  }
  return variables;
}

function refused(path: string, place: string, state: string, hint: string) {
  return usageError(`Cannot use "${path}" for ${place}: ${state}`, hint);
}

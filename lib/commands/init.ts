/**
 * `tombstone init`.
 *
 * @module
 */
import { currentDirectory } from "../os/surroundings.ts";
import type { Call, Result } from "../cli/call.ts";
import { discover } from "../config/discover.ts";
import { EXIT, stateError, TombstoneError, usageError } from "../errors.ts";
import { PROJECT_FILE } from "../state/workspace.ts";
import { VERSION } from "../version.ts";

/** Where editors find what may stand in the file. */
const SCHEMA = `https://jsr.io/@tombstone/tombstone/${VERSION}/tombstone.schema.json`;

/** Runs the command, in the current directory, which becomes a project by it. */
export function run(_call: Call): Promise<Result> {
  const dir = currentDirectory();
  const { nodes, from } = discover((file) => readText(`${dir}/${file}`));
  const names = Object.keys(nodes);
  if (names.length === 0) {
    throw new TombstoneError(
      `Cannot make a ${PROJECT_FILE} for "${dir}": no Procfile, no package.json with a script "dev" or "start", no mix.exs`,
      { kind: "nothing-there", hint: "tombstone start -- COMMAND needs no file", exitCode: EXIT.nothing },
    );
  }
  const path = `${dir}/${PROJECT_FILE}`;
  writeNew(path, JSON.stringify({ $schema: SCHEMA, nodes }, null, 2) + "\n");
  const lines = names.map((name) => `  ${name}: from ${from[name]}`);
  return Promise.resolve({
    exitCode: EXIT.ok,
    document: { file: path, nodes },
    lines: [`wrote ${PROJECT_FILE}`, ...lines, "next: tombstone start"],
  });
}

function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) return null;
    throw stateError("read", path, error, "elsewhere");
  }
}

/** Never writes over anything, and never half of it: the whole file gets its name at once, or not at all. */
function writeNew(path: string, text: string): void {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    Deno.writeTextFileSync(temporary, text, { createNew: true });
    try {
      Deno.linkSync(temporary, path);
    } finally {
      Deno.removeSync(temporary);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw stateError("write", path, error, "elsewhere");
    throw usageError(`Cannot make "${path}": it is there already`, "tombstone start starts what it describes");
  }
}

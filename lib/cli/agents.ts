/**
 * `tombstone init --agents`: the files that coding agents read.
 *
 * @module
 */
import { EXIT, usageError } from "../errors.ts";
import { stateError } from "../os/errno.ts";
import { lstatOrNull, readTextOrNull } from "../os/stat.ts";
import { dirname } from "../paths.ts";
import { newFile, withBlock } from "../spec/agents.ts";
import type { Result } from "./call.ts";

/** Where Claude Code looks for skills of a project. */
const SKILL = ".claude/skills/tombstone/SKILL.md";

/** Puts the block into `AGENTS.md`, or into `CLAUDE.md` where only that is there, and into a skill file. */
export function writeForAgents(dir: string): Result {
  const has = (file: string) => lstatOrNull(`${dir}/${file}`, { place: "elsewhere" }) !== null;
  const instructions = !has("AGENTS.md") && has("CLAUDE.md") ? "CLAUDE.md" : "AGENTS.md";
  // Both are read before one is written.
  const changes = [
    changeOf(`${dir}/${instructions}`, newFile("instructions")),
    changeOf(`${dir}/${SKILL}`, newFile("skill")),
  ];
  const written = changes.filter(({ before, after }) => before !== after);
  for (const { path, after } of written) replace(path, after);
  const lines = changes.map(({ path, before, after }) => {
    const file = path.slice(dir.length + 1);
    return before === null ? `wrote ${file}` : before === after ? `${file} is up to date` : `updated ${file}`;
  });
  const files = changes.map(({ path, before, after }) => ({ path, changed: before !== after }));
  return { exitCode: EXIT.ok, document: { files }, lines };
}

interface Change {
  path: string;
  /** `null`: there is no such file. */
  before: string | null;
  after: string;
}

function changeOf(path: string, fresh: string): Change {
  const before = readTextOrNull(path, { place: "elsewhere" });
  const after = before === null ? fresh : withBlock(before);
  if (after !== null) return { path, before, after };
  throw usageError(
    `Cannot update "${path}": of the two lines around tombstone's block, one is missing or there twice`,
    "remove both lines, and what tombstone wrote between them; then tombstone init --agents",
  );
}

/** The whole file or nothing; a symbolic link stays one, and a file keeps its mode. */
function replace(path: string, text: string): void {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    const isNew = lstatOrNull(path, { place: "elsewhere" }) === null;
    const target = isNew ? path : Deno.realPathSync(path);
    const temporary = `${target}.${crypto.randomUUID()}.tmp`;
    try {
      if (!isNew) Deno.copyFileSync(target, temporary); // with its mode
      Deno.writeTextFileSync(temporary, text);
      Deno.renameSync(temporary, target);
    } catch (error) {
      if (lstatOrNull(temporary, { place: "elsewhere" }) !== null) Deno.removeSync(temporary);
      throw error;
    }
  } catch (error) {
    throw stateError("write", path, error, "elsewhere");
  }
}

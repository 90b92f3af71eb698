/**
 * `tombstone init --agents`: the files that coding agents read.
 *
 * @module
 */
import { EXIT, usageError } from "../errors.ts";
import { lstatOrNull, readTextOrNull } from "../os/stat.ts";
import { newFile, withBlock } from "../spec/agents.ts";
import type { Result } from "./call.ts";
import { replaceFile } from "./replace_file.ts";

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
  for (const { path, after } of written) replaceFile(path, after);
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

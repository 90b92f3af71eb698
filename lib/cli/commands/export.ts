/**
 * `tombstone export`.
 *
 * @module
 */
import { currentDirectory, fromHere } from "../../os/surroundings.ts";
import { basename } from "../../paths.ts";
import type { Call, Result } from "../call.ts";
import { requireDescribed } from "../../spec/project_file.ts";
import { inOrder } from "../../spec/order.ts";
import { prepare } from "../../engine/preflight.ts";
import { stateError } from "../../os/errno.ts";
import { lstatOrNull } from "../../os/stat.ts";
import { EXIT, type TombstoneError, tombstoneError, usageError } from "../../errors.ts";
import { compose } from "../../export/compose.ts";
import { kubernetes } from "../../export/kubernetes.ts";
import type { ExportedFile, ExportedNode, ExportedProject } from "../../export/node.ts";
import { systemd } from "../../export/systemd.ts";
import { findProgram, searchPath } from "../../process/executable.ts";
import { projectOf } from "../members.ts";
import { replaceFile } from "../replace_file.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const [engine, ...wanted] = call.nodes as [string, ...string[]];
  const project = await exportedProject(call);
  const names = inOrder(project.nodes, wanted.length === 0 ? project.nodes.keys() : wanted)
    .filter((name) => wanted.length === 0 || wanted.includes(name));
  const image = call.flags.text("image") ?? null;
  if (image !== null && engine === "systemd") {
    throw usageError(
      "Cannot use --image with systemd: it runs programs, not images",
      "tombstone export compose --image IMAGE",
    );
  }
  const files = engine === "systemd"
    ? systemd(project, names, (program, cwd) => findProgram(program, { cwd, path: searchPath() }) ?? program)
    : engine === "compose"
    ? compose(project, names, image)
    : kubernetes(project, names, image);
  const output = call.flags.text("output");
  if (output !== undefined) return write(fromHere(output), files, call.flags.has("force") ? "replace" : "keep");
  if (call.flags.has("force")) throw usageError("Cannot use --force without --output", "--output DIR --force");
  const printed = files.map((file) => ({ ...file, path: null }));
  // Each is a file of its own, so its name stands above it, as systemctl cat has it.
  const lines = files.flatMap(({ name, text }, at) => [
    ...(files.length > 1 ? [...(at > 0 ? [""] : []), `# ${name}`] : []),
    ...text.trimEnd().split("\n"),
  ]);
  return { exitCode: EXIT.ok, document: { files: printed }, lines, form: "file" };
}

async function exportedProject(call: Call): Promise<ExportedProject> {
  const { project: dir } = await call.workspace();
  const described = await projectOf(call);
  if (dir === null) currentDirectory(); // throws, since it is gone
  if (dir === null || described.size === 0) {
    throw tombstoneError(`Cannot export anything of "${dir}": no tombstone.json describes a node`, {
      kind: "nothing-there",
      hint: "tombstone init writes a first one",
    });
  }
  for (const name of call.nodes.slice(1)) await requireDescribed(described, name, "export");
  const nodes = new Map<string, ExportedNode>();
  for (const [name, { source, after }] of described) {
    nodes.set(name, { name, ...prepare(source), after });
  }
  return { name: basename(dir), dir, nodes };
}

/** Without `--force`, no file is replaced, and none is written if one is there already. */
function write(dir: string, files: ExportedFile[], present: "keep" | "replace"): Result {
  const written = files.map((file) => ({ ...file, path: `${dir}/${file.name}` }));
  const options = { place: "elsewhere" } as const;
  const there = present === "replace" ? [] : written.filter(({ path }) => lstatOrNull(path, options) !== null);
  if (there.length > 0) throw thereAlready(there);
  for (const file of written) {
    if (present === "replace") replaceFile(file.path, file.text);
    else writeNew(dir, file);
  }
  return { exitCode: EXIT.ok, document: { files: written }, lines: written.map(({ path }) => `wrote ${path}`) };
}

function writeNew(dir: string, { path, text }: { path: string; text: string }): void {
  try {
    Deno.mkdirSync(dir, { recursive: true });
    Deno.writeTextFileSync(path, text, { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw thereAlready([{ path }]);
    throw stateError("write", path, error, "elsewhere");
  }
}

function thereAlready(files: { path: string }[]): TombstoneError {
  return usageError(
    `Cannot write ${files.map(({ path }) => `"${path}"`).join(", ")}: ${
      files.length === 1 ? "it is" : "they are"
    } there already`,
    "replace with --force, or choose another directory with --output",
  );
}

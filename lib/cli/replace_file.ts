/**
 * Replacing a file of the user's: by the whole new one, or not at all.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { stateError } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { dirname } from "../paths.ts";

/** Writes or replaces a file, and makes its directory; a symbolic link stays one, and a file keeps its mode. */
export function replaceFile(path: string, text: string): void {
  const kind = typeOrNull(path);
  if (kind !== null && kind !== "file") {
    const state = kind === "directory" ? "it is a directory" : "it is not a regular file";
    throw usageError(`Cannot write "${path}": ${state}`, `mv "${path}" "${path}.old"`);
  }
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

/** What stands at a path, behind symbolic links; `null`: nothing, or it cannot be seen. */
function typeOrNull(path: string): "file" | "directory" | "other" | null {
  try {
    const { isFile, isDirectory } = Deno.statSync(path);
    return isFile ? "file" : isDirectory ? "directory" : "other";
  } catch {
    return null;
  }
}

/**
 * Replacing a file of the user's: by the whole new one, or not at all.
 *
 * @module
 */
import { stateError } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { dirname } from "../paths.ts";

/** Writes or replaces a file, and makes its directory; a symbolic link stays one, and a file keeps its mode. */
export function replaceFile(path: string, text: string): void {
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

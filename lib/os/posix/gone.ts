/**
 * Whether a directory has been deleted, by the files alone. A missing path is not enough: its file system may not be
 * mounted, and it may exist in another mount namespace (sandbox, container).
 *
 * @module
 */
import { dirname } from "../../paths.ts";
import { errnoOf } from "../errno.ts";
import type { Witness } from "../files.ts";

/**
 * Whether it has been deleted: its parent must exist and not be empty, since an empty or missing one may be the mount point
 * of a file system that is not mounted. (Test: "what is not mounted, or cannot be looked at, is not
 * called gone".)
 */
export function isGoneByParent(path: string, { view }: Pick<Witness, "view">): boolean {
  return lookAt(path) === "missing" && view === "own" && holdsSomething(dirname(path));
}

/** What is at a path. */
export function lookAt(path: string): "there" | "missing" | "unknown" {
  try {
    Deno.lstatSync(path);
    return "there";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "missing";
    if (errnoOf(error) === null && !(error instanceof Deno.errors.NotADirectory)) throw error;
    return "unknown";
  }
}

/** Whether a directory has any entry. */
export function holdsSomething(path: string): boolean {
  try {
    for (const _ of Deno.readDirSync(path)) return true;
    return false;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return false;
  }
}

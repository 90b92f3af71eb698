/**
 * Whether a directory has been deleted. A missing path is not enough: its file system may not be mounted, and it may exist
 * in another mount namespace (sandbox, container).
 *
 * @module
 */
import { dirname } from "../../paths.ts";
import { holdsSomething, isGoneByParent, lookAt } from "../posix/gone.ts";
import type { Witness } from "../files.ts";
import { errnoOf } from "../errno.ts";

/**
 * Whether a directory has certainly been deleted, and not made again.
 *
 * It has, if the kernel says so about the working directory of a process in it; else as by {@linkcode isGoneByParent}.
 */
export function isGone(path: string, { pid, view }: Witness): boolean {
  if (lookAt(path) !== "missing") return false;
  if (pid !== null) {
    const directory = linkOf(`/proc/${pid}/cwd`);
    if (directory?.endsWith(" (deleted)") && `${directory.slice(0, -10)}/`.startsWith(`${path}/`)) return true;
    const seenByIt = linkOf(`/proc/${pid}/root`) === null ? "unknown" : lookAt(`/proc/${pid}/root${path}`);
    if (seenByIt === "there") return false;
    if (seenByIt === "missing") return holdsSomething(dirname(path));
  }
  return isGoneByParent(path, { view });
}

function linkOf(path: string): string | null {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}

/**
 * Whether a directory has been deleted. That a path leads nowhere is not enough: its file system may not be mounted, and
 * another mount namespace (sandbox, container) may show it.
 *
 * @module
 */
import { dirname } from "@std/path/posix/dirname";
import { errnoOf } from "../../errno.ts";

/** What else is known of the directory. */
export interface Witness {
  /** A living process that was started there; `null` if none is known. */
  pid: number | null;
  /** Whether the directory was seen in the mount namespace of this process. */
  view: "own" | "other";
}

/**
 * Whether a directory has been deleted. What cannot be told counts as not deleted; so does one that was made anew.
 *
 * It is deleted if the kernel says so of the working directory of a process in it. Else its parent must be there and
 * hold something, since an empty one may be the place of a file system that is not mounted, and so may a missing one.
 * (Test: "what is not mounted, or cannot be looked at, is not called gone".)
 */
export function isGone(path: string, { pid, view }: Witness): boolean {
  if (look(path) !== "missing") return false;
  if (pid !== null) {
    const directory = linkOf(`/proc/${pid}/cwd`);
    if (directory?.endsWith(" (deleted)") && `${directory.slice(0, -10)}/`.startsWith(`${path}/`)) return true;
    const seenByIt = linkOf(`/proc/${pid}/root`) === null ? "unknown" : look(`/proc/${pid}/root${path}`);
    if (seenByIt === "there") return false;
    if (seenByIt === "missing") return holdsSomething(dirname(path));
  }
  return view === "own" && holdsSomething(dirname(path));
}

function look(path: string): "there" | "missing" | "unknown" {
  try {
    Deno.lstatSync(path);
    return "there";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "missing";
    if (errnoOf(error) === null && !(error instanceof Deno.errors.NotADirectory)) throw error;
    return "unknown";
  }
}

function linkOf(path: string): string | null {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}

function holdsSomething(path: string): boolean {
  try {
    for (const _ of Deno.readDirSync(path)) return true;
    return false;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return false;
  }
}

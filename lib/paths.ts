/**
 * Paths as text, by the rules of the operating system, without touching the file system.
 *
 * The functions of `@std/path` that detect the system themselves load Node's `process`, which costs every command 30 ms; so
 * the rules are chosen here.
 *
 * @module
 */
import { basename as posixBasename } from "@std/path/posix/basename";
import { dirname as posixDirname } from "@std/path/posix/dirname";
import { resolve as posixResolve } from "@std/path/posix/resolve";

/** Last part of a path. */
export const basename = (path: string): string => posixBasename(path);

/** The path of the directory that it is in. */
export const dirname = (path: string): string => posixDirname(path);

/** Whether it is absolute. */
export const isAbsolute = (path: string): boolean => path.startsWith("/");

/** Whether an absolute path without `.` and `..` is such a directory, or something below it. */
export const isWithin = (path: string, dir: string): boolean =>
  path === dir || path.startsWith(dir === "/" ? dir : `${dir}/`);

/** The absolute path without `.` and `..`; the current directory is read only if no part is absolute. */
export const resolve = (...parts: string[]): string => posixResolve(...parts);

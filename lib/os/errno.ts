/**
 * Errors of the operating system: in words, and as expected errors.
 *
 * @module
 */
import { TombstoneError, tombstoneError } from "../errors.ts";

/**
 * The errno name (`ENOSPC`, `EACCES`, …) of an operating-system error, or `null`. If Deno knows neither a class nor a
 * code for it, only its text has the number.
 */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string") return code;
  if (error instanceof TypeError) return null;
  if (error instanceof Deno.errors.InvalidData) return "EILSEQ"; // a name that Deno cannot give as text
  if (error instanceof Deno.errors.Interrupted) return "EINTR";
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? null : NUMBERS[Number(number)] ?? `error ${number}`;
}

/** Numbers of errno(3) without a code in Deno. */
const NUMBERS: Record<number, string> = Deno.build.os === "darwin"
  ? {
    3: "ESRCH",
    6: "ENXIO",
    23: "ENFILE",
    27: "EFBIG",
    41: "EPROTOTYPE",
    45: "ENOTSUP",
    47: "EAFNOSUPPORT",
    70: "ESTALE",
    77: "ENOLCK",
  }
  : {
    3: "ESRCH",
    6: "ENXIO",
    23: "ENFILE",
    27: "EFBIG",
    37: "ENOLCK",
    91: "EPROTOTYPE",
    95: "ENOTSUP",
    97: "EAFNOSUPPORT",
    116: "ESTALE",
  };

/** In words, what an errno says about a file. */
const STATES: Record<string, string> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is exhausted",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  ENOTEMPTY: "it is a directory that is not empty",
  ENOENT: "no such file or directory",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  EMFILE: "too many open files",
  ENFILE: "too many open files in the whole system",
  EFBIG: "the file would be larger than allowed",
  EINTR: "interrupted by a signal",
  ENOLCK: "no locks available",
  ENOTSUP: "not supported by this file system",
  ESTALE: "the file system is no longer there",
  ENXIO: "no such device or address",
  EIO: "input/output error",
  EILSEQ: "its real path is not valid UTF-8",
};

/** In words, what an operating-system error says about a file. */
export function describeErrno(error: unknown): string {
  const errno = errnoOf(error) ?? "unknown error";
  return STATES[errno] ?? errno;
}

/** Whose file an error is about: one of the state directory, so that choosing another one helps, or any other. */
export type FilePlace = "state" | "elsewhere";

/**
 * Turns an operating-system error at a file into an expected one that names the file. Anything without an errno is a bug
 * and is returned as it is.
 */
export function stateError(
  action: string,
  path: string,
  error: unknown,
  place: FilePlace = "state",
): unknown {
  const errno = errnoOf(error);
  if (errno === null || error instanceof TombstoneError) return error;
  return tombstoneError(`Cannot ${action} "${path}": ${describeErrno(error)}`, {
    kind: "state",
    hint: hintFor(errno, path, path.startsWith("/proc") ? "elsewhere" : place),
    details: { path, errno },
    cause: error,
  });
}

function hintFor(errno: string, path: string | null, place: FilePlace): string {
  const orElsewhere = place === "state" ? ", or choose another place with --state-dir" : "";
  switch (errno) {
    case "EMFILE":
      return "raise the limit of open files: ulimit -n 4096";
    case "EFBIG":
      return `raise the limit of file sizes with ulimit -f${orElsewhere}`;
    case "ENOSPC":
    case "EDQUOT":
      return `make room on that disk${orElsewhere}`;
    default:
      if (path === null) return "tombstone doctor";
      return place === "state" ? `make the path usable for this user${orElsewhere}` : `ls -ld "${path}"`;
  }
}

/**
 * Turns any error of the operating system into an expected one, because a failing disk is not a bug of this tool.
 * Returns other errors unchanged.
 */
export function systemError(error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === null || error instanceof TombstoneError || error instanceof TypeError) return error;
  return tombstoneError(`Cannot go on: ${(error as Error).message}`, {
    kind: "state",
    hint: hintFor(errno, null, "elsewhere"),
    details: { errno },
    cause: error,
  });
}

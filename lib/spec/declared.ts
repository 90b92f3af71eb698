/**
 * Declarations of files outside the state directory that are stale whenever the node does not run.
 *
 * @module
 */
import { asPath, type Fields } from "./json.ts";

/**
 * What may be removed at a declared path. `leftover`: a file, a socket or a symbolic link, since the user has named it;
 * `number`: a file that looks like a port or pid file; `socket`: a socket. Never a directory, a device or a FIFO.
 */
export type DeclaredKind = "leftover" | "number" | "socket";

/** A declared file. */
export interface DeclaredFile {
  /** Absolute. */
  path: string;
  /** What may be removed there. */
  kind: DeclaredKind;
}

/** Without duplicates. */
export function distinct(files: DeclaredFile[]): DeclaredFile[] {
  return [...new Map(files.map((file) => [`${file.kind} ${file.path}`, file])).values()];
}

/** Reads recorded declarations; invalid ones are left out. */
export function readDeclared(value: unknown): DeclaredFile[] {
  const items: unknown[] = Array.isArray(value) ? value : [];
  return items.flatMap((item): DeclaredFile[] => {
    const { path, kind } = (item ?? {}) as Fields;
    const absolute = asPath(path);
    if (absolute === null || !(KINDS as unknown[]).includes(kind)) return [];
    return [{ path: absolute, kind: kind as DeclaredKind }];
  });
}

const KINDS: DeclaredKind[] = ["leftover", "number", "socket"];

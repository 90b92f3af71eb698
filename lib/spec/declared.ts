/**
 * Files outside the state directory that are stale whenever a node does not run, since the user said so or the server
 * writes them.
 *
 * @module
 */
import { asPath, type Fields } from "./json.ts";

/**
 * What may be removed in a declared place. `leftover`: a file, a socket or a symbolic link, because the user named it as
 * such; `number`: a file that looks like a port or pid file; `socket`: a socket. Never a directory, a device or a FIFO.
 */
export type DeclaredKind = "leftover" | "number" | "socket";

/** A declared file. */
export interface DeclaredFile {
  /** Absolute. */
  path: string;
  /** What may be removed there. */
  kind: DeclaredKind;
}

/** Each of them once. */
export function distinct(files: DeclaredFile[]): DeclaredFile[] {
  return [...new Map(files.map((file) => [`${file.kind} ${file.path}`, file])).values()];
}

/** Reads recorded declarations; what is of another form is left out. */
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

/**
 * A source of settings: flags of the command line, a node in `tombstone.json`, or options of the library.
 *
 * @module
 */
import { type AnyField, FIELDS, type Path, type ValueOf } from "./fields.ts";
import type { Type } from "./type.ts";
import { TYPES } from "./types.ts";

/** The given values, and their names for messages. */
export interface Source {
  /** Name of the node. */
  node: string;
  /** What is given for each setting: a JSON value of the form of its type, or what its flag says. */
  given: ReadonlyMap<Path, unknown>;
  /** Absolute directory for relative paths. Read only if there is one, since the current directory may be gone. */
  base: () => string;
  /** What messages call the place of a setting: `--port`, or `"port" of node "web" in tombstone.json`. */
  place: (path: Path) => string;
}

/**
 * The value of a setting: the given one, else its default.
 *
 * @throws {TombstoneError} the given value is invalid
 */
export function valueOf<P extends Path>(source: Source, path: P): ValueOf<Extract<AnyField, { path: P }>> {
  const field: AnyField = FIELDS.find((field) => field.path === path)!;
  const type = TYPES[field.type] as Type<unknown, unknown>;
  const given = source.given.get(path) ?? ("default" in field ? field.default : undefined);
  const value = given === undefined ? type.none : type.parse(given, { name: source.place(path), base: source.base });
  return value as ValueOf<Extract<AnyField, { path: P }>>;
}

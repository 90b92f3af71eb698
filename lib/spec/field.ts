/**
 * One entry of the table of settings, and what follows from it by a rule.
 *
 * @module
 */
import { TYPES, type Types } from "./types.ts";

/** One setting. */
export interface Field {
  /** Its path in `tombstone.json`, with dots; as an option of the library, in camel case. */
  path: string;
  /** Type of its value. */
  type: keyof Types;
  /** Flag of `start`, without the dashes; default: none. */
  flag?: string;
  /** Placeholder of the flag's value; default: that of the type. */
  word?: string;
  /** `"file"`: it can be given in `tombstone.json` alone; default: everywhere. */
  only?: "file";
  /** A value in JSON, for hints and pages; default: that of the type. */
  example?: string;
  /** One line for the help, the schema and the library. */
  help: string;
  /** Its default, as a user would write it; without one: nothing, none, or `false`. */
  default?: string;
  /** The default in words, if the value alone does not say it; `{default}` is replaced by the value. */
  otherwise?: string;
  /** Its path in records, with dots; without one, it is recorded as part of something else, or not at all. */
  recorded?: string;
}

/** `probes.http_status` as an option of the library: `probes.httpStatus`. */
export function optionOf(path: string): string {
  return path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** An example of a value, in JSON. */
export function exampleOf({ type, example }: Field): string {
  return example ?? TYPES[type].example;
}

/** The default of a setting for the help; `null` if it needs no mention. */
export function otherwiseOf(field: Field): string | null {
  const { default: value, otherwise = value } = field;
  return otherwise?.replace("{default}", value ?? "") ?? null;
}

/** The line of the help: what a setting does, and its default. */
export function helpOf(field: Field): string {
  const otherwise = otherwiseOf(field);
  return otherwise === null ? field.help : `${field.help} (${otherwise})`;
}

/**
 * One entry of the table of settings, and what follows from it by a rule.
 *
 * @module
 */
import type { Types } from "./types.ts";

/** One setting. */
export interface Field {
  /** Where it stands in `tombstone.json`, with dots; as an option of the library, in camel case. */
  path: string;
  /** Type of its value. */
  type: keyof Types;
  /** Flag of `start`, without the dashes; default: none. */
  flag?: string;
  /** Placeholder of the flag's value; default: that of the type. */
  word?: string;
  /** `"file"`: it can be given in `tombstone.json` alone; default: everywhere. */
  only?: "file";
  /** One line for the help, the schema and the library. */
  help: string;
  /** What holds where it is not given, as one would write it; default: nothing, none, or `false`. */
  default?: string;
  /** That in words, where the value alone does not say it; `{default}` in it stands for the value. */
  otherwise?: string;
  /** Where its value stands in records, with dots; default: it is recorded as part of something else, or not at all. */
  recorded?: string;
}

/** `probes.http_status` as an option of the library: `probes.httpStatus`. */
export function optionOf(path: string): string {
  return path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** What holds where a setting is not given, for people; `null`: nothing to speak of. */
export function otherwiseOf(field: Field): string | null {
  const { default: value, otherwise = value } = field;
  return otherwise?.replace("{default}", value ?? "") ?? null;
}

/** The line of the help: what a setting does, and what holds without it. */
export function helpOf(field: Field): string {
  const otherwise = otherwiseOf(field);
  return otherwise === null ? field.help : `${field.help} (${otherwise})`;
}

/**
 * The form of an entry of the table of settings, and of its type: how a value is written, checked, parsed, and read back from
 * a record.
 *
 * @module
 */
import { asNumber, asStrings } from "./json.ts";
import type { PortRequest } from "./port_request.ts";

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
  /**
   * `"file"`: it can be given in `tombstone.json` alone; `"call"`: it belongs to one start, so only a flag or an option of
   * the library gives it; default: everywhere.
   */
  only?: "file" | "call";
  /** A value in JSON, for hints and pages; default: that of the type. */
  example?: string;
  /** One line for the help, the schema and the library. */
  help: string;
  /** Its default, as a user would write it. A setting without one is off or empty. */
  default?: string;
  /** The default in words, if the value alone does not say it; `{default}` is replaced by the value. */
  otherwise?: string;
  /** Its path in records, with dots; without one, it is recorded as part of something else, or not at all. */
  recorded?: string;
}

/** Whether a setting can be given in `tombstone.json`, or as an option of the library. */
export function isGivenIn({ only }: Field, kind: "file" | "program"): boolean {
  return only === undefined || only === (kind === "file" ? "file" : "call");
}

/** `probes.http_status` as an option of the library: `probes.httpStatus`. */
export function optionOf(path: string): string {
  return path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
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

/** Every type, by the name that the table uses. */
export interface Types {
  /** True or false. */
  boolean: Type<boolean, boolean>;
  /** A text. */
  string: Type<string>;
  /** Texts. */
  "string[]": Type<string[], string[]>;
  /** Names of nodes. */
  names: Type<string[], string[]>;
  /** Program and arguments, or a line for the shell. */
  command: Type<string[] | string, string[]>;
  /** Variables by name. */
  variables: Type<Record<string, string>, Record<string, string>>;
  /** A small whole number. */
  count: Type<number>;
  /** A port, or how one is chosen. */
  port: Type<PortRequest>;
  /** A host name or an address. */
  host: Type<string>;
  /** A duration, in milliseconds. */
  duration: Type<number>;
  /** A size, in bytes. */
  size: Type<number>;
  /** A path, absolute. */
  path: Type<string>;
  /** Paths, absolute. */
  "path[]": Type<string[], string[]>;
  /** Regular expressions. */
  "regex[]": Type<string[], string[]>;
  /** Paths on the node's port, or URLs. */
  "target[]": Type<string[], string[]>;
  /** Ranges of HTTP statuses, first to last. */
  statuses: Type<[number, number][]>;
  /** A pid. */
  pid: Type<number>;
  /** A label. */
  label: Type<string>;
  /** A signal that can stop a server. */
  signal: Type<Deno.Signal>;
}

/** A part of a JSON schema. */
export type Schema = Record<string, unknown>;

/** Where a value stands. */
export interface ValuePlace {
  /** What messages call it: `--port`, or `"port" of node "web" in tombstone.json`. */
  name: string;
  /** The absolute directory that relative paths begin at. Asked for only where one does: the current one may be gone. */
  base: () => string;
}

/** One type: `T` is its parsed value, `None` its value if nothing is given. */
export interface Type<T, None = null> {
  /** The same in TypeScript, as an option of the library. */
  option: string;
  /** The same in JSON. */
  schema: Schema;
  /** Placeholder of the value on the command line; `null`: its flag is given without one. */
  word: string | null;
  /** Whether its flag may be given several times. */
  repeat: "once" | "repeatable";
  /** Whether a JSON value has the form; `parse` checks its content. */
  accepts: (value: unknown) => boolean;
  /** That form in words, for messages. */
  wanted: string;
  /** An example in JSON, for hints. */
  example: string;
  /** From a JSON value that is accepted, or from the text of a flag; texts, where that is repeatable. */
  parse(value: unknown, place: ValuePlace): T;
  /** From a recorded value; `null` if it is of another form. */
  restore: (value: unknown) => T | null;
  /** What holds where nothing is given. */
  none: None;
}

/** Whether this is a text with something in it. */
export const isText = (value: unknown): boolean => typeof value === "string" && value !== "" && !value.includes("\0");
/** Whether this is a list of such texts. */
export const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
/** Whether this is a number that is not negative. */
export const isAmount = (value: unknown): boolean => typeof value === "number" && value >= 0;
/** Whether this is such a number without a fraction. */
export const isWhole = (value: unknown): boolean => isAmount(value) && Number.isInteger(value);

/** The schema of a text. */
export const TEXT: Schema = { type: "string", minLength: 1 };

/** The schema of a text of this form. */
export const matching = (form: RegExp): Schema => ({ type: "string", pattern: form.source });

/** A type whose values are written as one text; `own` has the exceptions. */
export function single<T>(word: string, own: Pick<Type<T>, "parse" | "restore"> & Partial<Type<T>>): Type<T> {
  return {
    option: "string",
    schema: TEXT,
    word,
    repeat: "once",
    accepts: isText,
    wanted: "text",
    example: '"text"',
    none: null,
    ...own,
  };
}

/** A whole number up to `most`. */
export function whole(most: number, own: Pick<Type<number>, "parse" | "example">): Type<number> {
  return single("N", {
    option: "number",
    schema: { type: "integer", minimum: 0, maximum: most },
    accepts: isWhole,
    wanted: "a whole number",
    restore: (value) => asNumber(value, 0, most),
    ...own,
  });
}

/** A list of texts, or a single text. */
export function list(item: Type<string>): Type<string[], string[]> {
  return {
    ...item,
    option: "string | string[]",
    schema: { anyOf: [item.schema, { type: "array", items: item.schema }] },
    repeat: "repeatable",
    accepts: (value) => isText(value) || isTexts(value),
    wanted: "text or a list of texts",
    example: `[${item.example}]`,
    parse: (value: string | string[], place) => [value].flat().map((one) => item.parse(one, place)),
    restore: (value) => asStrings(value).filter((one) => item.restore(one) !== null),
    none: [],
  };
}

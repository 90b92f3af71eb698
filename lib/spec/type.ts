/**
 * A type of settings: how its values are written, checked, parsed, and read back from a record.
 *
 * @module
 */
import { asNumber, asStrings } from "./json.ts";

/** A part of a JSON schema. */
export type Schema = Record<string, unknown>;

/** Where a value stands. */
export interface ValuePlace {
  /** What messages call it: `--port`, or `"port" of node "web" in tombstone.json`. */
  name: string;
  /** The absolute directory that relative paths begin at. Asked for only where one does: the current one may be gone. */
  base: () => string;
}

/** One type: `T` is its parsed value, `None` what holds where nothing is given. */
export interface Type<T, None = null> {
  /** The same in TypeScript, as an option of the library. */
  option: string;
  /** The same in JSON. */
  schema: Schema;
  /** Placeholder of the value on the command line; `null`: its flag is given without one. */
  word: string | null;
  /** Whether its flag may be given several times. */
  repeat: "once" | "repeatable";
  /** Whether a JSON value has the form; what it says is checked by `parse`. */
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

/** A type whose values are written as one text, but for what is said here. */
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

/** A list of texts; one may stand alone. */
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

/**
 * Reading JSON that may have any content, and finding the place where a text is not valid JSON.
 *
 * @module
 */
import { isAbsolute } from "../paths.ts";

/** A value that JSON can hold, for total readers. */
export type Fields = Record<string, unknown>;

/** Whether this is a JSON object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of a JSON object; `null` for anything else. */
export function parseObject(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** The value if it is a string without NUL, else `null`. */
export function asString(value: unknown): string | null {
  return typeof value === "string" && !value.includes("\0") ? value : null;
}

/** The value if it is an absolute path, else `null`. */
export function asPath(value: unknown): string | null {
  const path = asString(value);
  return path !== null && isAbsolute(path) ? path : null;
}

/** The value if it is a finite number in the range, else `null`. */
export function asNumber(value: unknown, low: number, high: number): number | null {
  return typeof value === "number" && value >= low && value <= high ? value : null;
}

/** The strings of an array; empty for anything else. */
export function asStrings(value: unknown): string[] {
  return Array.isArray(value) && value.every((item) => asString(item) !== null) ? value : [];
}

/** The value if it is a random UUID in its canonical form, else `null`. */
export function asAttempt(value: unknown): string | null {
  return typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value) ? value : null;
}

/** A blank, a comment, a string, a number, a word or a sign of JSON (RFC 8259) with comments. */
const TOKEN =
  // deno-lint-ignore no-control-regex
  /[ \t\n\r]+|\/\/[^\n\r]*|\/\*[^]*?\*\/|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/y;

/**
 * The place of the first mistake in invalid JSON with comments, as `line 3, column 7`. The runtime's own message quotes the text, which
 * may contain a secret.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { placeOfMistake } from "./json.ts";
 *
 * assertEquals(placeOfMistake('{\n  "a": secret\n}'), "line 2, column 8");
 * assertEquals(placeOfMistake('{ // one\n  "a": 1, ]'), "line 2, column 11");
 * ```
 */
export function placeOfMistake(text: string): string {
  const at = offsetOfMistake(text);
  const before = text.slice(0, at).split("\n");
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`;
}

/** What may come next: a value, a value or the end of a list, a key or the end of an object, … */
type Next = "value" | "value-or-]" | "key-or-}" | "colon" | "comma-or-end" | "nothing";

function offsetOfMistake(text: string): number {
  const open: string[] = [];
  let next: Next = "value";
  const afterValue = (): Next => open.length === 0 ? "nothing" : "comma-or-end";
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) return at;
    if (/^[ \t\n\r/]/.test(token)) continue;
    const step = nextAfter(token, next, open.at(-1));
    if (step === null) return at;
    if (token === "{" || token === "[") open.push(token);
    if (token === "}" || token === "]") open.pop();
    next = step === "after-value" ? afterValue() : step;
  }
  return text.length;
}

/** What may come after this token; `null` if it may not come here. */
function nextAfter(token: string, next: Next, inside: string | undefined): Next | "after-value" | null {
  const isValue = next === "value" || next === "value-or-]";
  const isKey = next === "key-or-}";
  switch (token[0]) {
    case "{":
      return isValue ? "key-or-}" : null;
    case "[":
      return isValue ? "value-or-]" : null;
    case "}":
      return next === "key-or-}" || next === "comma-or-end" && inside === "{" ? "after-value" : null;
    case "]":
      return next === "value-or-]" || next === "comma-or-end" && inside === "[" ? "after-value" : null;
    case ",": // also before the end
      return next === "comma-or-end" ? (inside === "{" ? "key-or-}" : "value-or-]") : null;
    case ":":
      return next === "colon" ? "value" : null;
    case '"':
      return isKey ? "colon" : isValue ? "after-value" : null;
    default:
      return isValue ? "after-value" : null;
  }
}

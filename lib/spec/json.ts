/**
 * Reading JSON of which nothing is certain.
 *
 * @module
 */

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

/**
 * The types that the values of settings have.
 *
 * @module
 */
import { isPortRequest, parsePortRequest, PORT_AND_ABOVE } from "./port_request.ts";
import { asNumber, asPath, asString, asStrings } from "./json.ts";
import {
  type Field,
  isAmount,
  isText,
  isTexts,
  isWhole,
  list,
  matching,
  single,
  TEXT,
  type Types,
  whole,
} from "./field.ts";
import { readStatuses } from "./probes.ts";
import {
  DURATION,
  type Duration,
  DURATION_MAX_MS,
  HOST,
  isPattern,
  isSignal,
  isVariables,
  kindOfTarget,
  LABEL,
  parseCount,
  parseDuration,
  parseHost,
  parseHttpTarget,
  parseLabel,
  parsePath,
  parsePattern,
  parsePid,
  parseSignal,
  parseSize,
  parseStatuses,
  parseVariables,
  PID_MAX,
  SIZE,
  STATUSES,
  type Variables,
} from "./values.ts";

/** Most of what can be counted here, such as logs of earlier starts. */
const COUNT_MAX = 100;

const string = single("TEXT", { parse: (value: string) => value, restore: asString });
const path = single("PATH", {
  example: '"./file"',
  parse: (value: string, { base }) => parsePath(value, base),
  restore: asPath,
});
const regex = single("REGEX", {
  example: '"listening"',
  parse: (value: string, { name }) => parsePattern(name, value),
  restore: (value) => typeof value === "string" && isPattern(value) ? value : null,
});
const target = single("PATH|URL", {
  example: '"/health"',
  schema: matching(/^(\/|[hH][tT][tT][pP][sS]?:)/),
  parse: (value: string, { name }) => parseHttpTarget(name, value),
  restore: (value) => typeof value === "string" && kindOfTarget(value) !== null ? value : null,
});

/** How values of each type are written, checked, parsed and read back. */
export const TYPES: Types = {
  boolean: {
    option: "boolean",
    schema: { type: "boolean" },
    word: null,
    repeat: "once",
    accepts: (value) => typeof value === "boolean",
    wanted: "true or false",
    example: "true",
    parse: (value) => value === true,
    restore: (value) => typeof value === "boolean" ? value : null,
    none: false,
  },
  string,
  "string[]": list(string),
  names: {
    ...list(string),
    option: "string[]",
    schema: { type: "array", items: TEXT },
    accepts: isTexts,
    wanted: "a list of nodes",
    example: '["db"]',
  },
  command: {
    ...list(string),
    schema: { anyOf: [TEXT, { type: "array", items: { type: "string" }, minItems: 1 }] },
    accepts: (value) =>
      isText(value) || (Array.isArray(value) && isText(value[0]) && value.every((one) => one === "" || isText(one))),
    wanted: "a list of program and arguments, or a line for the shell",
    example: '["node", "server.js"]',
    parse: (value: string | string[]) => value,
    restore: asStrings,
  },
  variables: {
    option: "Record<string, string | number | boolean>",
    schema: { type: "object", additionalProperties: { type: ["string", "number", "boolean"] } },
    word: "K=V",
    repeat: "repeatable",
    accepts: isVariables,
    wanted: "an object of texts, by names without =",
    example: '{ "NAME": "value" }',
    parse: (value: string[] | Variables, { name }) => parseVariables(name, value),
    restore: (value) => isVariables(value) ? value as Record<string, string> : null,
    none: {},
  },
  count: whole(COUNT_MAX, {
    example: "5",
    parse: (value: string | number, { name }) => parseCount(name, value, COUNT_MAX),
  }),
  port: single("N", {
    option: "number | string",
    schema: { anyOf: [{ type: "integer", minimum: 0, maximum: 65535 }, matching(PORT_AND_ABOVE)] },
    accepts: isPortRequest,
    wanted: 'a port such as 3000, or "3000+" for it or the next free one',
    example: "3000",
    parse: (value: string | number, { name }) => parsePortRequest(name, value),
    restore: (value) => isPortRequest(value) ? value : null,
  }),
  host: single("HOST", {
    example: '"127.0.0.1"',
    schema: matching(HOST),
    parse: (value: string, { name }) => parseHost(name, value),
    restore: asString,
  }),
  duration: single("TIME", {
    option: "Duration",
    schema: { anyOf: [matching(DURATION), { type: "number", minimum: 0 }] },
    accepts: (value) => isText(value) || isAmount(value),
    wanted: 'a duration such as "250ms", "30s" or "5m" (a number is seconds)',
    example: '"30s"',
    parse: (value: Duration, { name }) => parseDuration(name, value),
    restore: (value) => asNumber(value, 0, DURATION_MAX_MS),
  }),
  size: single("SIZE", {
    option: "string | number",
    schema: { anyOf: [matching(SIZE), { type: "integer", minimum: 0 }] },
    accepts: (value) => isText(value) || isWhole(value),
    wanted: 'a size such as "20MB" (a number is bytes)',
    example: '"20MB"',
    parse: (value: string | number, { name }) => parseSize(name, value),
    restore: (value) => asNumber(value, 0, Number.MAX_SAFE_INTEGER),
  }),
  path,
  "path[]": list(path),
  "regex[]": list(regex),
  "target[]": list(target),
  statuses: single("RANGES", {
    example: '"200-399,401"',
    schema: matching(STATUSES),
    parse: (value: string, { name }) => parseStatuses(name, value),
    restore: readStatuses,
  }),
  pid: single("PID", {
    option: "number",
    schema: { type: "integer", minimum: 1, maximum: PID_MAX },
    accepts: (value) => isWhole(value) && value !== 0 && (value as number) <= PID_MAX,
    wanted: "the id of a process",
    example: "4312",
    parse: (value: string | number, { name }) => parsePid(name, value),
    restore: (value) => asNumber(value, 1, PID_MAX),
  }),
  label: single("LABEL", {
    schema: matching(LABEL),
    example: '"agent-7"',
    parse: (value: string, { name }) => parseLabel(name, value),
    restore: (value) => typeof value === "string" && LABEL.test(value) ? value : null,
  }),
  signal: single("SIG", {
    example: '"INT"',
    parse: (value: string, { name }) => parseSignal(name, value),
    restore: (value) => typeof value === "string" && isSignal(value) ? value : null,
  }),
};

/** An example of a value, in JSON. */
export function exampleOf({ type, example }: Field): string {
  return example ?? TYPES[type].example;
}

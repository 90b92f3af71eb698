/**
 * The fields of a described node: their forms, and the flags that mean the same.
 *
 * @module
 */

/** Text, or several. */
export type Texts = string | string[];

/** `250ms`, `30s`, `5m`, `4h`; a number is seconds. */
export type Duration = string | number;

/** Form of a field's value. */
export type FieldType =
  | "text"
  | "texts"
  | "switch"
  | "number"
  | "duration"
  | "size"
  | "variables"
  | "names"
  | "command";

/** A field: its path with dots, its form, and the flag of `start` that means the same. */
export interface Field {
  /** `probes.http` */
  path: string;
  /** Form of its value. */
  type: FieldType;
  /** Flag; `null` where there is none. */
  flag: string | null;
}

/** Every field of a described node. */
export const FIELDS: Field[] = [
  { path: "command", type: "command", flag: null },
  { path: "after", type: "names", flag: null },
  { path: "port", type: "number", flag: "port" },
  { path: "host", type: "text", flag: "host" },
  { path: "port_file", type: "text", flag: "port-file" },
  { path: "probes.http", type: "texts", flag: "http" },
  { path: "probes.http_status", type: "text", flag: "http-status" },
  { path: "probes.unix", type: "texts", flag: "unix" },
  { path: "probes.log", type: "texts", flag: "log" },
  { path: "probes.file", type: "texts", flag: "file" },
  { path: "probes.exec", type: "texts", flag: "exec" },
  { path: "probes.notify", type: "switch", flag: "notify" },
  { path: "probes.fail_log", type: "texts", flag: "fail-log" },
  { path: "probes.any_listener", type: "switch", flag: "any-listener" },
  { path: "probes.none", type: "switch", flag: "no-probe" },
  { path: "probes.alive_for", type: "duration", flag: "alive-for" },
  { path: "probes.stable_for", type: "duration", flag: "stable-for" },
  { path: "timeout", type: "duration", flag: "timeout" },
  { path: "cwd", type: "text", flag: "cwd" },
  { path: "env", type: "variables", flag: "env" },
  { path: "clear_env", type: "switch", flag: "clear-env" },
  { path: "stdin_open", type: "switch", flag: "stdin-open" },
  { path: "pid_file", type: "text", flag: "pid-file" },
  { path: "sweep_files", type: "texts", flag: "sweep-file" },
  { path: "exclude", type: "texts", flag: "exclude" },
  { path: "stop.signal", type: "text", flag: "stop-signal" },
  { path: "stop.timeout", type: "duration", flag: "stop-timeout" },
  { path: "stop.command", type: "text", flag: "stop-command" },
  { path: "log.keep", type: "number", flag: "log-keep" },
  { path: "log.max", type: "size", flag: "log-max" },
  { path: "outlive_ci_job", type: "switch", flag: "outlive-ci-job" },
];

const isText = (value: unknown) => typeof value === "string" && value !== "" && !value.includes("\0");
const isArgument = (value: unknown) => value === "" || isText(value);
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText);
const isNumber = (value: unknown) => typeof value === "number" && value >= 0;
const isPlain = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.entries(value).every(([name, one]) =>
    name !== "" && !/[=\0]/.test(name) && ["string", "number", "boolean"].includes(typeof one)
  );

/** What a value of each form must be, and how a refusal says so. */
export const FORMS: Record<FieldType, { is: (value: unknown) => boolean; wanted: string; example: string }> = {
  text: { is: isText, wanted: "text", example: '"text"' },
  texts: { is: (value) => isText(value) || isTexts(value), wanted: "text or a list of texts", example: '["text"]' },
  switch: { is: (value) => typeof value === "boolean", wanted: "true or false", example: "true" },
  number: { is: (value) => isNumber(value) && Number.isInteger(value), wanted: "a whole number", example: "3000" },
  duration: {
    is: (value) => isText(value) || isNumber(value),
    wanted: 'a duration such as "250ms", "30s" or "5m" (a number is seconds)',
    example: '"30s"',
  },
  size: {
    is: (value) => isText(value) || isNumber(value),
    wanted: 'a size such as "50MB" (a number is bytes)',
    example: '"50MB"',
  },
  variables: { is: isPlain, wanted: "an object of texts, by names without =", example: '{ "NAME": "value" }' },
  names: { is: isTexts, wanted: "a list of nodes", example: '["db"]' },
  command: {
    is: (value) => isText(value) || (Array.isArray(value) && isText(value[0]) && value.every(isArgument)),
    wanted: "a list of program and arguments, or a line for the shell",
    example: '["node", "server.js"]',
  },
};

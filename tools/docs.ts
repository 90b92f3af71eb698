/**
 * What is generated from the code: `docs/commands.md` from the help, the tables of errors in `docs/json.md` and
 * `docs/library.md` from their kinds; `tombstone.schema.json`, `docs/tombstone-json.md` and the options of the library from
 * the table of settings. `deno task docs` writes them; a test fails when they are stale.
 *
 * @module
 */
import { flagRows } from "../lib/cli/help.ts";
import { type Command, COMMANDS, COMMON_FLAGS } from "../lib/cli/table.ts";
import { type Flag, START_FLAGS } from "../lib/cli/start_flags.ts";
import { type ErrorKind, EXIT, KINDS } from "../lib/errors.ts";
import { type Field, helpOf, isGivenIn, optionOf, otherwiseOf, type Schema } from "../lib/spec/field.ts";
import { FIELDS, GROUPS } from "../lib/spec/fields.ts";
import { NAME } from "../lib/spec/names.ts";
import { exampleOf, TYPES } from "../lib/spec/types.ts";
import { ROOT } from "./standard_library.ts";

/** The settings that a `tombstone.json` may give. */
const IN_FILE: Field[] = FIELDS.filter((field) => isGivenIn(field, "file"));

/** The schema of `tombstone.json`. */
export function schema(): Schema {
  const properties: Record<string, Schema> = {};
  for (const field of IN_FILE) {
    const [group, name] = field.path.split(".") as [string, string | undefined];
    const own = { description: helpOf(field), ...TYPES[field.type].schema };
    if (name === undefined) properties[group] = own;
    else {
      properties[group] ??= {
        description: GROUPS[group],
        type: "object",
        properties: {},
        additionalProperties: false,
      };
      (properties[group].properties as Record<string, Schema>)[name] = own;
    }
  }
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "tombstone.json",
    description: "The nodes of a project, for tombstone start",
    type: "object",
    properties: {
      $schema: { type: "string" },
      nodes: {
        description: "nodes by name",
        type: "object",
        propertyNames: { pattern: NAME.source },
        additionalProperties: { type: "object", properties, required: ["command"], additionalProperties: false },
      },
    },
    additionalProperties: false,
  };
}

const cell = (text: string) => text.replaceAll("|", "\\|");

/** A table with aligned columns, as the formatter wants it. */
function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) => `| ${row.map((text, column) => text.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(rows[0]!), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.slice(1).map(line)]
    .join("\n");
}

function options(flags: Flag[]): string {
  return table([["option", ""], ...flagRows(flags).map(([left, right]) => [`\`${cell(left)}\``, cell(right)])]);
}

function section(command: Command): string {
  const summary = capital(command.summary);
  const own = command.name === "run" ? command.flags.filter((flag) => !START_FLAGS.includes(flag)) : command.flags;
  return [
    `## tombstone ${command.name}`,
    "",
    `${summary}.`,
    "",
    "```",
    ...command.synopsis.split(" | ").map((form) => `tombstone ${command.name} ${form}`),
    "```",
    ...(own.length === 0 ? [] : ["", options(own)]),
    ...(own.length < command.flags.length ? ["", "And all options of `start`."] : []),
  ].join("\n");
}

/** The page about the commands. */
export function commandsPage(): string {
  return [
    "# Commands",
    "",
    "<!-- Generated from the help by `deno task docs`. -->",
    "",
    table([
      ["command", ""],
      ...COMMANDS.map(({ name, summary }) => [`[\`${name}\`](#tombstone-${name})`, cell(summary)]),
    ]),
    "",
    "Options of every command:",
    "",
    options(COMMON_FLAGS),
    "",
    "Durations are `250ms`, `30s`, `5m`, `4h`; a bare number is seconds. Sizes are `512kB`, `50MB`, `1GiB`. Results go to",
    "stdout, messages to stderr; with `--json`, stdout is exactly one document, [json.md](json.md).",
    "",
    ...COMMANDS.flatMap((command) => [section(command), ""]),
    "## Exit codes",
    "",
    table([
      ["code", "meaning"],
      ["0", "done (also: already running, already stopped); `status`: running"],
      ["1", "failed: the server exited during its start, could not be stopped …; `status`: dead, stale or interrupted"],
      ["2", "usage: a wrong command line, or a mistake in `tombstone.json`"],
      ["3", "nothing there to act on; `status`: stopped, or a start is in progress"],
      ["4", "state cannot be read, written or judged (permissions, disk full, another host)"],
      ["5", "the port, or the socket, is in use by somebody else"],
      ["6", "the lock was not released in time"],
      ["124", "not ready in time"],
      ["126, 127", "the command cannot be executed, was not found"],
      ["128 + n", "ended by signal n (130 Ctrl-C, 143 TERM)"],
    ]),
    "",
    "`run` passes the exit code of its test through.",
    "",
  ].join("\n");
}

/** How the first process of a start ended. */
const STATUS_FIELDS = "`exit_status`, `exit_signal`, `after_ms`, `log_tail`";

/** What the JSON document of an error has besides, by kind. */
const MORE_FIELDS: Record<ErrorKind, string> = {
  "server-exited": `${STATUS_FIELDS}; of \`wait\`: \`node\`, \`state\``,
  "failed-log": "`pattern`, `line`, `after_ms`, `log_tail`",
  "different-running": "`differs`, `pid`, `command`, `cwd`, `port`",
  "stop-failed": "`pids`, or `port`, `owner_pid`, `owner_command`",
  "unsupported": "",
  "usage": "",
  "nothing-there": "`workspace`, `node`",
  "state": "`path`, `errno`, or what `server-exited` has",
  "foreign-state": "`workspace`, `node`",
  "port-in-use":
    "`port` or `path`, `owner_pid`, `owner_command`; if it is a node in this state directory, `owner_node`, `owner_workspace`, `owner_project`",
  "lock-timeout": "`workspace`, `node`",
  "not-ready": "`timeout_ms`, `waiting_for`, `log_tail`, `pid`; of `wait`: `node`, `state`",
  "command-not-executable": STATUS_FIELDS,
  "command-not-found": STATUS_FIELDS,
  "signalled": "`signal`",
};

/** The kinds of errors, for programs that read the JSON. */
function kindsTable(): string {
  const rows = Object.entries(KINDS).map(([kind, { exitCode, meaning }]) => [
    `\`${kind}\``,
    String(exitCode),
    meaning,
    MORE_FIELDS[kind as ErrorKind],
  ]);
  return table([
    ["kind", "exit code", "when", "more fields of `error`"],
    ...rows,
    ["`bug`", String(EXIT.failed), "please report it", ""],
  ]);
}

/** The same by class, for programs that use the library. */
function classesTable(): string {
  const rows = Object.values(KINDS).map(({ class: { name }, exitCode, meaning }) => [
    `\`${name}\``,
    meaning,
    String(exitCode),
  ]);
  return table([["class", "when", "`exitCode`"], ...rows]);
}

/** The fields of a described node. */
function fieldsTable(): string {
  const rows = IN_FILE.map((field) => [
    `\`${field.path}\``,
    `\`${exampleOf(field)}\``,
    field.flag === undefined ? "" : `\`--${field.flag}\``,
    cell(helpOf(field)),
  ]);
  return table([["field", "for example", "as `start`'s", "meaning, and what holds without it"], ...rows]);
}

/** The options of the library that describe a node, as interfaces. */
function optionsModule(): string {
  const interfaces = new Map<string, string[]>([["NodeSettings", ["/** What describes a node to start. */"]]]);
  for (const field of (FIELDS as readonly Field[]).filter((field) => isGivenIn(field, "program"))) {
    const [group, inner] = optionOf(field.path).split(".") as [string, string | undefined];
    const name = inner === undefined ? "NodeSettings" : `${capital(group.replace(/s$/, ""))}Settings`;
    if (!interfaces.has(name)) {
      interfaces.set(name, [`/** ${sentence(GROUPS[group]!)} */`]);
      interfaces.get("NodeSettings")!.push(`/** ${sentence(GROUPS[group]!)} */`, `${group}?: ${name};`);
    }
    const otherwise = otherwiseOf(field);
    const help = otherwise === null ? field.help : `${field.help}; default: ${otherwise}`;
    const isRequired = field.path === "command";
    interfaces.get(name)!.push(
      `/** ${sentence(help)} */`,
      `${inner ?? group}${isRequired ? "" : "?"}: ${TYPES[field.type].option};`,
    );
  }
  return [
    "/**",
    " * The options of the library that describe a node. Generated from `lib/spec/fields.ts` by `deno task docs`.",
    " *",
    " * @module",
    " */",
    'import type { Duration } from "../spec/values.ts";',
    ...[...interfaces].toReversed().flatMap(([name, [doc, ...members]]) => [
      "",
      doc!,
      `export interface ${name} {`,
      ...members.map((line) => `  ${line}`),
      "}",
    ]),
    "",
  ].join("\n");
}

const capital = (text: string) => text[0]!.toUpperCase() + text.slice(1);
const sentence = (text: string) => `${capital(text)}.`;

/** A page with what stands between its marks made anew. */
function filled(path: string, text: string): string {
  const [before, after] = [/^[^]*<!-- Generated by `deno task docs`. -->\n/, /<!-- End of what is generated. -->[^]*$/]
    .map((part) => part.exec(Deno.readTextFileSync(`${ROOT}/${path}`))![0]);
  return `${before}\n${text}\n\n${after}`;
}

/** What is generated, by its path. */
export function generated(): Record<string, string> {
  return {
    "docs/commands.md": commandsPage(),
    "docs/json.md": filled("docs/json.md", kindsTable()),
    "docs/library.md": filled("docs/library.md", classesTable()),
    "docs/tombstone-json.md": filled("docs/tombstone-json.md", fieldsTable()),
    "lib/api/options.ts": optionsModule(),
    "tombstone.schema.json": JSON.stringify(schema(), null, 2) + "\n",
  };
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(generated())) Deno.writeTextFileSync(`${ROOT}/${path}`, text);
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", ...Object.keys(generated())], cwd: ROOT }).spawn()
    .status;
}

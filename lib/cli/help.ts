/**
 * The help, made from the table of commands.
 *
 * @module
 */
import type { Flag } from "./start_flags.ts";
import { type Command, COMMANDS, COMMON_FLAGS } from "./table.ts";

/** The left and right column of the help for flags. */
export function flagRows(flags: Flag[]): [string, string][] {
  return flags.map((flag) => {
    const short = flag.short === undefined ? "" : `-${flag.short}, `;
    const value = flag.value === undefined ? "" : ` ${flag.value}`;
    return [`${short}--${flag.name}${value}`, flag.summary + (flag.repeat ? " (repeatable)" : "")];
  });
}

function table(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

/** The help of the tool. */
export function generalHelp(): string[] {
  const aliases = COMMANDS.flatMap(({ name, alias }) => alias === undefined ? [] : [`${alias} is ${name}`]);
  return [
    "tombstone starts a server in the background, waits until it is ready, and cleans up after any crash.",
    "",
    "usage: tombstone COMMAND [NODE] [options]",
    "",
    "commands:",
    ...table(COMMANDS.map((command) => [command.name, command.summary])),
    "",
    "options of every command:",
    ...table(flagRows(COMMON_FLAGS)),
    "",
    `${aliases.join(", ")}.`,
    "tombstone COMMAND --help explains one command; tombstone --version prints the version.",
  ];
}

/** The help of one command. */
export function commandHelp(command: Command): string[] {
  return [
    `tombstone ${command.name}: ${command.summary}`,
    "",
    `usage: tombstone ${command.name} ${command.synopsis}`,
    "",
    ...(command.flags.length === 0 ? [] : ["options:", ...table(flagRows(command.flags)), ""]),
    "options of every command:",
    ...table(flagRows(COMMON_FLAGS)),
    ...(command.nodes === "none" || Array.isArray(command.nodes) ? [] : [
      "",
      `Without NODE: ${
        ["start", "up", "run"].includes(command.name)
          ? "all nodes of tombstone.json; with a command, a node with the name of the current directory."
          : "all nodes of this workspace."
      }`,
    ]),
  ];
}

/**
 * Completions for shells, made from the table.
 *
 * @module
 */
import { type Command, COMMANDS, COMMON_FLAGS } from "./table.ts";
import type { Flag } from "./start_flags.ts";

/** Shells with a script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The command with which the scripts get the names of nodes. */
const NODES = "tombstone completions nodes 2>/dev/null";

const namesOf = ({ name, alias }: Command): string[] => alias === undefined ? [name] : [name, alias];
const flagsOf = (command: Command): Flag[] => [...command.flags, ...COMMON_FLAGS];

/** Spellings of a flag. */
const spellings = (flag: Flag) => [`--${flag.name}`, ...(flag.short === undefined ? [] : [`-${flag.short}`])];

/** Spellings of all flags whose value is one of these, for a `case`. */
function withValue(isMeant: (value: string) => boolean): string {
  const flags = COMMANDS.flatMap(flagsOf).filter((flag) => flag.value !== undefined && isMeant(flag.value));
  return [...new Set(flags.flatMap(spellings))].join("|");
}

/** Flags that may stand before the command: all of them, and those with a value. */
const BEFORE = [...COMMON_FLAGS.flatMap(spellings), "--version"];
const BEFORE_WITH_VALUE = COMMON_FLAGS.filter(({ value }) => value !== undefined).flatMap(spellings);

/** What may follow a command, other than flags. */
function wordsOf({ nodes, then }: Command): string {
  const names = `$(${NODES})`;
  if (Array.isArray(nodes)) return [...nodes, ...then === "many" ? [names] : []].join(" ");
  return nodes === "none" ? "" : names;
}

const single = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The script of one shell. */
export function completions(shell: (typeof SHELLS)[number]): string[] {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      return zsh();
    case "fish":
      return fish();
  }
}

function bash(): string[] {
  return [
    "# bash completion of tombstone: source <(tombstone completions bash)",
    "_tombstone() {",
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at words flags",
    "  COMPREPLY=()",
    "  for ((at = 1; at < COMP_CWORD; at++)); do",
    "    [[ ${COMP_WORDS[at]} == -- ]] || continue",
    '    if ((at == COMP_CWORD - 1)); then COMPREPLY=($(compgen -c -- "$cur")); else compopt -o default; fi',
    "    return",
    "  done",
    // Readline takes `--workspace=x` apart into three words.
    "  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}",
    "  local command=",
    "  for ((at = 1; at < COMP_CWORD; at++)); do",
    "    case ${COMP_WORDS[at]} in",
    `    ${BEFORE_WITH_VALUE.join("|")}) ((at++)); [[ \${COMP_WORDS[at]} == = ]] && ((at++)) ;;`,
    "    -*) ;;",
    "    *) command=${COMP_WORDS[at]}; break ;;",
    "    esac",
    "  done",
    "  case $prev in",
    `  ${withValue((value) => value === "PATH")}) compopt -o default; return ;;`,
    `  ${withValue((value) => value === "DIR")}) COMPREPLY=($(compgen -d -- "$cur")); return ;;`,
    `  ${withValue((value) => value !== "PATH" && value !== "DIR")}) return ;;`,
    "  esac",
    "  case $command in",
    `  "") words=${single(COMMANDS.map(({ name }) => name).join(" "))}; flags=${single(BEFORE.join(" "))} ;;`,
    ...COMMANDS.map((command) => {
      const flags = single(flagsOf(command).flatMap(spellings).join(" "));
      return `  ${namesOf(command).join("|")}) flags=${flags}; [[ $cur == -* ]] || words="${wordsOf(command)}" ;;`;
    }),
    "  esac",
    "  [[ $cur == -* ]] && words=$flags",
    '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
    "}",
    "complete -F _tombstone tombstone",
  ];
}

function zsh(): string[] {
  // Brackets and colons are special in a specification of _arguments.
  const text = (summary: string) => summary.replace(/[[\]:\\]/g, "\\$&");
  const action = (value: string) => value === "PATH" ? "_files" : value === "DIR" ? "_files -/" : " ";
  const spec = (flag: Flag) => {
    const value = flag.value === undefined ? "" : `:${text(flag.value)}:${action(flag.value)}`;
    return spellings(flag).map((name) => single(`${flag.repeat ? "*" : ""}${name}[${text(flag.summary)}]${value}`));
  };
  const words = ({ nodes, then }: Command): string[] => {
    if (Array.isArray(nodes)) {
      return [single(`1:what:(${nodes.join(" ")})`), ...then === "many" ? [single("*:node:_tombstone_nodes")] : []];
    }
    if (nodes === "none") return [];
    return [single(`${nodes === "many" ? "*" : "1"}:node:_tombstone_nodes`)];
  };
  return [
    "#compdef tombstone",
    "# zsh completion of tombstone: source <(tombstone completions zsh), after compinit",
    "_tombstone_nodes() {",
    `  local -a nodes=(\${(f)"$(${NODES})"})`,
    "  compadd -a nodes",
    "}",
    "_tombstone_commands() {",
    "  local -a commands=(",
    ...COMMANDS.map(({ name, summary }) => `    ${single(`${name}:${text(summary)}`)}`),
    "  )",
    "  _describe command commands",
    "}",
    "_tombstone() {",
    "  local dashes=${words[(i)--]}",
    "  if ((dashes < CURRENT)); then",
    "    shift $dashes words; ((CURRENT -= dashes)); _normal; return",
    "  fi",
    "  local at=2 command=",
    "  while ((at < CURRENT)); do",
    "    case $words[at] in",
    `    (${BEFORE_WITH_VALUE.join("|")}) ((at += 2)) ;;`,
    "    (-*) ((at++)) ;;",
    "    (*) command=$words[at]; break ;;",
    "    esac",
    "  done",
    "  if [[ -z $command ]]; then",
    `    _arguments ${[...COMMON_FLAGS.flatMap(spec), single("--version[the version]")].join(" ")} ` +
    "'1:command:_tombstone_commands'",
    "    return",
    "  fi",
    "  shift $((at - 1)) words; ((CURRENT -= at - 1))",
    "  case $command in",
    ...COMMANDS.map((command) =>
      `  ${namesOf(command).join("|")}) _arguments ${
        [...flagsOf(command).flatMap(spec), ...words(command)].join(" ")
      } ;;`
    ),
    "  esac",
    "}",
    "(( $+functions[compdef] )) && compdef _tombstone tombstone",
  ];
}

function fish(): string[] {
  const lines = [
    "# fish completion of tombstone: tombstone completions fish | source",
    "function __tombstone_command; contains -- -- (commandline -opc); end",
    "function __tombstone_name",
    "  set -l words (commandline -opc)",
    "  set -l at 2",
    "  while test $at -le (count $words)",
    "    switch $words[$at]",
    `      case ${BEFORE_WITH_VALUE.join(" ")}`,
    "        set at (math $at + 1)",
    "      case '-*'",
    "      case '*'",
    "        echo $words[$at]",
    "        return 0",
    "    end",
    "    set at (math $at + 1)",
    "  end",
    "  return 1",
    "end",
    "function __tombstone_is",
    "  not __tombstone_command; and set -l name (__tombstone_name); and contains -- $name $argv",
    "end",
    "function __tombstone_none; not __tombstone_command; and not __tombstone_name >/dev/null; end",
    "complete -c tombstone -f",
    "complete -c tombstone -n __tombstone_command -F -a '(__fish_complete_command)'",
  ];
  for (const command of COMMANDS) {
    lines.push(`complete -c tombstone -n __tombstone_none -a ${command.name} -d ${single(command.summary)}`);
    const here = `-n '__tombstone_is ${namesOf(command).join(" ")}'`;
    const words = Array.isArray(command.nodes)
      ? [...command.nodes, ...command.then === "many" ? [`(${NODES})`] : []].join(" ")
      : command.nodes === "none"
      ? null
      : `(${NODES})`;
    if (words !== null) lines.push(`complete -c tombstone ${here} -a ${single(words)}`);
    lines.push(...flagsOf(command).map((flag) => fishFlag(here, flag)));
  }
  lines.push(...COMMON_FLAGS.map((flag) => fishFlag("-n __tombstone_none", flag)));
  lines.push("complete -c tombstone -n __tombstone_none -l version -d 'the version'");
  return lines;
}

function fishFlag(here: string, flag: Flag): string {
  const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
  const value = flag.value === undefined ? "" : flag.value === "PATH" || flag.value === "DIR" ? " -r -F" : " -x";
  return `complete -c tombstone ${here} -l ${flag.name}${short}${value} -d ${single(flag.summary)}`;
}

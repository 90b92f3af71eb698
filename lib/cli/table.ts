/**
 * Every command and its flags as data, once: parser, help, completions and docs/commands.md are made from it.
 *
 * @module
 */
import { DEFAULTS } from "../spec/settings.ts";
import { ENV, type Flag, FORCE, LOCK_TIMEOUT, SESSION, START_FLAGS } from "./start_flags.ts";

/** One command. */
export interface Command {
  /** Its name. */
  name: string;
  /** A second name. */
  alias?: string;
  /** What may follow the name, for the usage line. */
  synopsis: string;
  /** One line for the help. */
  summary: string;
  /** How many nodes may be named; or the words of which the first argument must be one. */
  nodes: "none" | "one" | "many" | string[];
  /** How many nodes may follow that word; default: none. */
  then?: "many";
  /** Whether a server's command follows after `--`. */
  takesCommand: boolean;
  /**
   * When it ends the nodes whose lease is over, of any workspace: before its own work; after it, if it may end one of
   * them itself; or around it, with those of its own workspace after. Default: never (`"kept"`).
   */
  leases?: "ended before" | "ended after" | "ended around" | "kept";
  /** Its own flags. */
  flags: Flag[];
}

/** Flags of every command. */
export const COMMON_FLAGS: Flag[] = [
  { name: "state-dir", value: "DIR", summary: "where state is kept (TOMBSTONE_STATE_DIR)" },
  { name: "workspace", value: "NAME", summary: "workspace to use instead of the project's own" },
  { name: "json", summary: "one JSON document on stdout" },
  { name: "quiet", short: "q", summary: "nothing but errors" },
  { name: "verbose", short: "v", summary: "each step on stderr" },
  { name: "help", short: "h", summary: "this help" },
];

/** Every command, in the order of the help. */
export const COMMANDS: Command[] = [
  {
    name: "start",
    synopsis: "[NODE] [options] -- COMMAND [ARG...] | [NODE...]",
    summary: "start a server in the background and wait until it is ready; without a command, start it again",
    nodes: "many",
    takesCommand: true,
    leases: "ended around",
    flags: START_FLAGS,
  },
  {
    name: "up",
    synopsis: "[NODE...] [options] | [NODE] [options] -- COMMAND [ARG...]",
    summary: "start or join servers in the foreground, follow their logs, and at the end stop those it started",
    nodes: "many",
    takesCommand: true,
    leases: "ended around",
    flags: START_FLAGS,
  },
  {
    name: "stop",
    synopsis: "[NODE...] [--all] [--session ID] [options]",
    summary: "stop nodes and sweep their files; a node that does not run is not an error",
    nodes: "many",
    takesCommand: false,
    leases: "ended after",
    flags: [{ name: "all", summary: "every node of this workspace" }, SESSION, LOCK_TIMEOUT, FORCE],
  },
  {
    name: "restart",
    synopsis: "[NODE...] [options]",
    summary: "stop nodes, then start them again",
    nodes: "many",
    takesCommand: false,
    leases: "ended around",
    flags: [
      ENV,
      { name: "timeout", value: "TIME", summary: "how long to wait until it is ready (as recorded)" },
      LOCK_TIMEOUT,
      FORCE,
    ],
  },
  {
    name: "status",
    alias: "ps",
    synopsis: "[NODE...] [options]",
    summary: "show the nodes of this workspace and their states",
    nodes: "many",
    takesCommand: false,
    leases: "ended before",
    flags: [{ name: "all", summary: "every node of every workspace" }],
  },
  {
    name: "list",
    alias: "ls",
    synopsis: "[options]",
    summary: "list every node of every workspace, with the name that --workspace takes",
    nodes: "none",
    takesCommand: false,
    leases: "ended before",
    flags: [SESSION],
  },
  {
    name: "logs",
    synopsis: "[NODE...] [-f] [-n N] [--grep REGEX] [--since-last] [--previous]",
    summary: "show the last 200 lines of a server's output; of several nodes, each line with its node's name",
    nodes: "many",
    takesCommand: false,
    leases: "ended before",
    flags: [
      { name: "follow", short: "f", summary: "print new lines as the server writes them, until Ctrl-C" },
      { name: "lines", short: "n", value: "N", summary: "the last N lines of each node, or all (200)" },
      { name: "grep", value: "REGEX", summary: "only lines that contain a match" },
      { name: "max-bytes", value: "SIZE", summary: "at most this many bytes: the last lines that fit" },
      { name: "since-last", summary: "only lines since the last such call with the same TOMBSTONE_SESSION" },
      { name: "previous", summary: "the log of the start before this one" },
    ],
  },
  {
    name: "wait",
    synopsis: "[NODE...] [--gone] [--timeout T] | [--port N] [--http URL] [--unix PATH] [--file PATH] [--gone]",
    summary: "wait until nodes, ports, URLs, sockets or files are ready, or gone",
    nodes: "many",
    takesCommand: false,
    leases: "ended before",
    flags: [
      {
        name: "port",
        value: "[HOST:]PORT",
        repeat: true,
        summary: "until a server accepts connections there, on IPv4 or IPv6",
      },
      { name: "http", value: "URL", repeat: true, summary: "until a GET is answered; redirects are not followed" },
      { name: "http-status", value: "RANGES", summary: "statuses that count as an answer (200-399; with --gone any)" },
      { name: "insecure", summary: "accept any certificate for --http https://…" },
      { name: "unix", value: "PATH", repeat: true, summary: "until a server accepts connections on this unix socket" },
      { name: "file", value: "PATH", repeat: true, summary: "until this file exists" },
      { name: "gone", summary: "wait until all of them are gone instead" },
      { name: "timeout", value: "TIME", summary: `give up after this time (${DEFAULTS.timeout_ms / 1000}s)` },
    ],
  },
  {
    name: "run",
    synopsis: '[NODE...] [--serve "COMMAND"]... [options] -- TEST [ARG...]',
    summary: "start servers (--serve, tombstone.json or package.json), run a test command, stop these servers",
    nodes: "many",
    takesCommand: true,
    leases: "ended around",
    flags: [
      { name: "serve", value: "CMD", repeat: true, summary: "a server: a script's name, or a shell command" },
      {
        name: "show-log",
        value: "WHEN",
        summary: "when to show the end of the servers' logs after the test: always, failure, never (failure)",
      },
      { name: "fail-fast", summary: "end the test command when the server dies (exit code 1)" },
      ...START_FLAGS,
    ],
  },
  {
    name: "sweep",
    synopsis: "[NODE...] [--all] [--dry-run]",
    summary: "end processes and remove files that interrupted starts left",
    nodes: "many",
    takesCommand: false,
    leases: "ended around",
    flags: [
      { name: "all", summary: "every node of every workspace; busy ones are skipped" },
      { name: "dry-run", summary: "only show what would be terminated and removed" },
      LOCK_TIMEOUT,
      FORCE,
    ],
  },
  {
    name: "env",
    synopsis: "[NODE...] [--format FORMAT]",
    summary: "print port and URL of nodes as variables for other tools, even before a start",
    nodes: "many",
    takesCommand: false,
    leases: "ended before",
    flags: [
      { name: "format", value: "FORMAT", summary: "shell, dotenv or json (shell)" },
      LOCK_TIMEOUT,
    ],
  },
  {
    name: "forget",
    alias: "rm",
    synopsis: "[NODE...] [--all]",
    summary: "remove records, logs and claimed ports of nodes that do not run",
    nodes: "many",
    takesCommand: false,
    leases: "ended around",
    flags: [
      { name: "all", summary: "every node of every workspace; busy ones are skipped" },
      LOCK_TIMEOUT,
      FORCE,
    ],
  },
  {
    name: "init",
    synopsis: "[--agents]",
    summary: "write a first tombstone.json from a project's scripts, its Procfile or its framework",
    nodes: "none",
    takesCommand: false,
    flags: [{ name: "agents", summary: "write instructions for coding agents instead: AGENTS.md and a skill" }],
  },
  {
    name: "export",
    synopsis: "systemd|compose|kubernetes [NODE...] [options]",
    summary: "write nodes of tombstone.json as systemd units, a Compose file or Kubernetes pods",
    nodes: ["systemd", "compose", "kubernetes"],
    then: "many",
    takesCommand: false,
    flags: [
      { name: "output", short: "o", value: "DIR", summary: "write the files there instead of to stdout" },
      { name: "force", summary: "replace files that are there already" },
      { name: "image", value: "IMAGE", summary: "container image for compose and kubernetes" },
    ],
  },
  {
    name: "doctor",
    synopsis: "[options]",
    summary: "check state, system and leftovers, and suggest a fix for each",
    nodes: "none",
    takesCommand: false,
    flags: [],
  },
  {
    name: "completions",
    synopsis: "bash|zsh|fish|nodes",
    summary: "print a completion script, or the names of nodes for it",
    nodes: ["bash", "zsh", "fish", "nodes"],
    takesCommand: false,
    flags: [],
  },
];

/**
 * Every setting of a node, once. The flags of `start` with their help, the parser of `tombstone.json` and its schema, the
 * options of the library, the settings of a start and their recorded form all come from this table.
 *
 * @module
 */
import type { Field, Type, Types } from "./field.ts";
import { PROBE_FIELDS } from "./probe_fields.ts";

/** Every setting, in the order of the help. */
export const FIELDS = [
  {
    path: "command",
    type: "command",
    help:
      "program and arguments, or a line for the shell; may use {port}, and {NODE.port}, {NODE.host}, {NODE.url} of nodes in its after",
  },
  {
    path: "once",
    type: "boolean",
    only: "file",
    help: "a step instead of a server: it runs at each start and must exit with 0 before its dependents start",
  },
  { path: "after", type: "names", only: "file", help: "nodes that must be ready before this one starts" },
  {
    path: "port",
    type: "port",
    flag: "port",
    help: "ready when the node itself listens on it; 0 picks one ($PORT, {port}), 3000+ one from 3000 up",
    recorded: "port_request",
  },
  {
    path: "host",
    type: "host",
    flag: "host",
    help: "address to connect to",
    otherwise: "any of loopback",
    recorded: "host",
  },
  {
    path: "port_file",
    type: "path",
    flag: "port-file",
    example: '"port"',
    help: "file that the server writes its port to, with an optional nonce on the second line",
  },
  ...PROBE_FIELDS,
  {
    path: "timeout",
    type: "duration",
    flag: "timeout",
    help: "how long to wait until it is ready",
    default: "60s",
    recorded: "timeout_ms",
  },
  {
    path: "cwd",
    type: "path",
    flag: "cwd",
    example: '"server"',
    word: "DIR",
    help: "directory to run the command in",
    default: ".",
    otherwise: "the current one, or the project's",
    recorded: "cwd",
  },
  { path: "env", type: "variables", flag: "env", help: "set a variable for the server; never recorded" },
  {
    path: "env_file",
    type: "path[]",
    flag: "env-file",
    example: '[".env", ".env.local?"]',
    help: "variables from a file; the caller's variables win; PATH? allows a missing file",
    recorded: "env_file",
  },
  {
    path: "clear_env",
    type: "boolean",
    flag: "clear-env",
    help: "pass only PATH, HOME, LANG, LC_*, TERM and TMPDIR of the environment",
    recorded: "clear_env",
  },
  {
    path: "stdin_open",
    type: "boolean",
    flag: "stdin-open",
    help: "keep the server's stdin open; otherwise it ends at once",
    recorded: "stdin_open",
  },
  {
    path: "pid_file",
    type: "path",
    flag: "pid-file",
    example: '"server.pid"',
    help: "file that a server writes its pid to when it daemonises itself",
    recorded: "pid_file",
  },
  {
    path: "sweep_files",
    type: "path[]",
    flag: "sweep-file",
    example: '["app.sock"]',
    help: "remove this file whenever the node does not run",
    recorded: "sweep_files",
  },
  {
    path: "exclude",
    type: "string[]",
    flag: "exclude",
    example: '["redis-server"]',
    word: "NAME",
    help: "never end processes of this name; epmd is always excluded",
    recorded: "exclude",
  },
  {
    path: "stop.signal",
    type: "signal",
    flag: "stop-signal",
    help: "signal that stops the server",
    default: "TERM",
    recorded: "stop.signal",
  },
  {
    path: "stop.timeout",
    type: "duration",
    flag: "stop-timeout",
    example: '"5s"',
    help: "kill what is left after this time",
    default: "10s",
    recorded: "stop.timeout_ms",
  },
  {
    path: "stop.command",
    type: "string",
    flag: "stop-command",
    example: '"pg_ctl stop"',
    word: "CMD",
    help: "shell command that stops the server, instead of the signal",
    recorded: "stop.command",
  },
  {
    path: "while_pid",
    type: "pid",
    flag: "while-pid",
    only: "call",
    help: "stop it once this process has ended, at the next tombstone command in any project",
  },
  {
    path: "max_age",
    type: "duration",
    flag: "max-age",
    example: '"4h"',
    help: "stop it this long after it was ready, at the next tombstone command in any project (0: never)",
    recorded: "max_age_ms",
  },
  {
    path: "session",
    type: "label",
    flag: "session",
    only: "call",
    word: "ID",
    help: "label for list --session and stop --session",
    otherwise: "TOMBSTONE_SESSION",
    recorded: "session",
  },
  {
    path: "log.keep",
    type: "count",
    flag: "log-keep",
    help: "logs of earlier starts to keep",
    default: "3",
    recorded: "log.keep",
  },
  {
    path: "log.max",
    type: "size",
    flag: "log-max",
    help: "keep only the end of a log that is longer than this",
    default: "50MB",
    recorded: "log.max_bytes",
  },
  {
    path: "outlive_ci_job",
    type: "boolean",
    flag: "outlive-ci-job",
    help: "hide the server from the clean-up of GitHub Actions and Jenkins",
    recorded: "outlive_ci_job",
  },
] as const satisfies readonly Field[];

/** The groups of settings: the part of a path before the dot. */
export const GROUPS: Record<string, string> = {
  probes: "when the node is ready; all conditions must hold",
  stop: "how the node is stopped",
  log: "how much of its output is kept",
};

/** Every setting, as a type. */
export type AnyField = (typeof FIELDS)[number];

/** Path of a setting. */
export type Path = AnyField["path"];

/** The parsed value of a setting; without a default, also the value for a setting that is not given. */
export type ValueOf<F extends AnyField> = Types[F["type"]] extends Type<infer T, infer None>
  ? F extends { default: string } ? T : T | None
  : never;

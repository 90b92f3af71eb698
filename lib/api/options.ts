/**
 * The options of the library that describe a node. Generated from `lib/spec/fields.ts` by `deno task docs`.
 *
 * @module
 */
import type { Duration } from "../spec/values.ts";

/** How much of its output is kept. */
export interface LogSettings {
  /** Logs of earlier starts to keep; default: 3. */
  keep?: number;
  /** Keep only the end of a log that is longer than this; default: 50MB. */
  max?: string | number;
}

/** How the node is stopped. */
export interface StopSettings {
  /** Signal that stops the server; default: TERM. */
  signal?: string;
  /** Kill what is left after this time; default: 10s. */
  timeout?: Duration;
  /** Shell command that stops the server, instead of the signal. */
  command?: string;
}

/** When the node is ready; all conditions must hold. */
export interface ProbeSettings {
  /** Ready when a GET is answered; a path goes to the node's port. */
  http?: string | string[];
  /** Statuses that count as an answer; default: 200-399. */
  httpStatus?: string;
  /** Ready when the node accepts connections on this unix socket. */
  unix?: string | string[];
  /** Ready when a line of its output matches. */
  log?: string | string[];
  /** Ready when this file has been written since the start. */
  file?: string | string[];
  /** Ready when this shell command exits with 0. */
  exec?: string | string[];
  /** Ready when the server says READY=1 (sd_notify, as for systemd). */
  notify?: boolean;
  /** Fail as soon as a line of its output matches. */
  failLog?: string | string[];
  /** Accept a listener that is not the node's own (containers). */
  anyListener?: boolean;
  /** Ready when the process has survived --alive-for. */
  none?: boolean;
  /** Not ready before it has run this long; default: 200ms with --no-probe. */
  aliveFor?: Duration;
  /** Ready when all conditions have held for this long; default: 0. */
  stableFor?: Duration;
}

/** What describes a node to start. */
export interface NodeSettings {
  /** Program and arguments, or a line for the shell; may use {port}, and {NODE.port}, {NODE.host}, {NODE.url} of nodes in its after. */
  command: string | string[];
  /** Ready when the node itself listens on it; 0 picks one ($PORT, {port}), 3000+ one from 3000 up. */
  port?: number | string;
  /** Address to connect to; default: any of loopback. */
  host?: string;
  /** File that the server writes its port to, with an optional nonce on the second line. */
  portFile?: string;
  /** When the node is ready; all conditions must hold. */
  probes?: ProbeSettings;
  /** How long to wait until it is ready; default: 60s. */
  timeout?: Duration;
  /** Directory to run the command in; default: the current one, or the project's. */
  cwd?: string;
  /** Set a variable for the server; never recorded. */
  env?: Record<string, string | number | boolean>;
  /** Variables from a file; the caller's variables win; PATH? allows a missing file. */
  envFile?: string | string[];
  /** Pass only PATH, HOME, LANG, LC_*, TERM and TMPDIR of the environment. */
  clearEnv?: boolean;
  /** Keep the server's stdin open; otherwise it ends at once. */
  stdinOpen?: boolean;
  /** File that a server writes its pid to when it daemonises itself. */
  pidFile?: string;
  /** Remove this file whenever the node does not run. */
  sweepFiles?: string | string[];
  /** Never end processes of this name; epmd is always excluded. */
  exclude?: string | string[];
  /** How the node is stopped. */
  stop?: StopSettings;
  /** Stop it once this process has ended, at the next tombstone command in any project. */
  whilePid?: number;
  /** Stop it this long after it was ready, at the next tombstone command in any project (0: never). */
  maxAge?: Duration;
  /** Label for list --session and stop --session; default: TOMBSTONE_SESSION. */
  session?: string;
  /** How much of its output is kept. */
  log?: LogSettings;
  /** Hide the server from the clean-up of GitHub Actions and Jenkins. */
  outliveCiJob?: boolean;
}

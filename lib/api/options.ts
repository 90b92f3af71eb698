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
  /** Cut the log to its end when it is longer than this; default: 50MB. */
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

/** When the node is ready; all of it must hold. */
export interface ProbeSettings {
  /** Ready when a GET is answered; a path is asked for on the node's port. */
  http?: string | string[];
  /** Statuses that count as an answer; default: 200-399. */
  httpStatus?: string;
  /** Ready when the node accepts on this unix socket. */
  unix?: string | string[];
  /** Ready when a line of its output matches. */
  log?: string | string[];
  /** Ready when this file has been written since the start. */
  file?: string | string[];
  /** Ready when this shell command exits with 0. */
  exec?: string | string[];
  /** Ready when the server says READY=1 (sd_notify, as for systemd). */
  notify?: boolean;
  /** Failed as soon as a line of its output matches. */
  failLog?: string | string[];
  /** Accept a listener that is not the node's own (containers). */
  anyListener?: boolean;
  /** Ready when the process has survived --alive-for. */
  none?: boolean;
  /** Ready not before it has run this long; default: 200ms with --no-probe. */
  aliveFor?: Duration;
  /** Ready when all of it has held for this long; default: 0. */
  stableFor?: Duration;
}

/** What describes a node to start. */
export interface NodeSettings {
  /** Program and arguments, or a line for the shell; {port}, and {NODE.port}, {NODE.host}, {NODE.url} of nodes that it comes after. */
  command: string | string[];
  /** Ready when the node itself listens on it; 0: a free one ($PORT, {port}), 3000+: it or the next. */
  port?: number | string;
  /** Address to connect to; default: any of loopback. */
  host?: string;
  /** The server writes its port there, and a nonce on the second line. */
  portFile?: string;
  /** When the node is ready; all of it must hold. */
  probes?: ProbeSettings;
  /** Give up when it is not ready by then; default: 60s. */
  timeout?: Duration;
  /** Directory to run the command in; default: the current one, or the project's. */
  cwd?: string;
  /** Set a variable for the server; never recorded. */
  env?: Record<string, string | number | boolean>;
  /** Variables from a file; the caller's environment wins; PATH?: it may be missing. */
  envFile?: string | string[];
  /** Keep only PATH, HOME, LANG, LC_*, TERM and TMPDIR of the environment. */
  clearEnv?: boolean;
  /** Give the server an input that stays open; it ends at once otherwise. */
  stdinOpen?: boolean;
  /** The server daemonises itself and writes its pid there. */
  pidFile?: string;
  /** A file that is stale whenever the node does not run. */
  sweepFiles?: string | string[];
  /** Never end processes of this name (epmd never is). */
  exclude?: string | string[];
  /** How the node is stopped. */
  stop?: StopSettings;
  /** How much of its output is kept. */
  log?: LogSettings;
  /** Hide the server from the clean-up of GitHub Actions and Jenkins. */
  outliveCiJob?: boolean;
}

/**
 * The flags of whatever starts a node.
 *
 * @module
 */
/** One flag. */
export interface Flag {
  /** Long name without the dashes. */
  name: string;
  /** One-letter form. */
  short?: string;
  /** Placeholder of its value; without one the flag is a switch. */
  value?: string;
  /** Whether it may be given several times. */
  repeat?: true;
  /** One line for the help. */
  summary: string;
}

/** How long to wait for the lock. */
export const LOCK_TIMEOUT: Flag = {
  name: "lock-timeout",
  value: "TIME",
  summary: "wait this long while another tombstone works on the node (30s)",
};
/** What to do about state of another machine. */
export const FORCE: Flag = {
  name: "force",
  summary: "also where state was written on another host or in another pid namespace",
};
/** Variables for the server. */
export const ENV: Flag = {
  name: "env",
  value: "K=V",
  repeat: true,
  summary: "set a variable for the server; never recorded",
};

/** Flags of whatever starts a node. */
export const START_FLAGS: Flag[] = [
  {
    name: "port",
    value: "N",
    summary: "ready when the node itself listens on this TCP port; 0 chooses a free one ($PORT, {port})",
  },
  { name: "host", value: "HOST", summary: "address to connect to (any of loopback)" },
  { name: "port-file", value: "PATH", summary: "the server writes its port there, and a nonce on the second line" },
  {
    name: "http",
    value: "PATH|URL",
    repeat: true,
    summary: "ready when a GET is answered; a path is asked for on the node's port",
  },
  { name: "http-status", value: "RANGES", summary: "statuses that count as an answer (200-399)" },
  { name: "unix", value: "PATH", repeat: true, summary: "ready when the node accepts on this unix socket" },
  { name: "log", value: "REGEX", repeat: true, summary: "ready when a line of its output matches" },
  { name: "file", value: "PATH", repeat: true, summary: "ready when this file has been written since the start" },
  { name: "exec", value: "CMD", repeat: true, summary: "ready when this shell command exits with 0" },
  { name: "notify", summary: "ready when the server says READY=1 (sd_notify, as for systemd)" },
  { name: "fail-log", value: "REGEX", repeat: true, summary: "failed as soon as a line of its output matches" },
  { name: "any-listener", summary: "accept a listener that is not the node's own (containers)" },
  { name: "no-probe", summary: "ready when the process has survived --alive-for" },
  { name: "alive-for", value: "TIME", summary: "ready not before it has run this long (200ms with --no-probe)" },
  { name: "stable-for", value: "TIME", summary: "ready when all of it has held for this long" },
  { name: "timeout", value: "TIME", summary: "give up when it is not ready by then (60s)" },
  LOCK_TIMEOUT,
  { name: "cwd", value: "DIR", summary: "directory to run the command in (the current one)" },
  ENV,
  { name: "clear-env", summary: "keep only PATH, HOME, LANG, LC_*, TERM and TMPDIR of the environment" },
  { name: "stdin-open", summary: "give the server an input that stays open; it ends at once otherwise" },
  { name: "pid-file", value: "PATH", summary: "the server daemonises itself and writes its pid there" },
  {
    name: "sweep-file",
    value: "PATH",
    repeat: true,
    summary: "a file that is stale whenever the node does not run",
  },
  {
    name: "exclude",
    value: "NAME",
    repeat: true,
    summary: "never end processes of this name (epmd never is)",
  },
  { name: "stop-signal", value: "SIG", summary: "signal that stops the server (TERM)" },
  { name: "stop-timeout", value: "TIME", summary: "kill what is left after this time (10s)" },
  { name: "stop-command", value: "CMD", summary: "shell command that stops the server, instead of the signal" },
  { name: "log-keep", value: "N", summary: "logs of earlier starts to keep (3)" },
  { name: "log-max", value: "SIZE", summary: "cut the log to its end when it is longer than this (50MB)" },
  { name: "outlive-ci-job", summary: "hide the server from the clean-up of GitHub Actions and Jenkins" },
  { name: "trace", summary: "tell at the end where the time went, a bar per step" },
  { name: "replace", summary: "stop the node first if it runs" },
  FORCE,
];

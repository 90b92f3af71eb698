/**
 * The settings that say when a node is ready, as part of the table of all settings.
 *
 * @module
 */
import type { Field } from "./field.ts";

/** The probes, in the order of the help. */
export const PROBE_FIELDS = [
  {
    path: "probes.http",
    type: "target[]",
    flag: "http",
    help: "ready when a GET is answered; a path goes to the node's port",
  },
  {
    path: "probes.http_status",
    type: "statuses",
    flag: "http-status",
    help: "statuses that count as an answer",
    default: "200-399",
  },
  {
    path: "probes.unix",
    type: "path[]",
    flag: "unix",
    example: '["app.sock"]',
    help: "ready when the node accepts connections on this unix socket",
  },
  { path: "probes.log", type: "regex[]", flag: "log", help: "ready when a line of its output matches" },
  { path: "probes.file", type: "path[]", flag: "file", help: "ready when this file has been written since the start" },
  {
    path: "probes.exec",
    type: "string[]",
    flag: "exec",
    example: '["pg_isready"]',
    word: "CMD",
    help: "ready when this shell command exits with 0",
  },
  {
    path: "probes.notify",
    type: "boolean",
    flag: "notify",
    help: "ready when the server says READY=1 (sd_notify, as for systemd)",
  },
  {
    path: "probes.fail_log",
    type: "regex[]",
    flag: "fail-log",
    example: '["EADDRINUSE"]',
    help: "fail as soon as a line of its output matches",
    recorded: "fail_log",
  },
  {
    path: "probes.any_listener",
    type: "boolean",
    flag: "any-listener",
    help: "accept a listener that is not the node's own (containers)",
  },
  { path: "probes.none", type: "boolean", flag: "no-probe", help: "ready when the process has survived --alive-for" },
  {
    path: "probes.alive_for",
    type: "duration",
    flag: "alive-for",
    example: '"1s"',
    help: "not ready before it has run this long",
    default: "200ms",
    otherwise: "{default} with --no-probe",
  },
  {
    path: "probes.stable_for",
    type: "duration",
    flag: "stable-for",
    example: '"2s"',
    help: "ready when all conditions have held for this long",
    default: "0",
    recorded: "stable_for_ms",
  },
] as const satisfies readonly Field[];

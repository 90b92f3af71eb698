/**
 * The report on a node, for `status`, `list`, `wait` and as the result of `start`: its fields, and how they are filled in.
 *
 * @module
 */
import { statOrNull } from "../os/stat.ts";
import { lastLines, tailOf } from "../state/log_reader.ts";
import { type NodeDir, projectOf } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import type { Tombstone } from "../state/tombstone.ts";
import { isStep } from "../spec/probes.ts";
import { readRecorded, RECORDED } from "../state/recorded.ts";
import { addressOf } from "../readiness/http.ts";
import { describeGone, goneDirectoryOf, NO_SERVER, type Resident } from "./gone_directory.ts";
import type { Recovered } from "./reporter.ts";

/** State of a node. */
export type State =
  | "running"
  | "starting"
  | "interrupted"
  | "failed"
  | "died"
  | "stale"
  | "stopped"
  | "unknown";

/** The JSON document of one node; what is not known is `null`. */
export interface NodeReport {
  /** Workspace id. */
  workspace: string;
  /** Node name. */
  node: string;
  /** Its project's directory; `null` if it was never started. */
  project: string | null;
  /** Its state. */
  state: State;
  /** Why, where that needs words. */
  reason: string | null;
  /** Whether its probes pass now; for a step, whether it is done. */
  ready: boolean;
  /** Whether it is a step instead of a server. */
  once: boolean;
  /** Whether this call started it. */
  started: boolean;
  /**
   * Whether it outlives the command line that has started it: `false` in a sandbox that ends with that; only known to
   * `start` and `restart`.
   */
  survives: boolean | null;
  /** Main process. */
  pid: number | null;
  /** Address that it was reached at. */
  host: string | null;
  /** Port. */
  port: number | null;
  /**
   * Both as an `http` or `https` URL, if an HTTP probe asks for that or the server answered HTTP during its start. Else
   * `host:port`; curl accepts either. `unix:` and the path, of a node with nothing but a unix socket.
   */
  url: string | null;
  /** Other ports that it listens on, if its own was discovered. */
  also_listens: number[];
  /** Attempt. */
  attempt: string | null;
  /** When the attempt began, ISO 8601. */
  started_at: string | null;
  /** When it was ready, ISO 8601. */
  ready_at: string | null;
  /** Milliseconds from the spawn until ready. */
  ready_ms: number | null;
  /** Program and arguments, as given. */
  command: string[] | null;
  /** Directory that it runs in. */
  cwd: string | null;
  /** The process that it ends with. */
  while_pid: number | null;
  /** How long after it was ready it ends, in milliseconds. */
  max_age_ms: number | null;
  /** Its label. */
  session: string | null;
  /** Whether its project has been deleted; in a named workspace, the directory that it runs in. */
  directory_gone: boolean;
  /** Path of the log. */
  log: string;
  /** Its length in bytes; `null` if there is none. */
  log_size: number | null;
  /** When its server last wrote to it, ISO 8601; `null` for a node that is not dead, or wrote nothing. */
  last_log_at: string | null;
  /** Its last lines, of a dead node that `status` reports on. */
  log_tail: string[];
  /** Path of the node's directory. */
  dir: string;
  /** What this call cleaned up after an earlier start or server. */
  recovered: Recovered | null;
  /** Fields in which a running node differs from the request. */
  differs: string[];
  /** Processes that this call had to kill. */
  killed: number[];
}

/** Whether its log may explain the state. */
function isDead(state: State): boolean {
  return state === "died" || state === "failed" || state === "interrupted";
}

function lastWriteTo(log: string): string | null {
  const info = statOrNull(log, { unseen: "missing" });
  const at = info !== null && info.size > 0 ? info.mtime?.getTime() ?? null : null;
  return at === null ? null : new Date(at).toISOString();
}

/** Most lines of a log that are searched for the beginning of a stack. */
const SEARCHED_LINES = 2000;

/** The report of a dead node, with the last lines of its log; any other as it is. */
export function withLogTail(report: NodeReport, lines: number): NodeReport {
  if (!isDead(report.state) || lines === 0) return report;
  return { ...report, log_tail: tailOf(lastLines(report.log, SEARCHED_LINES), lines) };
}

/** A report without anything but the state. */
export function emptyReport(
  dir: NodeDir,
  state: State,
  reason: string | null,
  resident: Resident = NO_SERVER,
): NodeReport {
  const project = projectOf(dir);
  const gone = goneDirectoryOf(dir, resident);
  return {
    workspace: dir.workspace,
    node: dir.node,
    project,
    state,
    reason: gone === null || state === "stopped" ? reason : describeGone(dir, gone, reason),
    ready: false,
    once: false,
    started: false,
    survives: null,
    pid: null,
    host: null,
    port: null,
    url: null,
    also_listens: [],
    attempt: null,
    started_at: null,
    ready_at: null,
    ready_ms: null,
    command: null,
    cwd: null,
    ...leasesIn(null),
    directory_gone: gone !== null,
    log: dir.log,
    log_size: statOrNull(dir.log, { unseen: "missing" })?.size ?? null,
    last_log_at: isDead(state) ? lastWriteTo(dir.log) : null,
    log_tail: [],
    dir: dir.path,
    recovered: null,
    differs: [],
    killed: [],
  };
}

/** The report of a node whose state could not be read at all. */
export const unreadable = (dir: NodeDir, reason: string): NodeReport => emptyReport(dir, "unknown", reason);

/** What a node ends with, as far as it was said at its start; and its session. */
function leasesIn(record: NodeInfo | Tombstone | null): Pick<NodeReport, "while_pid" | "max_age_ms" | "session"> {
  const { while_process = null, max_age_ms = null, session = null } = record ?? {};
  return { while_pid: while_process?.pid ?? null, max_age_ms, session };
}

/** The unix socket that it was asked for, as a URL. */
function socketOf({ probes }: NodeInfo): string | null {
  const probe = probes.find((probe) => probe.type === "unix");
  return probe === undefined ? null : `unix:${probe.path}`;
}

/** The report of a node with a commit record. */
export function reportOfInfo(dir: NodeDir, info: NodeInfo, state: State, reason: string | null = null): NodeReport {
  return {
    ...emptyReport(dir, state, reason, { ...info, pid: state === "died" ? null : info.pid }),
    pid: isStep(info) ? null : info.pid,
    ready: isStep(info), // a step has a record only once it is done
    once: isStep(info),
    ...(addressOf(info) ?? { host: info.bind_addr, url: socketOf(info) }),
    also_listens: info.also_listens,
    attempt: info.attempt,
    started_at: info.started_at,
    ready_at: info.ready_at,
    ready_ms: info.ready_ms,
    command: info.command.length === 0 ? null : info.command,
    cwd: info.cwd,
    ...leasesIn(info),
  };
}

/** The report of a start that has not committed. */
export function reportOfTombstone(dir: NodeDir, tombstone: Tombstone, state: State, reason: string | null): NodeReport {
  return {
    ...emptyReport(dir, state, reason, { ...tombstone, pid: null }),
    once: isStep(tombstone),
    attempt: tombstone.attempt,
    started_at: tombstone.begun_at || null,
    command: tombstone.command.length === 0 ? null : tombstone.command,
    cwd: tombstone.cwd,
    ...leasesIn(tombstone),
  };
}

/** A node that does not run, with the command and directory of its next start. */
export function reportOfStopped(dir: NodeDir, entries: string[]): NodeReport {
  const { settings, done_at } = entries.includes(RECORDED) ? readRecorded(dir) : { settings: null, done_at: null };
  const once = settings !== null && isStep(settings);
  const isDone = once && done_at !== null;
  return {
    ...emptyReport(dir, "stopped", isDone ? "a step, done" : once ? "a step, not done" : null),
    ready: isDone,
    once,
    command: settings?.command ?? null,
    cwd: settings?.cwd ?? null,
  };
}

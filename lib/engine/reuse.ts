/**
 * A start that finds the node running, and reuses it: it must not differ from what was requested, and it must be ready.
 *
 * @module
 */
import { chosenFrom, fixedPort } from "../spec/port_request.ts";
import { system, UNKNOWN_START } from "../os/system.ts";
import { type TombstoneError, tombstoneError } from "../errors.ts";
import type { ProbeTarget } from "../readiness/types.ts";
import { type Outcome, untilReady } from "../readiness/wait.ts";
import { isEvent } from "../spec/probes.ts";
import { trimLog } from "../state/log.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { live } from "../os/scan.ts";
import type { Scan } from "../os/types.ts";
import { findMain } from "./liveness.ts";
import type { Started, StartRequest } from "./request.ts";

/**
 * Reports a node that already runs, once its probes pass.
 *
 * @returns `null` if it dies meanwhile
 * @throws {TombstoneError} its probes do not pass in time, or it is not what was requested
 */
export async function reuseRunning(request: StartRequest, info: NodeInfo): Promise<Started | null> {
  const { dir, settings, reporter } = request;
  const differences = differencesOf(info, request);
  if (differences.length > 0 && request.different === "refuse") throw differentRunning(dir, info, request, differences);
  const outcome = await untilReusable(request, info);
  switch (outcome.kind) {
    case "ready":
      break;
    case "aborted":
      throw request.abort.reason;
    case "gone":
    case "failed": // does not occur: `failures` is null
      return null;
    case "timeout":
    case "foreign": {
      const states = outcome.kind === "timeout" ? outcome.states : [outcome.verdict.state];
      throw tombstoneError(
        `Cannot start "${dir.node}": it runs as pid ${info.pid}, but is not ready after ${settings.timeout_ms} ms, ` +
          states.join(", "),
        {
          kind: "not-ready",
          hint: `tombstone start ${dir.node} --replace, or wait longer with --timeout`,
          details: { pid: info.pid, waiting_for: states },
        },
      );
    }
  }
  trimLog(dir.log, info.log.max_bytes);
  if (info.run !== null) reporter.warn(`"${dir.node}" ends with pid ${info.run.pid} (run or up), which started it`);
  if (differences.length > 0) {
    const found = differences.map(({ text }) => text).join(" and ");
    reporter.warn(
      `"${dir.node}" runs as it was started, with ${found}; tombstone restart ${dir.node} starts it as described`,
    );
  }
  return { started: false, info, recovered: null, differs: differences.map(({ what }) => what), killed: [] };
}

function untilReusable({ dir, settings, reporter, abort }: StartRequest, info: NodeInfo): Promise<Outcome> {
  const target = probeTargetOf(dir, info);
  const waiting = reporter.wait(dir);
  return untilReady({
    probes: info.probes.filter((probe) => !isEvent(probe)),
    failures: null,
    stableForMs: 0,
    timeoutMs: settings.timeout_ms,
    target: () => target,
    isGone: () => findMain(dir, info) === null,
    end: new Promise(() => {}),
    abort,
    onRound: (states) => waiting.update(states),
  }).finally(() => waiting[Symbol.dispose]());
}

/** A committed node as the target of its probes. */
export function probeTargetOf(dir: NodeDir, info: NodeInfo, scan: Scan = live): ProbeTarget {
  const attempts = info.attempt === null ? [] : [info.attempt];
  const processes = [findMain(dir, info, scan) ?? { pid: info.pid, startTime: UNKNOWN_START }];
  return {
    mainPid: info.pid,
    roots: { dir, attempts, processes, exclude: info.exclude, scan },
    ageMs: Infinity,
    sinceMs: info.started_at === null ? null : Date.parse(info.started_at),
    cwd: info.cwd,
    env: {},
    notifications: null,
    known: { host: info.bind_addr ?? info.host, port: info.port, nonce: info.nonce },
  };
}

/** One difference. */
export interface Difference {
  /** `command`, `cwd`, `port`, `host`, `env`, or `db.port` of a node that it needs. */
  what: string;
  /** What it has instead, in words. */
  text: string;
}

/** The differences. Values of variables are not recorded, so only their names are compared. */
function differencesOf(info: NodeInfo, request: StartRequest): Difference[] {
  const { settings, commandAt } = request;
  const differences: Difference[] = [];
  const add = (what: string, text: string) => differences.push({ what, text });
  // A changed address is one difference; the command that contains it is not a second one.
  const command = commandAt?.({ ...settings.needs, ...info.needs }) ?? settings.command;
  if (info.command.length > 0 && JSON.stringify(words(info.command)) !== JSON.stringify(words(command))) {
    add("command", `another command (${info.command.join(" ")})`);
  }
  if (info.command.length > 0 && !isSameDirectory(info.cwd, settings.cwd)) {
    add("cwd", `another directory (${info.cwd})`);
  }
  const port = fixedPort(settings.port_request);
  const from = chosenFrom(settings.port_request);
  if (from !== null && info.port < from || port !== null && ![info.port, info.port_request].includes(port)) {
    add("port", info.port === 0 ? "no port" : `another port (${info.port})`);
  }
  const { host } = settings;
  if (host !== null && host !== info.host && host !== info.bind_addr) {
    add("host", `another host (${info.bind_addr ?? info.host ?? "any of its own"})`);
  }
  if (request.different === "tell" || commandAt !== undefined) {
    const names = (list: string[]) => list.toSorted().join(" ");
    const isOther = names(info.env_names) !== names(settings.env_names) ||
      info.env_file.join("\0") !== settings.env_file.join("\0");
    if (isOther) add("env", "other variables");
  }
  for (const [node, place] of Object.entries(settings.needs)) {
    const before = info.needs[node];
    if (before !== undefined && before.port !== place.port) {
      add(`${node}.port`, `an old port of "${node}" (${before.port})`);
    }
    if (before !== undefined && before.host !== place.host) {
      add(`${node}.host`, `an old host of "${node}" (${before.host})`);
    }
  }
  return differences;
}

/** A line without special characters, so that a shell splits it at its spaces and does nothing else. */
const PLAIN_LINE = /^[\w@%+:,./-][\w@%+=:,./-]*( [\w@%+=:,./-]+)*$/;

/** Makes `sh -c "npm run dev"` equal to `npm run dev`. */
function words(command: string[]): string[] {
  const line = system.shell.lineOf(command);
  if (line === null) return command;
  const isPlain = PLAIN_LINE.test(line.trim()) && !/^\S*=/.test(line.trim());
  return isPlain ? line.trim().split(" ") : system.shell.words(line);
}

/** Compares real paths, because several paths may lead to one directory through symbolic links. */
function isSameDirectory(one: string, other: string): boolean {
  if (one === other) return true;
  try {
    return Deno.realPathSync(one) === Deno.realPathSync(other);
  } catch (error) {
    if (error instanceof Error && "code" in error) return false; // one is missing or closed to this user
    throw error;
  }
}

/** The error for a running node that is not what was requested: exit code 1. */
function differentRunning(
  dir: NodeDir,
  info: NodeInfo,
  request: StartRequest,
  found: Difference[],
): TombstoneError {
  const isDescribed = request.commandAt !== undefined;
  return tombstoneError(
    `Cannot start "${dir.node}": it already runs, pid ${info.pid}, with ${found.map(({ text }) => text).join(" and ")}`,
    {
      kind: "different-running",
      hint: isDescribed
        ? `tombstone restart ${dir.node}, or add --replace`
        : "add --replace to stop that one and start this one, or give this one a name of its own",
      details: {
        differs: found.map(({ what }) => what),
        pid: info.pid,
        command: info.command,
        cwd: info.cwd,
        port: info.port === 0 ? null : info.port,
      },
    },
  );
}

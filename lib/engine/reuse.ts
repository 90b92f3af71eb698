/**
 * A start that finds the node running, and reuses it.
 *
 * @module
 */
import { UNKNOWN_START } from "../os/system.ts";
import { tombstoneError } from "../errors.ts";
import type { ProbeTarget } from "../readiness/types.ts";
import { type Outcome, untilReady } from "../readiness/wait.ts";
import { isEvent } from "../spec/probes.ts";
import { trimLog } from "../state/log.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { differencesOf, differentRunning } from "./difference.ts";
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
  const outcome = await untilJoined(request, info);
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
          hint: `stop and start it in one go with tombstone start ${dir.node} --replace -- COMMAND`,
          details: { pid: info.pid, waiting_for: states },
        },
      );
    }
  }
  trimLog(dir.log, info.log.max_bytes);
  if (info.run !== null) reporter.warn(`"${dir.node}" ends with the run, pid ${info.run.pid}, that started it`);
  if (differences.length > 0) {
    const found = differences.map(({ text }) => text).join(" and ");
    reporter.warn(
      `"${dir.node}" runs as it was started, with ${found}; tombstone restart ${dir.node} starts it as described`,
    );
  }
  return { started: false, info, recovered: null, differs: differences.map(({ what }) => what), killed: [] };
}

function untilJoined({ dir, settings, reporter, abort }: StartRequest, info: NodeInfo): Promise<Outcome> {
  const subject = probeTargetOf(dir, info);
  const waiting = reporter.wait(dir);
  return untilReady({
    probes: info.probes.filter((probe) => !isEvent(probe)),
    failures: null,
    stableForMs: 0,
    timeoutMs: settings.timeout_ms,
    subject: () => subject,
    isGone: () => findMain(dir, info) === null,
    end: new Promise(() => {}),
    abort,
    onLook: (states) => waiting.update(states),
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

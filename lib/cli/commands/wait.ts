/**
 * `tombstone wait`.
 *
 * @module
 */
import { DEFAULTS } from "../../spec/settings.ts";
import type { Call, Result } from "../call.ts";
import { EXIT, type TombstoneError, tombstoneError } from "../../errors.ts";
import { inspect } from "../../engine/inspect.ts";
import type { NodeReport, State } from "../../engine/report.ts";
import { sleep } from "../../async.ts";
import { Readiness } from "../../readiness/wait.ts";
import { describedNames, hintToStart, NO_NODES, recordedNames, warnUnknown } from "../nodes.ts";
import { statusLine } from "../render.ts";
import { isOutside, waitOutside } from "../wait_outside.ts";

/** How long a node may be failed or dead until the wait gives up, in milliseconds. */
const GIVE_UP_AFTER_MS = 2000;

/** Runs the command: waits for the named nodes, for all of the workspace, or for what flags name. */
export async function run(call: Call): Promise<Result> {
  if (isOutside(call)) return await waitOutside(call);
  const timeoutMs = call.duration("timeout", DEFAULTS.timeout_ms);
  const isGone = call.flags.has("gone");
  const names = [...new Set(call.nodes)];
  await warnUnknown(call);
  // A described node is waited for even if its start has not begun yet.
  const fixed = names.length === 0 ? await describedNames(call) : names;
  const begun = performance.now();
  using waiting = call.output.wait(await call.nodeDir(fixed[0] ?? call.node, "find"));
  const readiness = new Map<string, Readiness>();
  for (let pause = 5;; pause = Math.min(pause * 1.5, 50)) {
    const reports = await look(call, readiness, fixed, names.length === 0 ? await recordedNames(call) : []);
    const others = reports.filter((report) => isGone ? !GONE.includes(report.state) : !isReady(report));
    if ((isGone || reports.length > 0) && others.length === 0) {
      const lines = reports.map((report) => statusLine(report, call.output.paint));
      const document = names.length === 1 ? reports[0] : { nodes: reports };
      return { exitCode: EXIT.ok, document, lines: lines.length === 0 ? [NO_NODES] : lines };
    }
    waiting.update(reports.length === 0 ? [NO_NODES] : others.map((report) => describe(report, fixed.length !== 1)));
    const elapsed = performance.now() - begun;
    const vain = isGone ? undefined : others.find(isInVain);
    if (vain !== undefined && elapsed >= Math.min(GIVE_UP_AFTER_MS, timeoutMs)) throw await inVain(call, vain);
    if (elapsed >= timeoutMs) {
      throw others[0] === undefined ? noNodes(timeoutMs) : await notReady(call, others[0], timeoutMs, isGone);
    }
    await sleep(Math.min(pause, timeoutMs - elapsed + 1));
  }
}

/** States of a node without any known process. */
const GONE: State[] = ["stopped", "died", "failed"];

const isReady = ({ state, ready, once }: NodeReport) => ready && (state === "running" || once);

/**
 * The nodes to wait for. Skips recorded nodes that are stopped, since that was on purpose. If any nodes are described,
 * skips recorded ones that neither run nor are starting.
 */
async function look(
  call: Call,
  readiness: Map<string, Readiness>,
  fixed: string[],
  recorded: string[],
): Promise<NodeReport[]> {
  const reports: NodeReport[] = [];
  for (const node of new Set([...fixed, ...recorded])) {
    if (!readiness.has(node)) readiness.set(node, new Readiness());
    const report = await inspect(await call.nodeDir(node, "find"), readiness.get(node));
    const isUnderWay = report.state === "running" || report.state === "starting";
    const counts = isUnderWay || fixed.length === 0 && report.state !== "stopped";
    if (fixed.includes(node) || counts) reports.push(report);
  }
  return reports;
}

function describe({ node, state, reason }: NodeReport, isOneOfMany: boolean): string {
  return `${isOneOfMany ? `"${node}"` : "it"} ${inWords(state)}${reason === null ? "" : `, ${reason}`}`;
}

function inWords(state: State): string {
  return state === "failed" || state === "died"
    ? `has ${state}`
    : state === "interrupted"
    ? "was interrupted"
    : `is ${state}`;
}

/** Whether only a new start could still make it ready. One may be about to begin, hence the grace. */
function isInVain(report: NodeReport): boolean {
  return report.state === "failed" || report.state === "died" || report.state === "interrupted";
}

async function inVain(call: Call, report: NodeReport): Promise<TombstoneError> {
  const reason = report.reason === null ? "" : `: ${report.reason}`;
  return tombstoneError(`Cannot wait for "${report.node}": it ${inWords(report.state)}${reason}`, {
    kind: "server-exited",
    hint: await hintToStart(call, report.node),
    details: { node: report.node, state: report.state },
  });
}

async function notReady(
  call: Call,
  { node, state }: NodeReport,
  timeoutMs: number,
  isGone: boolean,
): Promise<TombstoneError> {
  const help = isGone
    ? `tombstone stop ${node}`
    : /^\d+$/.test(node)
    ? `tombstone wait --port ${node}`
    : state === "stopped"
    ? await hintToStart(call, node)
    : `tombstone status ${node}`;
  return tombstoneError(
    `Cannot wait for "${node}"${isGone ? " to go" : ""} any longer: after ${timeoutMs} ms it ${inWords(state)}`,
    {
      kind: "not-ready",
      hint: `${help}, or allow more time with --timeout`,
      details: { node, state, timeout_ms: timeoutMs },
    },
  );
}

function noNodes(timeoutMs: number): TombstoneError {
  return tombstoneError(`Cannot wait any longer: there are ${NO_NODES} after ${timeoutMs} ms`, {
    kind: "not-ready",
    hint: "tombstone list shows every node of every workspace",
    details: { timeout_ms: timeoutMs },
  });
}

/**
 * `tombstone status`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT, TombstoneError, usageError } from "../../errors.ts";
import { inspect } from "../../engine/inspect.ts";
import { type NodeReport, type State, unreadable, withLogTail } from "../../engine/report.ts";
import { scanOnce } from "../../os/scan.ts";
import type { Scan } from "../../os/types.ts";
import { Readiness } from "../../readiness/wait.ts";
import { ATTEMPT_VARIABLE } from "../../process/tree.ts";
import { modifiedAtMs } from "../../state/durable.ts";
import { allNodes, type NodeDir, nodesOfWorkspace } from "../../state/node_dir.ts";
import { AT_ONCE, inBatches } from "../../async.ts";
import { NodeStream } from "../node_stream.ts";
import { describedNames, NO_NODES, nodesOf, warnUnknown } from "../nodes.ts";
import { statusLine, StatusTable } from "../render.ts";

/** Exit codes of states, like those of LSB init scripts; the worst first. */
const WORST_FIRST = [EXIT.state, EXIT.failed, EXIT.nothing, EXIT.ok];

/** The first rows decide the widths of the table's columns; later ones may be wider. */
const FIRST_ROWS = 1000;

/** Number of log lines in the report on a dead node. */
const TAIL_LINES = 10;

/** Exit code of `status` for a node in this state. */
export function exitCodeOf(state: State): number {
  switch (state) {
    case "running":
      return EXIT.ok;
    case "interrupted":
    case "failed":
    case "died":
    case "stale":
      return EXIT.failed;
    case "starting":
    case "stopped":
      return EXIT.nothing;
    case "unknown":
      return EXIT.state;
  }
}

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const all = call.flags.has("all");
  if (all && call.nodes.length > 0) {
    throw usageError("Cannot use --all with names of nodes", "tombstone status --all");
  }
  await warnUnknown(call);
  if (call.nodes.length === 1) {
    const { paint } = call.output;
    const report = withLogTail(await inspect(await call.nodeDir(call.node, "find")), TAIL_LINES);
    const tail = report.log_tail.map((line) => paint.quiet(`  | ${line}`));
    const lines = [statusLine(report, paint), ...tail.length === 0 ? [] : ["the last lines of its log:", ...tail]];
    return { exitCode: exitCodeOf(report.state), document: report, lines };
  }
  // A named node counts even if it was stopped on purpose, as a described one does.
  const described = all ? [] : call.nodes.length > 0 ? await nodesOf(call) : await describedNames(call);
  const dirs = all ? everyWorkspace(call) : await ownWorkspace(call, described);
  const seen = await tellNodes(call, dirs, {
    columns: all ? "workspace and node" : "node",
    none: NO_NODES,
    described,
    tail: TAIL_LINES,
  });
  const codes = [...seen].map(exitCodeOf) as number[];
  const exitCode = WORST_FIRST.find((code) => codes.includes(code)) ?? EXIT.nothing;
  return { exitCode, document: null, lines: [], isPrinted: true };
}

function everyWorkspace(call: Call): Iterable<NodeDir> {
  const state = call.findState();
  return state === null ? [] : allNodes(state);
}

/** The named nodes; else the described ones, even those that were never started, and then the others. */
async function ownWorkspace(call: Call, names: string[]): Promise<Iterable<NodeDir>> {
  const state = call.findState();
  const workspace = await call.workspace();
  const known = state === null || call.nodes.length > 0 ? [] : nodesOfWorkspace(state, workspace.id);
  if (names.length === 0) return known;
  const described = await Promise.all(names.map((name) => call.nodeDir(name, "find")));
  return [...described, ...Array.from(known).filter(({ node }) => !names.includes(node))];
}

/** How nodes are reported. */
export interface Telling {
  /** Columns of the table that name the node. */
  columns: "node" | "workspace and node";
  /** The message if there is none. */
  none: string;
  /** Names of the nodes that count in any state: the described ones, or those that were named. */
  described: string[];
  /** Number of log lines of a dead node in the JSON document. */
  tail: number;
}

/** A node that was stopped longer ago than this is only named, unless it is described. */
const LONG_AGO_MS = 24 * 3600 * 1000;

/**
 * Reports nodes from one scan of the system, each as soon as possible.
 *
 * @returns the states that count: a stopped node counts only if it is described; the others were stopped on purpose
 */
export async function tellNodes(
  call: Call,
  dirs: Iterable<NodeDir>,
  { columns, none, described, tail }: Telling,
): Promise<Set<State>> {
  const scan = scanOnce(ATTEMPT_VARIABLE);
  const stream = new NodeStream(call.output);
  const states = new Set<State>();
  const first: NodeReport[] = [];
  const longAgo: NodeReport[] = [];
  let table: StatusTable | null = null;
  const begin = () => {
    table = new StatusTable(first, columns, call.output.paint);
    stream.line(table.head());
    for (const report of first) stream.line(table.row(report));
    return table;
  };
  for await (const report of inBatches(AT_ONCE.look, dirs, (dir) => look(dir, scan))) {
    const isAside = report.state === "stopped" && !described.includes(report.node);
    const isDone = report.once && report.ready; // a step that is done is as it should be
    if (!isAside && !isDone) states.add(report.state);
    stream.add(withLogTail(report, tail));
    if (isAside && wasStoppedLongAgo(report)) longAgo.push(report);
    else if (table !== null) stream.line((table as StatusTable).row(report));
    else if (first.push(report) === FIRST_ROWS) table = begin();
    if (stream.reader === "closed") break;
  }
  if (table === null && first.length > 0) begin();
  if (longAgo.length > 0) stream.line(briefly(longAgo, columns));
  stream.end(none);
  return states;
}

/** When a node was stopped: the last change of its directory, in which a stop removes its files. */
function wasStoppedLongAgo({ dir }: NodeReport): boolean {
  const changed = modifiedAtMs(dir);
  return changed !== null && Date.now() - changed > LONG_AGO_MS;
}

/** Most names of nodes that were stopped long ago. */
const MOST_NAMES = 10;

function briefly(reports: NodeReport[], columns: Telling["columns"]): string {
  const names = reports.slice(0, MOST_NAMES).map(({ workspace, node }) =>
    columns === "node" ? node : `${workspace}/${node}`
  );
  const more = reports.length > names.length ? ` and ${reports.length - names.length} more` : "";
  return `stopped more than a day ago: ${names.join(", ")}${more}`;
}

/** A node that cannot be read must not hide the others. */
async function look(dir: NodeDir, scan: Scan): Promise<NodeReport> {
  try {
    return await inspect(dir, new Readiness(), scan);
  } catch (error) {
    if (error instanceof TombstoneError) return unreadable(dir, error.message);
    throw error;
  }
}

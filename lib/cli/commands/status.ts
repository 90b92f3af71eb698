/**
 * `tombstone status`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT, TombstoneError, usageError } from "../../errors.ts";
import { inspect, type NodeReport, type State, unreadable } from "../../engine/report.ts";
import { scanOnce } from "../../os/scan.ts";
import type { Scan } from "../../os/types.ts";
import { Readiness } from "../../readiness/wait.ts";
import { ATTEMPT_VARIABLE } from "../../process/tree.ts";
import { allNodes, type NodeDir, nodesOfWorkspace } from "../../state/node_dir.ts";
import { inBatches } from "../../async.ts";
import { NodeStream } from "../node_stream.ts";
import { describedNames, NO_NODES } from "../nodes.ts";
import { statusLine, StatusTable } from "../render.ts";

/** Exit codes of states, as of the init scripts of the LSB; the worst first. */
const WORST_FIRST = [EXIT.state, EXIT.failed, EXIT.nothing, EXIT.ok];

/** Nodes that are looked at at the same time: their probes may take a while to answer. */
const AT_ONCE = 64;

/** Rows by which the widths of the table's columns are chosen; later ones may be wider. */
const FIRST_ROWS = 1000;

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
    throw usageError("Cannot use --all with the name of a node", "tombstone status --all");
  }
  if (call.nodes.length === 1) {
    const report = await inspect(await call.nodeDir(call.node, "find"));
    return { exitCode: exitCodeOf(report.state), document: report, lines: [statusLine(report, call.output.paint)] };
  }
  const dirs = all ? everyWorkspace(call) : await ownWorkspace(call);
  const seen = await tellNodes(call, dirs, all ? "workspace and node" : "node", NO_NODES);
  const codes = [...seen].map(exitCodeOf) as number[];
  const exitCode = WORST_FIRST.find((code) => codes.includes(code)) ?? EXIT.nothing;
  return { exitCode, document: null, lines: [], isTold: true };
}

function everyWorkspace(call: Call): Iterable<NodeDir> {
  const state = call.findState();
  return state === null ? [] : allNodes(state);
}

/** The nodes that the project describes, whether they were ever started or not, and then the others. */
async function ownWorkspace(call: Call): Promise<Iterable<NodeDir>> {
  const state = call.findState();
  const workspace = await call.workspace();
  const known = state === null ? [] : nodesOfWorkspace(state, workspace.id);
  const names = await describedNames(call);
  if (names.length === 0) return known;
  const described = await Promise.all(names.map((name) => call.nodeDir(name, "find")));
  return [...described, ...Array.from(known).filter(({ node }) => !names.includes(node))];
}

/**
 * Looks at nodes, from one look at the system, and tells of each as soon as it can.
 *
 * @param none what to say where there is none
 * @returns the states that there were
 */
export async function tellNodes(
  call: Call,
  dirs: Iterable<NodeDir>,
  columns: "node" | "workspace and node",
  none: string,
): Promise<Set<State>> {
  const scan = scanOnce(ATTEMPT_VARIABLE);
  const stream = new NodeStream(call.output);
  const states = new Set<State>();
  const first: NodeReport[] = [];
  let table: StatusTable | null = null;
  const begin = () => {
    table = new StatusTable(first, columns, call.output.paint);
    stream.line(table.head());
    for (const report of first) stream.line(table.row(report));
    return table;
  };
  for await (const report of inBatches(AT_ONCE, dirs, (dir) => look(dir, scan))) {
    states.add(report.state);
    stream.add(report);
    if (table !== null) stream.line((table as StatusTable).row(report));
    else if (first.push(report) === FIRST_ROWS) table = begin();
    if (stream.reader === "closed") break;
  }
  if (table === null && first.length > 0) begin();
  stream.end(none);
  return states;
}

/** A node that cannot be looked at is no reason not to tell of the others. */
async function look(dir: NodeDir, scan: Scan): Promise<NodeReport> {
  try {
    return await inspect(dir, new Readiness(), scan);
  } catch (error) {
    if (error instanceof TombstoneError) return unreadable(dir, error.message);
    throw error;
  }
}

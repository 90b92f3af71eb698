/**
 * `tombstone logs`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT, TombstoneError, tombstoneError } from "../../errors.ts";
import { lookAt } from "../../engine/state.ts";
import { live } from "../../os/scan.ts";
import { Selection, shareBytes } from "../../state/log_lines.ts";
import { trimLog } from "../../state/log.ts";
import { Tail } from "../../state/log_tail.ts";
import type { NodeDir } from "../../state/node_dir.ts";
import { readNodeInfo } from "../../state/node_info.ts";
import { Unread } from "../../state/log_unread.ts";
import { sleep } from "../../async.ts";
import { type LogRequest, logRequestOf, NodeLog } from "../log_request.ts";
import { statOrNull } from "../../os/stat.ts";
import { logPrefixes } from "../render.ts";
import { hintToStart, nodesOf, warnUnknown } from "../nodes.ts";

/** Time between two reads of a log that is followed, in milliseconds. */
const PAUSE_MS = 100;

/** Writes lines of one node; returns whether stdout still has a reader. */
type Emit = (lines: string[]) => "written" | "closed";

/** Runs the command. Without a limit, logs are streamed, so that their length does not matter. */
export async function run(call: Call): Promise<Result> {
  const request = logRequestOf(call);
  const names = await nodesOf(call);
  if (names.length === 0) throw noNodes();
  await warnUnknown(call);
  using stack = new DisposableStack();
  const logs: NodeLog[] = [];
  for (const name of names) {
    const dir = await call.nodeDir(name, "find");
    const info = readNodeInfo(dir);
    if (info.kind === "record") trimLog(dir.log, info.record.log.max_bytes);
    const log = await NodeLog.open(dir, request);
    if (log !== null) logs.push(stack.use(log));
    else if (names.length === 1) throw await noLog(call, dir);
  }
  if (logs.length === 0) throw await noLog(call, await call.nodeDir(names[0]!, "find"));
  const isPlain = request.grep === null && request.maxBytes === null && !request.sinceLast;
  if (call.output.mode.form === "json") await tellAsJson(call, logs, request, names.length);
  else if (isPlain && names.length === 1) await stream(call, logs[0]!, request);
  else await tellAsText(call, logs, request, names.length);
  return { exitCode: EXIT.ok, document: null, lines: [], isPrinted: true };
}

/** Copies one log unchanged. */
async function stream({ output }: Call, log: NodeLog, request: LogRequest): Promise<void> {
  const tail = log.source as Tail;
  tellLeftOut(output, log, request, { leftOut: tail.countLinesBefore(), shown: request.count ?? 0 });
  const clean = output.logs.cleaner();
  const copy = () => tail.copy((bytes) => output.stream(clean(bytes))) === "written";
  for (let isRead = copy(); isRead && goesOn(output, request); isRead = copy()) await sleep(PAUSE_MS);
}

/** The lines of each log to show, within the limits. */
async function select(logs: NodeLog[], request: LogRequest, overhead: number): Promise<Selection[]> {
  const { count, maxBytes, sinceLast, follow } = request;
  const selections: Selection[] = [];
  for (const log of logs) {
    const isOpen = follow || sinceLast && mayGoOn(log.dir);
    const selection = new Selection({ count, maxBytes, overhead });
    const before = log.source instanceof Tail ? log.source.countLinesBefore() : 0;
    for await (const lines of log.lines(isOpen ? "may go on" : "is whole")) {
      lines.forEach((line) => selection.add(line));
    }
    if (before === null || selection.leftOut === null) selection.leftOut = null;
    else selection.leftOut += before;
    selections.push(selection);
  }
  if (maxBytes !== null) shareBytes(selections, maxBytes);
  return selections;
}

/** Whether its last line may be incomplete. */
function mayGoOn(dir: NodeDir): boolean {
  const { nodeState } = lookAt(dir, { records: "listed", scan: live });
  return nodeState.kind === "running" || nodeState.kind === "unfinished" && nodeState.phase === "live";
}

async function tellAsText(call: Call, logs: NodeLog[], request: LogRequest, nodes: number): Promise<void> {
  const { output } = call;
  const width = Math.max(...logs.map(({ dir }) => dir.node.length));
  const prefixes = logPrefixes(logs.map(({ dir }) => dir.node), output.paint);
  const emits = prefixes.map((named): Emit => {
    const prefix = nodes === 1 ? "" : named;
    const clean = output.logs.cleaner();
    return (lines) => {
      const text = lines.map((line) => `${prefix}${line}\n`).join("");
      return text === "" ? "written" : output.stream(clean(new TextEncoder().encode(text)));
    };
  });
  const copy = async () => {
    for (const [at, log] of logs.entries()) {
      const end = request.follow ? "may go on" : "is whole";
      for await (const lines of log.lines(end)) if (emits[at]!(lines) === "closed") return "closed";
      tellSkipped(call, log);
    }
    return "written";
  };
  // Without a limit there is nothing to choose.
  const isUnlimited = request.count === null && request.maxBytes === null && !request.sinceLast;
  const selections = isUnlimited ? [] : await select(logs, request, nodes === 1 ? 0 : width + 3);
  for (const [at, selection] of selections.entries()) {
    const log = logs[at]!;
    const { lines, leftOut } = selection;
    tellLeftOut(output, log, request, { leftOut, shown: lines.length });
    tellSkipped(call, log);
    if (emits[at]!(lines) === "closed") return; // lines without a reader stay unread
    await markRead(call, log);
  }
  if (!isUnlimited && !request.follow) return;
  while (await copy() === "written" && goesOn(output, request)) await sleep(PAUSE_MS);
}

/** Whether to follow on: as long as there is a reader, even if a server has nothing to say. */
function goesOn({ logs }: Call["output"], { follow }: LogRequest): boolean {
  return follow && logs.reader === "open";
}

/** One document for one node; `{ nodes }` for several. */
async function tellAsJson(call: Call, logs: NodeLog[], request: LogRequest, nodes: number): Promise<void> {
  const selections = await select(logs, request, 0);
  const documents = logs.map(({ dir, path }, at) => {
    const { lines, leftOut } = selections[at]!;
    return { workspace: dir.workspace, node: dir.node, log: path, lines, left_out: leftOut };
  });
  call.output.result(nodes === 1 ? documents[0] : { nodes: documents }, []);
  for (const log of logs) {
    tellSkipped(call, log);
    await markRead(call, log);
  }
}

/** Saves the position of a reader; a failure is only a warning. */
async function markRead(call: Call, log: NodeLog): Promise<void> {
  try {
    await log.markRead();
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    call.output.warn(`--since-last will show these lines again: ${error.message}`);
  }
}

function tellSkipped({ output }: Call, log: NodeLog): void {
  const skipped = log.skipped();
  if (skipped === 0) return;
  const lines = skipped === 1 ? "a line took" : `${skipped} lines took`;
  output.warn(`"${log.dir.node}": ${lines} too long to match, and ${skipped === 1 ? "is" : "are"} left out`);
}

/** The note about lines that are not shown, unless the user has chosen their number. */
function tellLeftOut(
  output: Call["output"],
  { dir, source }: NodeLog,
  request: LogRequest,
  { leftOut, shown }: { leftOut: number | null; shown: number },
): void {
  const { node } = dir;
  if (leftOut === 0) {
    if (shown > 0 || request.grep === null && !request.sinceLast) return;
    const isNew = source instanceof Unread && !source.isFirst;
    return output.info(
      request.grep === null ? `"${node}": nothing new` : `"${node}": no ${isNew ? "new " : ""}line matches`,
    );
  }
  const number = `${leftOut ?? "many"} earlier line${leftOut === 1 ? "" : "s"}`;
  if (request.maxBytes !== null) output.info(`"${node}": ${number} left out by --max-bytes ${request.maxBytes}`);
  else if (!request.isChosen) output.info(`"${node}": ${number} left out; tombstone logs ${node} -n all shows them`);
}

function noNodes(): TombstoneError {
  return tombstoneError("Cannot show a log: there are no nodes in this workspace", {
    kind: "nothing-there",
    hint: "tombstone list shows every node of every workspace",
  });
}

async function noLog(call: Call, dir: NodeDir): Promise<TombstoneError> {
  const previous = call.flags.has("previous");
  const path = previous ? `${dir.log}.1` : dir.log;
  return tombstoneError(`Cannot show the log of "${dir.node}": there is none at "${path}"`, {
    kind: "nothing-there",
    hint: previous && statOrNull(dir.log, { place: "state", unseen: "missing" }) !== null
      ? `tombstone logs ${dir.node}`
      : await hintToStart(call, dir.node),
  });
}

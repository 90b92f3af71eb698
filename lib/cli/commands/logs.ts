/**
 * `tombstone logs`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { parseCount } from "../../spec/values.ts";
import { EXIT, type TombstoneError, tombstoneError, usageError } from "../../errors.ts";
import { sleep } from "../../timers.ts";
import { trimLog } from "../../state/log.ts";
import { Tail } from "../../state/log_reader.ts";
import type { NodeDir } from "../../state/node_dir.ts";
import { readNodeInfo } from "../../state/node_info.ts";
import { nodesOf } from "../nodes.ts";

/** Time between two reads of a log that is followed, in milliseconds. */
const PAUSE_MS = 100;

/** Where the bytes of a log go. */
type Emit = (bytes: Uint8Array) => "written" | "closed";

/** Runs the command. Without `--json` it streams, so that the length of a log does not matter. */
export async function run(call: Call): Promise<Result> {
  const { flags, output } = call;
  const isJson = output.mode.form === "json";
  if (flags.has("follow") && (isJson || flags.has("previous"))) {
    const other = isJson ? "--json" : "--previous";
    throw usageError(`Cannot use --follow with ${other}: that has an end`, `tombstone logs ${other}`);
  }
  const lines = flags.text("lines");
  const count = lines === undefined ? null : parseCount("--lines", lines);
  const names = await nodesOf(call);
  if (names.length === 0) throw noNodes();
  const tails: { dir: NodeDir; tail: Tail }[] = [];
  for (const name of names) {
    const dir = await call.nodeDir(name, "find");
    const info = readNodeInfo(dir);
    if (info.kind === "record") trimLog(dir.log, info.record.log.max_bytes);
    const tail = Tail.open(flags.has("previous") ? `${dir.log}.1` : dir.log, count);
    if (tail !== null) tails.push({ dir, tail });
    else if (names.length === 1) throw noLog(call, dir);
  }
  if (tails.length === 0) throw noLog(call, await call.nodeDir(names[0]!, "find"));
  try {
    if (isJson) return { exitCode: EXIT.ok, document: documentOf(tails, names.length), lines: [] };
    const width = Math.max(...tails.map(({ dir }) => dir.node.length));
    const stream: Emit = (bytes) => output.stream(bytes);
    const nameOf = (dir: NodeDir) => output.paint.quiet(`${dir.node.padEnd(width)} |`);
    const readers = tails.map(({ dir, tail }) => {
      const prefixed = names.length === 1 ? null : new Prefixed(nameOf(dir), stream);
      const end = flags.has("follow") ? "may go on" : "is whole";
      const clean = output.cleaner();
      return () => prefixed === null ? tail.copy((bytes) => stream(clean(bytes))) : prefixed.copy(tail, end, clean);
    });
    const copy = () => readers.every((read) => read() === "written");
    for (let isRead = copy(); isRead && flags.has("follow"); isRead = copy()) await sleep(PAUSE_MS);
    return { exitCode: EXIT.ok, document: null, lines: [] };
  } finally {
    for (const { tail } of tails) tail.close();
  }
}

function noNodes(): TombstoneError {
  return tombstoneError("Cannot show a log: there are no nodes in this workspace", {
    kind: "nothing-there",
    hint: "tombstone list shows every node of every workspace",
  });
}

function noLog(call: Call, dir: NodeDir): TombstoneError {
  const previous = call.flags.has("previous");
  const path = previous ? `${dir.log}.1` : dir.log;
  return tombstoneError(`Cannot show the log of "${dir.node}": there is none at "${path}"`, {
    kind: "nothing-there",
    hint: previous ? `tombstone logs ${dir.node}` : `tombstone start ${dir.node} -- COMMAND`,
  });
}

/** One document for one node; `{ nodes }` for several. */
function documentOf(tails: { dir: NodeDir; tail: Tail }[], asked: number): unknown {
  const nodes = tails.map(({ dir, tail }) => {
    const decoder = new TextDecoder();
    const text: string[] = [];
    tail.copy((bytes) => {
      text.push(decoder.decode(bytes, { stream: true }));
      return "written";
    });
    const lines = text.join("").split("\n");
    if (lines.at(-1) === "") lines.pop();
    return { workspace: dir.workspace, node: dir.node, log: tail.path, lines };
  });
  return asked === 1 ? nodes[0] : { nodes };
}

/** Puts the node's name before each line. An incomplete line is held back until it is complete. */
class Prefixed {
  readonly #name: string;
  readonly #emit: Emit;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(name: string, emit: Emit) {
    this.#name = name;
    this.#emit = emit;
  }

  copy(
    tail: Tail,
    lastLine: "may go on" | "is whole",
    clean: (bytes: Uint8Array) => Uint8Array,
  ): "written" | "closed" {
    const reader = tail.copy((bytes) => {
      const lines = (this.#rest + this.#decoder.decode(clean(bytes), { stream: true })).split("\n");
      this.#rest = lines.pop()!;
      return this.#write(lines);
    });
    if (reader === "closed" || lastLine === "may go on" || this.#rest === "") return reader;
    const line = this.#rest;
    this.#rest = "";
    return this.#write([line]);
  }

  #write(lines: string[]): "written" | "closed" {
    const text = lines.map((line) => `${this.#name} ${line}\n`).join("");
    return text === "" ? "written" : this.#emit(new TextEncoder().encode(text));
  }
}

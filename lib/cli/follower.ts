/**
 * The output of several nodes as they write it, each line with the name of its node.
 *
 * @module
 */
import { LineSplitter } from "../state/log_lines.ts";
import { Tail } from "../state/log_tail.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Output } from "./output.ts";
import { logPrefixes } from "./render.ts";

/** The log of one node. */
interface Followed {
  node: string;
  path: string;
  /** `null`: it does not exist yet. */
  tail: Tail | null;
  /** Writes a piece. */
  write: (bytes: Uint8Array) => "written" | "closed";
  /** Writes or ends a last line without an end. */
  end: () => void;
}

/** Follows logs from where they end now; a log that a start makes later is shown from its beginning. */
export class Follower implements Disposable {
  readonly #output: Output;
  readonly #logs: Followed[];

  /** Follows the logs of these nodes; the lines of a single one have no name. */
  constructor(output: Output, dirs: NodeDir[]) {
    this.#output = output;
    const prefixes = dirs.length === 1 ? [""] : logPrefixes(dirs.map(({ node }) => node), output.logs.paint);
    this.#logs = dirs.map(({ log, node }, at) => {
      const clean = output.logs.cleaner();
      const stream = (bytes: Uint8Array) => output.log(clean(bytes));
      return {
        node,
        path: log,
        tail: Tail.open(log, 0),
        ...(dirs.length === 1 ? { write: stream, end: () => output.logs.endLine() } : named(stream, prefixes[at]!)),
      };
    });
  }

  /** Writes what has come since the last call. */
  copy(): "written" | "closed" {
    let reader: "written" | "closed" = "written";
    for (const log of this.#logs) {
      if (copyOne(log, MOST_MS) === "closed") reader = "closed";
    }
    return this.#output.logs.reader === "closed" ? "closed" : reader;
  }

  /** Writes all of a node that has exited, also a last line without an end. */
  finish(node: string): "written" | "closed" {
    const log = this.#logs.find((log) => log.node === node)!;
    const reader = copyOne(log, Infinity);
    log.end();
    return reader;
  }

  /** Writes last lines without an end, and closes the files. */
  [Symbol.dispose](): void {
    for (const { tail, end } of this.#logs) {
      end();
      tail?.[Symbol.dispose]();
    }
  }
}

/** Longest time for the copy of one log, in milliseconds: a server that writes without a pause must not keep signals off. */
const MOST_MS = 50;

function copyOne(log: Followed, mostMs: number): "written" | "closed" {
  log.tail ??= Tail.open(log.path, null);
  return log.tail?.copy(log.write, { onNext: log.end, mostMs }) ?? "written";
}

type Stream = (bytes: Uint8Array) => "written" | "closed";

function named(stream: Stream, prefix: string): Pick<Followed, "write" | "end"> {
  const splitter = new LineSplitter();
  const emit = (lines: string[]) => {
    const text = lines.map((line) => `${prefix}${line}\n`).join("");
    return text === "" ? "written" : stream(new TextEncoder().encode(text));
  };
  return { write: (bytes) => emit(splitter.push(bytes)), end: () => emit(splitter.end()) };
}

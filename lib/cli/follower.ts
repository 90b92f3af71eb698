/**
 * The output of several nodes as they write it, each line with the name of its node.
 *
 * @module
 */
import { LineSplitter } from "../state/log_lines.ts";
import { Tail } from "../state/log_reader.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Output } from "./output.ts";
import { logPrefixes } from "./render.ts";

/** The log of one node. */
interface Followed {
  path: string;
  /** `null`: it does not exist yet. */
  tail: Tail | null;
  /** Writes a piece. */
  write: (bytes: Uint8Array) => "written" | "closed";
  /** Writes a last line without an end. */
  end: () => void;
}

/** Follows logs from where they end now; a log that a start makes later is shown from its beginning. */
export class Follower implements Disposable {
  readonly #logs: Followed[];

  /** Follows the logs of these nodes; the lines of a single one have no name. */
  constructor(output: Output, dirs: NodeDir[]) {
    const prefixes = dirs.length === 1 ? [""] : logPrefixes(dirs.map(({ node }) => node), output.paint);
    this.#logs = dirs.map(({ log }, at) => {
      const clean = output.cleaner();
      const stream = (bytes: Uint8Array) => output.log(clean(bytes));
      return {
        path: log,
        tail: Tail.open(log, 0),
        ...(dirs.length === 1 ? plain(stream) : named(stream, prefixes[at]!)),
      };
    });
  }

  /** Writes what has come since the last call. */
  copy(): "written" | "closed" {
    let reader: "written" | "closed" = "written";
    for (const log of this.#logs) {
      log.tail ??= Tail.open(log.path, null);
      if (log.tail?.copy(log.write) === "closed") reader = "closed";
    }
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

type Stream = (bytes: Uint8Array) => "written" | "closed";

function plain(stream: Stream): Pick<Followed, "write" | "end"> {
  return { write: stream, end: () => {} };
}

function named(stream: Stream, prefix: string): Pick<Followed, "write" | "end"> {
  const splitter = new LineSplitter();
  const emit = (lines: string[]) => {
    const text = lines.map((line) => `${prefix}${line}\n`).join("");
    return text === "" ? "written" : stream(new TextEncoder().encode(text));
  };
  return { write: (bytes) => emit(splitter.push(bytes)), end: () => emit(splitter.end()) };
}

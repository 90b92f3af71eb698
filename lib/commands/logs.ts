/**
 * `tombstone logs`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { parseCount } from "../cli/values.ts";
import { EXIT, stateError, TombstoneError, usageError } from "../errors.ts";
import { sleep } from "../os/sleep.ts";
import { trimLog } from "../state/log.ts";
import { linesFrom } from "../state/log_reader.ts";
import { readNodeInfo } from "../state/records.ts";

/** Runs the command. Without `--json` it streams, so that the length of a log does not matter. */
export async function run(call: Call): Promise<Result> {
  const { flags, output } = call;
  const isJson = output.mode.form === "json";
  if (flags.has("follow") && (isJson || flags.has("previous"))) {
    const other = isJson ? "--json" : "--previous";
    throw usageError(`Cannot use --follow with ${other}: that has an end`, `tombstone logs ${call.node} ${other}`);
  }
  const lines = flags.text("lines");
  const count = lines === undefined ? null : parseCount("--lines", lines);
  const dir = await call.nodeDir(call.node, "find");
  const info = readNodeInfo(dir);
  if (info.kind === "record") trimLog(dir.log, info.record.log.max_bytes);
  const path = flags.has("previous") ? `${dir.log}.1` : dir.log;
  const file = open(path);
  if (file === null) {
    throw new TombstoneError(`Cannot show the log of "${call.node}": there is none at "${path}"`, {
      kind: "nothing-there",
      hint: flags.has("previous") ? `tombstone logs ${call.node}` : `tombstone start ${call.node} -- COMMAND`,
      exitCode: EXIT.nothing,
    });
  }
  let current = file;
  try {
    if (count !== null) current.seekSync(linesFrom(current, count), Deno.SeekMode.Start);
    const text: string[] = [];
    const decoder = new TextDecoder();
    const emit = (bytes: Uint8Array) => {
      if (!isJson) return output.stream(bytes);
      text.push(decoder.decode(bytes, { stream: true }));
      return "written";
    };
    let reader = copy(current, emit);
    while (flags.has("follow") && reader === "written") {
      await sleep(100);
      const next = replacementOf(current, path);
      skipWhatWasCut(current);
      reader = copy(current, emit);
      if (next === null) continue;
      current.close();
      current = next;
      reader = copy(current, emit);
    }
    const all = text.join("").split("\n");
    if (all.at(-1) === "") all.pop();
    return {
      exitCode: EXIT.ok,
      document: { workspace: dir.workspace, node: dir.node, log: path, lines: all },
      lines: [],
    };
  } finally {
    current.close();
  }
}

function open(path: string): Deno.FsFile | null {
  try {
    if (!Deno.lstatSync(path).isFile) return null; // opening a FIFO would block
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw stateError("read", path, error);
  }
}

/** Copies what is left of a file. */
function copy(file: Deno.FsFile, emit: (bytes: Uint8Array) => "written" | "closed"): "written" | "closed" {
  const buffer = new Uint8Array(64 * 1024);
  for (let length: number | null; (length = file.readSync(buffer)) !== null;) {
    if (emit(buffer.subarray(0, length)) === "closed") return "closed";
  }
  return "written";
}

/** A log that is cut to its end while it is followed goes on with what comes after that. */
function skipWhatWasCut(file: Deno.FsFile): void {
  const { size } = file.statSync();
  if (size < file.seekSync(0, Deno.SeekMode.Current)) file.seekSync(size, Deno.SeekMode.Start);
}

/** The file that a new start has put in this one's place; `null` while it is the same. */
function replacementOf(file: Deno.FsFile, path: string): Deno.FsFile | null {
  const next = open(path);
  if (next !== null && next.statSync().ino !== file.statSync().ino) return next;
  next?.close();
  return null;
}

/**
 * The server's log, bounded without a resident process: rotated at each start, and cut by any later command that finds it
 * too long.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { errnoOf, stateError } from "../os/errno.ts";
import { moveOver, removeEntry, removeFile } from "./durable.ts";
import { entriesOf, type NodeDir } from "./node_dir.ts";
import type { Settings } from "../spec/settings.ts";

/**
 * Makes a new, empty `server.log` and rotates the earlier ones. The new file is made first: if the disk refuses it,
 * nothing has changed.
 *
 * @throws {TombstoneError} the disk refuses
 */
export function rotateLog(dir: NodeDir, settings: Settings["log"]): void {
  const fresh = `${dir.path}/.server.log.${crypto.randomUUID()}.tmp`;
  trimLog(dir.log, settings.max_bytes);
  try {
    Deno.openSync(fresh, { write: true, createNew: true, ...system.files.privateFile }).close();
    // 0 is the current one. Earlier starts may have kept more logs than this one does.
    for (const number of numbersOf(dir).sort((a, b) => b - a)) {
      const from = number === 0 ? dir.log : `${dir.log}.${number}`;
      if (number < settings.keep) moveOver(from, `${dir.log}.${number + 1}`);
      else if (number > settings.keep) removeEntry(from);
    }
    moveOver(fresh, dir.log);
  } catch (error) {
    removeFile(fresh);
    throw stateError("write", dir.log, error);
  }
}

/** Paths of the logs that there are, the newest first. */
export function logsOf(dir: NodeDir): string[] {
  return numbersOf(dir).sort((a, b) => a - b).map((number) => number === 0 ? dir.log : `${dir.log}.${number}`);
}

/** Numbers of the logs that there are. */
function numbersOf(dir: NodeDir): number[] {
  return entriesOf(dir).flatMap((name) => {
    const form = /^server\.log(?:\.(\d{1,3}))?$/.exec(name);
    return form === null ? [] : [Number(form[1] ?? 0)];
  });
}

/**
 * Cuts a log that is longer than allowed to about half of that, in place, so the server can go on appending to the same
 * file. Copies its end, with the lines written meanwhile, to its beginning, and then truncates the file. If this is
 * killed half-way, the log has some lines twice and is still too long, so the next command cuts it. What the server
 * writes in the microseconds between the last read and the truncation is lost.
 *
 * @param maxBytes 0: no limit @returns whether it was cut; a failure is not an error, since no command depends on the
 * length of a log
 */
export function trimLog(path: string, maxBytes: number): boolean {
  try {
    const info = Deno.lstatSync(path);
    if (maxBytes === 0 || !info.isFile || info.size <= maxBytes) return false;
    using file = Deno.openSync(path, { read: true, write: true });
    if (!file.tryLockSync(true)) return false; // another command is at it
    const { size, mtime } = file.statSync();
    if (size <= maxBytes) return false;
    file.truncateSync(moveEnd(file, size - Math.floor(maxBytes / 2)));
    if (mtime !== null) file.utimeSync(mtime, mtime); // its time stays the time of the server's last output
    return true;
  } catch (error) {
    if (errnoOf(error) !== null) return false; // no log, or the disk refuses: the next command tries again
    throw error;
  }
}

/** Copies what follows the first whole line after `from` to the beginning; returns its length. */
function moveEnd(file: Deno.FsFile, from: number): number {
  const buffer = new Uint8Array(1024 * 1024);
  let to = 0;
  let isFirst = true;
  for (let at = from;;) {
    file.seekSync(at, Deno.SeekMode.Start);
    const length = file.readSync(buffer);
    if (length === null) return to;
    const start = isFirst ? buffer.subarray(0, length).indexOf(10) + 1 : 0;
    isFirst = false;
    file.seekSync(to, Deno.SeekMode.Start);
    for (let done = start; done < length;) done += file.writeSync(buffer.subarray(done, length));
    at += length;
    to += length - start;
  }
}

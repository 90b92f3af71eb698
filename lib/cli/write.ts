/**
 * Writing to stdout and stderr.
 *
 * @module
 */
import { system } from "../os/system.ts";

/** Pause until a pipe that was full is tried again, in milliseconds. */
const FULL_PAUSE_MS = 5;

/** The descriptors that are written to, and what takes their place where they do not block. */
const STREAMS = new Map<object, { descriptor: 1 | 2; writer: Writer | null }>([
  [Deno.stdout, { descriptor: 1, writer: null }],
  [Deno.stderr, { descriptor: 2, writer: null }],
]);

/** What takes bytes. */
export interface Writer {
  /** Takes some of them; tells how many. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Writes all of it. Whoever shares a pipe may have made it non-blocking, at any time; that it is full then is no end. (Of
 * what `Deno.stdout` refuses so, nobody knows how much it has taken.) When the reader has gone away, the work is done all
 * the same, and its exit code still counts.
 */
export function write(stream: Writer, text: string | Uint8Array): "written" | "closed" {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const place = STREAMS.get(stream)!;
  const writer = place.writer ??= system.self.blockingWriter(place.descriptor) ?? null;
  for (let at = 0; at < bytes.length;) {
    try {
      at += (writer ?? stream).writeSync(bytes.subarray(at));
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) pause(FULL_PAUSE_MS);
      else if (error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource) return "closed";
      else if (error instanceof Error && "code" in error) return "closed"; // a full disk behind stdout, a closed descriptor
      else if (!(error instanceof Deno.errors.Interrupted)) throw error;
    }
  }
  return "written";
}

/** Waits where nothing can be awaited, as a write to a pipe that blocks would. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Whether stdout goes into a file, which no terminal and no runner reads as it comes. */
export function isFile(): boolean {
  try {
    return Deno.statSync("/dev/stdout").isFile;
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return false; // closed, or no such device here
    throw error;
  }
}

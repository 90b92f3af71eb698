/**
 * Writing to stdout and stderr. Foreign text (command lines, log lines, messages of servers, paths, names from disk) is
 * cleaned, so that it cannot control a terminal or a CI runner.
 *
 * @module
 */
import { system } from "../os/system.ts";

/** Pause until a pipe that was full is tried again, in milliseconds. */
const FULL_PAUSE_MS = 5;

/** The descriptors, and blocking writers for those that are set to non-blocking. */
const STREAMS = new Map<object, { descriptor: 1 | 2; writer: Writer | null }>([
  [Deno.stdout, { descriptor: 1, writer: null }],
  [Deno.stderr, { descriptor: 2, writer: null }],
]);

/** A destination of bytes. */
export interface Writer {
  /** Writes some of them; returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Writes all of it. Another process that shares the pipe may set it to non-blocking at any time; then a full pipe is only a
 * reason to wait. (`Deno.stdout` does not say how much it wrote before such an error, hence the writer.) If the reader has
 * gone away, the command still does its work, and its exit code still counts.
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
      else if (error instanceof Error && "code" in error) return "closed"; // a full disk or a closed descriptor
      else if (!(error instanceof Deno.errors.Interrupted)) throw error;
    }
  }
  return "written";
}

/** Whether something may still read what is written to it: a follower ends without one, even if it has nothing to write. */
export function readerOf(stream: Writer): "open" | "closed" {
  return system.self.hasReader(STREAMS.get(stream)!.descriptor) ? "open" : "closed";
}

/** A blocking pause, like that of a write to a full pipe. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Escape sequences of ECMA-48: CSI, the strings (OSC, DCS, SOS, PM, APC) up to their end, and the short ones. */
const SEQUENCE =
  // deno-lint-ignore no-control-regex
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]/g;

/** Line ends, including those of Unicode. */
const LINE_END = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/g;

/** Other control characters (C0 except tab, DEL, C1), and those that change the direction of text. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A sequence that only sets colours and weights (SGR). */
// deno-lint-ignore no-control-regex
const COLOUR = /^\x1b\[[\d;:]*m$/;

/** Control characters except line ends and the escape of a colour sequence. */
const CONTROL_BUT_COLOUR =
  // deno-lint-ignore no-control-regex
  /\x1b(?!\[[\d;:]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The colour sequences of render.ts, and those of them that end another one. */
// deno-lint-ignore no-control-regex
const [OWN_COLOUR, OWN_END] = [/^\x1b\[(1|2|22|3[1-6]|39)m$/, /^\x1b\[(22|39)m$/];

/**
 * A line as plain text: line ends become spaces, escape sequences are removed, other control characters shown as `\uFFFD`,
 * and commands of CI runners are broken up.
 *
 * @param colours whether the colours of render.ts are kept; the line never ends in a colour
 */
export function cleanLine(line: string, colours: "keep" | "drop" = "drop"): string {
  return withoutCommand(withoutControls(line, colours));
}

/** The same for a place in which CI runners do not look for commands. */
export function withoutControls(line: string, colours: "keep" | "drop" = "drop"): string {
  if (/^[\t -~]*$/.test(line)) return line; // as most are
  let coloured = false;
  // Colours are set aside: the next steps would take their escape for a control character.
  const kept: string[] = [];
  const text = line.replace(SEQUENCE, (sequence) => {
    if (colours === "drop" || !OWN_COLOUR.test(sequence)) return "";
    coloured = !OWN_END.test(sequence);
    kept.push(sequence);
    return MARK;
  });
  const parts = text.split(MARK).map((part) => part.replace(LINE_END, " ").replace(CONTROL, "\ufffd"));
  return parts.map((part, at) => part + (kept[at] ?? "")).join("") + (coloured ? "\x1b[0m" : "");
}

/** A noncharacter of Unicode as a placeholder; no decoder produces it. */
const MARK = "\ufdd0";

/**
 * Breaks up commands of CI runners: `::name::` at the beginning of a line and `##[name]` anywhere for GitHub Actions,
 * `##vso[` for Azure Pipelines.
 */
function withoutCommand(line: string): string {
  const begun = /^\s*::/.test(line) ? line.replace("::", ": :") : line;
  return begun.includes("##") ? begun.replace(/##(?=\[|vso\[)/gi, "# #") : begun;
}

/** What may be an incomplete sequence or line end at the end of a piece. */
const OPEN =
  // deno-lint-ignore no-control-regex
  /(?:\r|(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*\x1b?|\x1b[ -/]*)$/;

/** Longest part of an escape sequence that is held back until its end comes, in characters. */
const MAX_SEQUENCE_LENGTH = 4096;

/**
 * The output of a server for a terminal: colours are kept; sequences that move the cursor, set titles or query the terminal
 * are removed. It comes in pieces, which may end anywhere.
 */
export class TerminalText {
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();
  #rest = "";

  /** The next piece, cleaned. */
  clean(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const open = OPEN.exec(text);
    const end = open === null || text.length - open.index > MAX_SEQUENCE_LENGTH ? text.length : open.index;
    this.#rest = text.slice(end);
    const cleaned = text.slice(0, end)
      .replace(SEQUENCE, (sequence) => COLOUR.test(sequence) ? sequence : "")
      .replace(/\r\n|[\r\u0085\u2028\u2029]/g, "\n")
      .replace(CONTROL_BUT_COLOUR, "\ufffd");
    return this.#encoder.encode(cleaned);
  }
}

/** Longest beginning of a line that is remembered until its end comes, in characters. */
const MAX_BEGINNING_LENGTH = 4096;

/**
 * The output of a server for the log of a CI job: unchanged, except that commands of the runner are broken up. It comes in
 * pieces, which may end anywhere.
 */
export class JobText {
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();
  /** The last line so far, and the part of it that was written already. */
  #line = "";
  #given = "";

  /** The next piece, without commands. */
  clean(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const lines = this.#decoder.decode(bytes, { stream: true }).split("\n");
    return this.#encoder.encode(
      lines.map((text, at) => {
        if (at > 0) [this.#line, this.#given] = ["", ""];
        // Far from the beginning of a line, only the commands that may be anywhere matter.
        if (this.#line.length > MAX_BEGINNING_LENGTH) return withoutCommand(`.${text}`).slice(1);
        this.#line += text;
        const whole = withoutCommand(this.#line);
        // If a command is split between two pieces, its first part was written already.
        const more = whole.startsWith(this.#given) ? whole.slice(this.#given.length) : ` ${text}`;
        this.#given = whole;
        return more;
      }).join("\n"),
    );
  }
}

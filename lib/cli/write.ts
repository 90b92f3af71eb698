/**
 * Writing to stdout and stderr, and what keeps text that is not the tool's own from steering a terminal or a CI runner:
 * command lines, log lines, what a server says, paths, names from disk.
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

/** Escape sequences of ECMA-48: CSI, the strings (OSC, DCS, SOS, PM, APC) up to their end, and the short ones. */
const SEQUENCE =
  // deno-lint-ignore no-control-regex
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]/g;

/** Line ends, those that only Unicode knows included. */
const LINE_END = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/g;

/** What else steers a terminal (C0 but for the tab, DEL, C1), or turns the direction of a text round. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A colour or a weight of a text, which changes nothing but its looks (SGR). */
// deno-lint-ignore no-control-regex
const COLOUR = /^\x1b\[[\d;:]*m$/;

/** What steers a terminal, but for the escape that begins a colour, and for line ends. */
const CONTROL_BUT_COLOUR =
  // deno-lint-ignore no-control-regex
  /\x1b(?!\[[\d;:]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Those that paint.ts uses, and of these the ones that end another. */
// deno-lint-ignore no-control-regex
const [OWN_COLOUR, OWN_END] = [/^\x1b\[(1|2|22|3[1-6]|39)m$/, /^\x1b\[(22|39)m$/];

/**
 * A line without anything but its text: what would end it is a space, what would steer a terminal is gone or shown as
 * `\uFFFD`, and runners of CI find no command in it.
 *
 * @param colours whether the colours of paint.ts stay; the line ends without one
 */
export function cleanLine(line: string, colours: "keep" | "drop" = "drop"): string {
  return withoutCommand(withoutControls(line, colours));
}

/** The same for a line in a place where runners look for no commands. */
export function withoutControls(line: string, colours: "keep" | "drop" = "drop"): string {
  if (/^[\t -~]*$/.test(line)) return line; // as most are
  let coloured = false;
  // Colours are taken out of the way of what comes after, which would take their first character for a control.
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

/** A character that stands for nothing (a noncharacter of Unicode), and cannot come out of a decoder's replacement. */
const MARK = "\ufdd0";

/**
 * GitHub Actions takes `::name::` at the beginning of a line for a command, and `##[name]` anywhere in it; Azure
 * Pipelines `##vso[`.
 */
function withoutCommand(line: string): string {
  const begun = /^\s*::/.test(line) ? line.replace("::", ": :") : line;
  return begun.includes("##") ? begun.replace(/##(?=\[|vso\[)/gi, "# #") : begun;
}

/** What may be the beginning of a sequence or of a line end, at the end of a piece. */
const OPEN =
  // deno-lint-ignore no-control-regex
  /(?:\r|(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*\x1b?|\x1b[ -/]*)$/;

/** Longest part of an escape sequence that is held back until its end comes, in characters. */
const MAX_SEQUENCE_LENGTH = 4096;

/**
 * The output of a server for a terminal: colours stay, and what moves the cursor, sets titles or asks the terminal goes.
 * It comes in pieces, which may end anywhere.
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
 * The output of a server in the log of a CI job: as it is, but for what a runner would take for a command. It comes in
 * pieces, which may end anywhere.
 */
export class JobText {
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();
  /** What has come of the last line, and what has been given of it. */
  #line = "";
  #given = "";

  /** The next piece, without commands. */
  clean(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const lines = this.#decoder.decode(bytes, { stream: true }).split("\n");
    return this.#encoder.encode(
      lines.map((text, at) => {
        if (at > 0) [this.#line, this.#given] = ["", ""];
        // Far from its beginning, only what stands anywhere in a line can be a command.
        if (this.#line.length > MAX_BEGINNING_LENGTH) return withoutCommand(`.${text}`).slice(1);
        this.#line += text;
        const whole = withoutCommand(this.#line);
        // Of a command that the end of a piece has cut in two, the first part has been given already.
        const more = whole.startsWith(this.#given) ? whole.slice(this.#given.length) : ` ${text}`;
        this.#given = whole;
        return more;
      }).join("\n"),
    );
  }
}

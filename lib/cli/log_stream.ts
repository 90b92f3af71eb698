/**
 * Where the output of servers goes, between the messages of a command.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { isGithub } from "./github.ts";
import { type Paint, paintFor } from "./render.ts";
import { JobText, readerOf, TerminalText, write } from "./write.ts";

/** The output of servers on stdout, or with `--json`, where stdout is for the document, on stderr. */
export class LogStream {
  readonly #stream: typeof Deno.stdout | typeof Deno.stderr;
  /** Its colours. */
  readonly paint: Paint;
  /** Whether the last line has no end yet. */
  isLineOpen = false;

  /** Writes to this stream. */
  constructor(stream: typeof Deno.stdout | typeof Deno.stderr) {
    this.#stream = stream;
    this.paint = paintFor(stream);
  }

  /** Whether it and the messages of the command are on a terminal: who reads one reads the other. */
  get isAmongMessages(): boolean {
    return this.#stream.isTerminal() && Deno.stderr.isTerminal();
  }

  /** A function that cleans pieces, so that they control neither a terminal nor a CI runner. */
  cleaner(): (bytes: Uint8Array) => Uint8Array {
    const isTerminal = this.#stream.isTerminal();
    const isFile = this.#stream === Deno.stdout && system.self.isStdoutFile();
    if (!isTerminal && (!isGithub() || isFile)) return (bytes) => bytes;
    const text = isTerminal ? new TerminalText() : new JobText();
    return (bytes) => text.clean(bytes);
  }

  /** Whether there is still a reader, also while there is nothing to write. */
  get reader(): "open" | "closed" {
    return readerOf(this.#stream);
  }

  /** Writes a piece; returns whether there is still a reader. */
  write(bytes: Uint8Array): "written" | "closed" {
    if (bytes.length === 0) return "written";
    this.isLineOpen = bytes.at(-1) !== NEWLINE;
    return write(this.#stream, bytes);
  }

  /** Ends the last line, if it has no end yet: without this, what a command says would go on in the middle of it. */
  endLine(): void {
    if (!this.isLineOpen) return;
    this.isLineOpen = false;
    write(this.#stream, "\n");
  }
}

const NEWLINE = 10;

/**
 * The lines of a log, out of the pieces in which it is read.
 *
 * @module
 */

/** Longest line that is kept whole, in bytes; a longer one counts as several. */
const LONGEST_LINE_BYTES = 1024 * 1024;

/** Splits a stream of pieces into lines. */
export class LineSplitter {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #rest: Uint8Array[] = [];
  /** Length of the unfinished last line, in bytes. */
  restLength = 0;

  /** Complete lines. */
  push(piece: Uint8Array): string[] {
    const end = piece.lastIndexOf(10);
    if (end < 0 && this.restLength + piece.length < LONGEST_LINE_BYTES) {
      this.#rest.push(piece.slice());
      this.restLength += piece.length;
      return [];
    }
    const whole = end < 0 ? piece.length : end;
    const lines = this.#decode(piece.subarray(0, whole)).split("\n");
    this.#rest = [piece.slice(whole + 1)];
    this.restLength = this.#rest[0]!.length;
    return lines;
  }

  /** The last line, if no line end came after it: nothing more will. */
  end(): string[] {
    return this.restLength === 0 ? [] : [this.#decode(new Uint8Array())];
  }

  /** What was held back, and this. */
  #decode(piece: Uint8Array): string {
    const bytes = new Uint8Array(this.restLength + piece.length);
    let at = 0;
    for (const part of [...this.#rest, piece]) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#rest = [];
    this.restLength = 0;
    return this.#decoder.decode(bytes);
  }
}

/** Limits of a {@linkcode Selection}. */
export interface SelectionLimits {
  /** Most lines; `null`: all. */
  count: number | null;
  /** Most bytes, of whole lines with their ends; `null`: all. */
  maxBytes: number | null;
  /** Extra bytes for each line. */
  overhead: number;
}

/** The last lines of many, within limits. */
export class Selection {
  readonly #limits: SelectionLimits;
  #lines: string[] = [];
  #sizes: number[] = [];
  #first = 0;
  /** Length of the lines that are kept, in bytes. */
  bytes = 0;
  /** Number of lines that were left out, all of them earlier; `null` if that is not known. */
  leftOut: number | null = 0;

  /** No lines yet. */
  constructor(limits: SelectionLimits) {
    this.#limits = limits;
  }

  /** The lines that are kept. */
  get lines(): string[] {
    return this.#lines.slice(this.#first);
  }

  /** Adds a line at the end, and leaves out earlier ones where that is too much. */
  add(line: string): void {
    const { count, maxBytes, overhead } = this.#limits;
    const size = new TextEncoder().encode(line).length + 1 + overhead;
    this.#lines.push(line);
    this.#sizes.push(size);
    this.bytes += size;
    if (count !== null) { while (this.#lines.length - this.#first > count) this.#leaveOut(); }
    if (maxBytes !== null) this.shorten(maxBytes);
    if (this.#first <= 1024 || this.#first * 2 < this.#lines.length) return;
    this.#lines = this.#lines.slice(this.#first);
    this.#sizes = this.#sizes.slice(this.#first);
    this.#first = 0;
  }

  /** Leaves out as many lines as it takes. */
  shorten(maxBytes: number): void {
    while (this.bytes > maxBytes) this.#leaveOut();
  }

  #leaveOut(): void {
    this.bytes -= this.#sizes[this.#first]!;
    this.#first++;
    if (this.leftOut !== null) this.leftOut++;
  }
}

/** Divides a number of bytes among several selections: a selection that needs less leaves more to the others. */
export function shareBytes(selections: Selection[], maxBytes: number): void {
  let left = maxBytes;
  const bySize = [...selections].sort((a, b) => a.bytes - b.bytes);
  for (const [at, selection] of bySize.entries()) {
    selection.shorten(Math.floor(left / (bySize.length - at)));
    left -= selection.bytes;
  }
}

/**
 * Output about any number of nodes, as lines or as JSON, written while it is collected, so that it needs no memory.
 *
 * @module
 */
import type { Output } from "./output.ts";

/** Text is written in pieces of this length, in characters. */
const CHUNK_CHARS = 64 * 1024;

/** Writes `{ "nodes": [ … ] }`, or lines. */
export class NodeStream {
  readonly #output: Output;
  readonly #form: "text" | "json" | "none";
  #count = 0;
  #text = "";
  #reader: "written" | "closed" = "written";

  /** Writes nothing before the first node. */
  constructor(output: Output) {
    this.#output = output;
    const { form, volume } = output.mode;
    this.#form = form === "json" ? "json" : volume === "quiet" ? "none" : "text";
  }

  /** Adds a node's document. */
  add(document: unknown): void {
    this.#count++;
    if (this.#form !== "json") return;
    const indented = JSON.stringify(document, null, 2).replaceAll("\n", "\n    ");
    this.#write(`${this.#count === 1 ? '{\n  "nodes": [\n    ' : ",\n    "}${indented}`);
  }

  /** Adds a line for people. */
  line(text: string): void {
    if (this.#form === "text") this.#write(`${this.#output.clean(text)}\n`);
  }

  /** Whether stdout still has a reader. */
  get reader(): "written" | "closed" {
    return this.#reader;
  }

  #write(text: string): void {
    this.#text += text;
    if (this.#text.length >= CHUNK_CHARS) this.#flush();
  }

  #flush(): void {
    if (this.#text !== "" && this.#reader === "written") {
      this.#reader = this.#output.stream(new TextEncoder().encode(this.#text));
    }
    this.#text = "";
  }

  /** Ends the output; `none` is the line if there was no node. */
  end(none: string): void {
    const more = Object.entries(this.#output.more).map(([name, value]) =>
      `,\n  "${name}": ${JSON.stringify(value, null, 2).replaceAll("\n", "\n  ")}`
    ).join("");
    if (this.#form === "json") this.#write(`${this.#count === 0 ? '{\n  "nodes": [' : "\n  "}]${more}\n}\n`);
    else if (this.#count === 0) this.line(none);
    this.#flush();
  }
}

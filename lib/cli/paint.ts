/**
 * Colours, where there is somebody to see them.
 *
 * @module
 */
import { variableText } from "../os/surroundings.ts";
import { bold, cyan, dim, green, red, yellow } from "@std/fmt/colors";

/** What a text says, which decides how it looks. */
export interface Paint {
  /** All is well. */
  good(text: string): string;
  /** Something is wrong. */
  bad(text: string): string;
  /** Something is under way, or wants attention. */
  unsure(text: string): string;
  /** What helps. */
  help(text: string): string;
  /** What stands out. */
  strong(text: string): string;
  /** What stands back. */
  quiet(text: string): string;
}

const same = (text: string) => text;

/** No colours. */
export const PLAIN: Paint = { good: same, bad: same, unsure: same, help: same, strong: same, quiet: same };

const COLOURS: Paint = { good: green, bad: red, unsure: yellow, help: cyan, strong: bold, quiet: dim };

/** Colours for a stream: on a terminal that has them, unless `NO_COLOR` (no-color.org) is set to anything. */
export function paintFor(stream: { isTerminal(): boolean }): Paint {
  return stream.isTerminal() && !Deno.noColor && variableText("TERM") !== "dumb" ? COLOURS : PLAIN;
}

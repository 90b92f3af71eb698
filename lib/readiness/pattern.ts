/**
 * What a regular expression may cost: JavaScript's engine tries every way to match, and cannot be interrupted.
 *
 * @module
 */

/** What is known of a pattern without matching it. */
export interface Weight {
  /** Text that every match contains; empty where none can be told. */
  literal: string;
  /** How often something is repeated without or within bounds. */
  repeats: number;
  /** Choices: alternatives, and what may be left out. */
  choices: number;
  /** Whether a repetition holds another one or a choice, or the pattern refers back: the cost may then be anything. */
  isNested: boolean;
}

/** An escape, a class, the beginning of a group, or any character. */
const ATOM =
  /\\(?:u\{[^}]*\}|u[\da-f]{4}|x[\da-f]{2}|c[a-z]|k<[^>]*>|p\{[^}]*\}|\d+|[^])|\[(?:\\[^]|[^\]\\])*\]|\((?:\?(?:[:=!]|<[=!]|<[^>]*>|[a-z-]*:))?|[^]/iy;
const QUANTIFIER = /([*+?]|\{\d+(?:,\d*)?\})\??/y;

/** Looks at a valid pattern. */
export function weigh(pattern: string): Weight {
  const weight: Weight = { literal: "", repeats: 0, choices: 0, isNested: false };
  /** Whether each open group holds a repetition or a choice. */
  const groups: boolean[] = [];
  let run = "";
  let hasAlternatives = false;
  const endRun = () => {
    if (run.length > weight.literal.length) weight.literal = run;
    run = "";
  };
  for (let at = 0; at < pattern.length;) {
    ATOM.lastIndex = at;
    const atom = ATOM.exec(pattern)![0];
    at = ATOM.lastIndex;
    let isVaried = false;
    if (atom === "|") {
      weight.choices++;
      if (groups.length === 0) hasAlternatives = true;
      else groups[groups.length - 1] = true;
    }
    if (atom.startsWith("(")) {
      endRun();
      groups.push(false);
      continue;
    }
    if (atom === ")") isVaried = groups.pop() ?? false;
    if (/^\\(?:[1-9]|k)/.test(atom)) weight.isNested = true;
    QUANTIFIER.lastIndex = at;
    const quantifier = QUANTIFIER.exec(pattern)?.[1];
    if (quantifier !== undefined) {
      at = QUANTIFIER.lastIndex;
      if (quantifier === "?") weight.choices++;
      else weight.repeats++;
      if (quantifier !== "?" && isVaried) weight.isNested = true;
    }
    if (groups.length > 0 && (quantifier !== undefined || isVaried)) groups[groups.length - 1] = true;
    const literal = /^\\[^A-Za-z0-9]$/.test(atom) ? atom[1]! : /^[^\\[().|^$*+?]$/.test(atom) ? atom : null;
    if (literal === null || quantifier !== undefined || groups.length > 0) endRun();
    else run += literal;
  }
  endRun();
  return hasAlternatives ? { ...weight, literal: "" } : weight;
}

/** Most steps that a match may take in the worst case: some tenths of a second. */
const MOST_STEPS = 1e8;

/** Whether a line of this length is matched in no time, whatever it says. */
export function isCheap({ repeats, choices, isNested }: Weight, length: number): boolean {
  return !isNested && length ** (repeats + 1) * 2 ** choices <= MOST_STEPS;
}

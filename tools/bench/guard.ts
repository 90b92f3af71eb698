/**
 * The guard: figures of this tool as ratios to an empty script, against those that are saved in the repository. Ratios,
 * since milliseconds are those of a machine.
 *
 * @module
 */
import type { Results } from "../bench.ts";
import { figuresOf, statistics } from "./statistics.ts";

const SAVED = new URL("./saved.json", import.meta.url);

/** How much worse than saved a ratio may be. */
const TOLERANCE = 1.5;

/** `NAME: FIGURE` of what is ours, each as a multiple of what an empty script takes. */
export function ratiosOf(results: Results): Record<string, number> {
  const base = statistics(results, "empty script", "whole").median!;
  const own = results.contenders.filter((contender) => contender.own);
  return Object.fromEntries(
    own.flatMap(({ name }) =>
      figuresOf(results, name).filter((figure) => figure !== "resident").flatMap((figure) => {
        const { median } = statistics(results, name, figure);
        return median === null ? [] : [[`${name}: ${figure}`, Number((median / base).toFixed(2))]];
      })
    ),
  );
}

/** Saves the ratios. */
export function save(ratios: Record<string, number>): void {
  Deno.writeTextFileSync(SAVED, JSON.stringify(ratios, null, 2) + "\n");
}

/** Compares with what was saved, and prints what is worse; the exit code. What is not measured here is passed over. */
export function compare(ratios: Record<string, number>): number {
  const saved: Record<string, number> = JSON.parse(Deno.readTextFileSync(SAVED));
  const compared = Object.entries(saved).filter(([name]) => name in ratios);
  const worse = compared.filter(([name, ratio]) => ratios[name]! > ratio * TOLERANCE);
  for (const [name, ratio] of worse) {
    const limit = `${ratio} was saved, ${TOLERANCE} times that is allowed`;
    console.log(`FAILED: ${name} takes ${ratios[name]} times an empty script; ${limit}`);
  }
  console.log(`${compared.length} figures compared, ${worse.length} worse`);
  return worse.length === 0 && compared.length > 0 ? 0 : 1;
}

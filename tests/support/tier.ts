/**
 * How much of the costly tests is run.
 *
 * @module
 */

/** `deno task test:full` runs all of them, `deno task test` a part that is chosen to take little time. */
export const TIER: "fast" | "full" = Deno.env.get("TOMBSTONE_FULL") === "1" ? "full" : "fast";

/** A number of rounds or points, by tier. */
export function byTier(counts: { fast: number; full: number }): number {
  return counts[TIER];
}

/** All of them in the full tier; in the fast one every `every`-th, beginning with `turn`. */
export function inTurn<T>(items: readonly T[], every: number, turn = 0): T[] {
  return items.filter((_, index) => TIER === "full" || index % every === turn % every);
}

/** A slow test, which kills, waits or starts a lot: only for the full tier. */
export function costly(name: string, fn: Deno.TestDefinition["fn"]): void {
  Deno.test({ name, ignore: TIER === "fast", fn });
}

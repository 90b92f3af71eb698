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

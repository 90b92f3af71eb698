/**
 * Medians and percentiles of what was measured.
 *
 * @module
 */
import type { Results } from "../bench.ts";

/** What the runs of one figure came to. */
export interface Statistics {
  /** How many were measured. */
  count: number;
  /** Of those that have a value, if they are more than half; else `null`. */
  median: number | null;
  /** 95th percentile, likewise. */
  p95: number | null;
  /** The most frequent remark. */
  remark: string | null;
}

/** Of one figure of one contender. */
export function statistics(results: Results, contender: string, figure: string): Statistics {
  const samples = results.samples.filter((sample) => sample.contender === contender && sample.figure === figure);
  const values = samples.flatMap(({ value }) => value ?? []).sort((a, b) => a - b);
  const remarks = samples.flatMap(({ remark }) => remark ?? []);
  const frequent = [...new Set(remarks)].sort((a, b) => count(remarks, b) - count(remarks, a))[0];
  const most = values.length * 2 > samples.length;
  return {
    count: samples.length,
    median: most ? quantile(values, 0.5) : null,
    p95: most ? quantile(values, 0.95) : null,
    remark: frequent === undefined ? null : `${frequent}, ${count(remarks, frequent)} of ${samples.length}`,
  };
}

/** Names of the figures that there are of a contender. */
export function figuresOf(results: Results, contender: string): string[] {
  return [...new Set(results.samples.filter((sample) => sample.contender === contender).map(({ figure }) => figure))];
}

function count(all: string[], one: string): number {
  return all.filter((other) => other === one).length;
}

/** Linear between the two nearest. */
function quantile(sorted: number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return below + (above - below) * (at - Math.floor(at));
}

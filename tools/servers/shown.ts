/**
 * What is asked of each server, and what came of it.
 *
 * @module
 */

/** What is asked of each server, in the order of the table. */
export const QUESTIONS = ["start", "port", "http", "recover", "died", "asked", "gone", "files", "run"] as const;
/** One of them. */
export type Question = typeof QUESTIONS[number];

/** What a trial has shown. */
export interface Shown {
  /** Questions that were put. */
  asked: Set<Question>;
  /** What was not right. */
  failures: { question: Question; reason: string }[];
  /** How long the server took from its spawn, with `--port`, in milliseconds. */
  bootMs: number | null;
  /** How much later than it listened it was called ready, the middle of all starts with `--port` alone. */
  lagMs: number | null;
}

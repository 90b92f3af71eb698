/**
 * Waiting until a node is ready, or will never be.
 *
 * @module
 */
import { nap, sleep } from "../os/sleep.ts";
import type { Probe } from "../state/settings.ts";
import { check, type Subject, type Verdict } from "./probe.ts";

/** What to wait for. */
export interface Wait {
  /** All must pass. */
  probes: Probe[];
  /** Milliseconds to wait. */
  timeoutMs: number;
  /** The node as it is now; `null` while its main process is not known yet. */
  subject: () => Subject | null;
  /** Whether it has ended, so that waiting is in vain. */
  isGone: () => boolean;
  /** Resolves when the node may have ended, to look at once. */
  end: Promise<void>;
  /** Ends the wait. */
  abort: AbortSignal;
}

/** How a wait ended. */
export type Outcome =
  | { kind: "ready"; host: string | null; port: number | null; nonce: string | null }
  | { kind: "gone" }
  | { kind: "timeout"; states: string[] }
  | { kind: "foreign"; verdict: Extract<Verdict, { kind: "foreign" }> }
  | { kind: "aborted" };

/** A listener that is not the node's, seen for this long, will not become it; in milliseconds. */
const FOREIGN_FOR = 250;

/** Pauses between two looks: short while the wait is young, easier on the machine later. */
function pauseAt(elapsedMs: number): Promise<void> {
  return elapsedMs < 3000 ? nap() : sleep(elapsedMs < 15_000 ? 5 : 20);
}

/** Looks until every probe has passed, the node is gone, time is up, or the wait is aborted. */
export async function untilReady(wait: Wait): Promise<Outcome> {
  const begun = performance.now();
  const passed = new Map<Probe, Extract<Verdict, { kind: "pass" }>>();
  let foreignSince: number | null = null;
  let ended = false;
  const end = wait.end.then(() => {
    ended = true;
  });
  for (let round = 0;; round++) {
    if (wait.abort.aborted) return { kind: "aborted" };
    if (wait.isGone()) return { kind: "gone" };
    const subject = wait.subject();
    const states = subject === null ? ["its process is not known yet"] : [];
    let foreign: Extract<Verdict, { kind: "foreign" }> | null = null;
    for (const probe of wait.probes) {
      if (subject === null || passed.has(probe)) continue;
      const verdict = await check(probe, subject, round);
      if (verdict.kind === "pass") passed.set(probe, verdict);
      else states.push(verdict.state);
      if (verdict.kind === "foreign") foreign = verdict;
    }
    const elapsed = performance.now() - begun;
    if (passed.size === wait.probes.length) {
      if (wait.isGone()) return { kind: "gone" };
      const found = [...passed.values()];
      return {
        kind: "ready",
        host: found.find((verdict) => verdict.host !== undefined)?.host ?? null,
        port: found.find((verdict) => verdict.port !== undefined)?.port ?? null,
        nonce: found.find((verdict) => verdict.nonce)?.nonce ?? null,
      };
    }
    if (foreign === null) foreignSince = null;
    else foreignSince ??= elapsed;
    if (foreign !== null && elapsed - foreignSince! >= FOREIGN_FOR) return { kind: "foreign", verdict: foreign };
    if (elapsed >= wait.timeoutMs) {
      return foreign === null ? { kind: "timeout", states } : { kind: "foreign", verdict: foreign };
    }
    const pause = foreign === null ? pauseAt(elapsed) : sleep(20);
    await (ended ? pause : Promise.race([pause, end]));
  }
}

/** Looks once at every probe: whether the node is ready now. */
export async function isReady(probes: Probe[], subject: Subject): Promise<boolean> {
  for (const probe of probes) if ((await check(probe, subject, 0)).kind !== "pass") return false;
  return true;
}

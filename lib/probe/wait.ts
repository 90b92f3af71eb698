/**
 * Waiting until a node is ready, or will never be.
 *
 * @module
 */
import { nap, sleep } from "../os/sleep.ts";
import { isEvent, type Probe } from "../state/probes.ts";
import { type Look, proberOf, type Subject, type Verdict } from "./probe.ts";

/** What to wait for. */
export interface Wait {
  /** All must pass. */
  probes: Probe[];
  /** Milliseconds for which all must go on to pass. */
  stableForMs: number;
  /** Milliseconds to wait; the server itself can ask for more (see notify.ts). */
  timeoutMs: number;
  /** The node as it is now; `null` while its main process is not known yet. */
  subject: () => Subject | null;
  /** Whether it has ended, so that waiting is in vain. */
  isGone: () => boolean;
  /** Resolves when the node may have ended, to look at once. */
  end: Promise<void>;
  /** Ends the wait. */
  abort: AbortSignal;
  /** Called after each look, with what still keeps it from being ready, in words. */
  onLook?: (states: string[]) => void;
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

/** Pause between two looks at a node that is ready, and has to stay so; milliseconds. */
const STABLE_PAUSE = 20;

/** Longest look at a node that is not waited for, in milliseconds. */
const ONE_LOOK = 5000;

/** Looks until every probe has passed, the node is gone, time is up, or the wait is aborted. */
export async function untilReady(wait: Wait): Promise<Outcome> {
  const begun = performance.now();
  const looks = new AbortController();
  const interrupted = Promise.race([wait.end, aborted(wait.abort)]);
  const round = new Round(wait.probes);
  let foreignSince: number | null = null;
  let stableSince: number | null = null;
  let ended = false;
  const end = wait.end.then(() => {
    ended = true;
  });
  for (;;) {
    if (wait.abort.aborted) return { kind: "aborted" };
    if (wait.isGone()) return { kind: "gone" };
    const subject = wait.subject();
    const deadline = Math.max(begun + wait.timeoutMs, subject?.notifications?.extendedUntil ?? 0);
    if (subject !== null) {
      const look = round.look(subject, Math.max(deadline - performance.now(), 1), looks.signal);
      if (!ended) await Promise.race([look, interrupted]);
      if (wait.abort.aborted || wait.isGone()) {
        looks.abort();
        void Promise.allSettled([look]); // what it finds is of no more use
        continue;
      }
      await look;
    }
    const now = performance.now();
    const { states, foreign } = subject === null ? UNKNOWN : round;
    if (states.length > 0) stableSince = null;
    else stableSince ??= now;
    if (stableSince !== null && now - stableSince >= wait.stableForMs) {
      return wait.isGone() ? { kind: "gone" } : round.outcome();
    }
    const stableFor = `it has not yet been ready for ${wait.stableForMs} ms`;
    const waitingFor = states.length > 0 ? states : [stableFor];
    wait.onLook?.(waitingFor);
    if (foreign === null) foreignSince = null;
    else foreignSince ??= now;
    if (foreign !== null && now - foreignSince! >= FOREIGN_FOR) return { kind: "foreign", verdict: foreign };
    if (now >= deadline) {
      return foreign === null ? { kind: "timeout", states: waitingFor } : { kind: "foreign", verdict: foreign };
    }
    if (stableSince !== null) round.again();
    const pause = foreign === null && stableSince === null ? pauseAt(now - begun) : sleep(STABLE_PAUSE);
    await (ended ? pause : Promise.race([pause, end]));
  }
}

/** What is to be told of a node whose process is not known yet. */
const UNKNOWN = { states: ["its process is not known yet"], foreign: null };

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Looks once at every probe that stands for a state: whether the node is ready now. */
export async function isReady(probes: Probe[], subject: Subject): Promise<boolean> {
  const round = new Round(probes.filter((probe) => !isEvent(probe)));
  await round.look(subject, ONE_LOOK, new AbortController().signal);
  return round.states.length === 0;
}

/** The probes of one wait, and what has come of them so far. */
class Round {
  readonly #probers;
  readonly #passed = new Map<Probe, Extract<Verdict, { kind: "pass" }>>();
  #number = 0;
  /** What keeps the node from being ready, in words. */
  states: string[] = [];
  /** A listener in the node's place, if there is one. */
  foreign: Extract<Verdict, { kind: "foreign" }> | null = null;

  constructor(probes: Probe[]) {
    this.#probers = probes.map((probe) => ({ probe, look: proberOf(probe) }));
  }

  /** Looks at what has not passed yet. */
  async look(subject: Subject, limitMs: number, signal: AbortSignal): Promise<void> {
    this.states = [];
    this.foreign = null;
    for (const { probe, look } of this.#probers) {
      if (this.#passed.has(probe)) continue;
      const options: Look = { round: this.#number, limitMs, found: this.#found(), signal };
      const verdict = await look(subject, options);
      if (verdict.kind === "pass") this.#passed.set(probe, verdict);
      else this.states.push(verdict.state);
      if (verdict.kind === "foreign") this.foreign = verdict;
    }
    this.#number++;
  }

  /** Looks anew from now on at what stands for a state. */
  again(): void {
    for (const { probe } of this.#probers) if (!isEvent(probe)) this.#passed.delete(probe);
  }

  #found(): { host: string; port: number } | null {
    for (const { host, port } of this.#passed.values()) {
      if (host !== undefined && port !== undefined) return { host, port };
    }
    return null;
  }

  outcome(): Extract<Outcome, { kind: "ready" }> {
    const found = this.#found();
    const nonce = [...this.#passed.values()].find((verdict) => verdict.nonce)?.nonce ?? null;
    return { kind: "ready", host: found?.host ?? null, port: found?.port ?? null, nonce };
  }
}

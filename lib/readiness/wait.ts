/**
 * Waiting until a node is ready, or will never be.
 *
 * @module
 */
import { type Failure, FailureWatch } from "./log.ts";
import { cutShort, Latch } from "../async.ts";
import { blockingPause, sleep } from "../timers.ts";
import { mayBlock } from "../os/thread.ts";
import { isEvent, type Probe } from "../spec/probes.ts";
import type { ProbeTarget, Verdict } from "./types.ts";
import { type Ready, Round } from "./probes.ts";

/** What to wait for. */
export interface Wait {
  /** All must pass. */
  probes: Probe[];
  /** Its log, and regular expressions for lines that tell that it will never be ready; `null`: it is not looked at. */
  failures: { log: string; patterns: string[] } | null;
  /** Milliseconds for which all must go on to pass. */
  stableForMs: number;
  /** Milliseconds to wait; the server itself can ask for more (see notify.ts). */
  timeoutMs: number;
  /** The node as it is now; `null` while its main process is not known yet. */
  subject: () => ProbeTarget | null;
  /** Whether it has ended, so that waiting is in vain. */
  isGone: () => boolean;
  /** Resolves when the node may have ended, to look at once. */
  end: Promise<void>;
  /** Ends the wait. */
  abort: AbortSignal;
  /** Called after each look, with what still keeps it from being ready, in words, and a port that it has instead. */
  onLook?: (states: string[], stray: number | null) => void;
}

/** How a wait ended. */
export type Outcome =
  | { kind: "ready" } & Ready
  | { kind: "gone" }
  | { kind: "timeout"; states: string[]; stray: number | null }
  | ({ kind: "failed" } & Failure)
  | { kind: "foreign"; verdict: Extract<Verdict, { kind: "foreign" }> }
  | { kind: "aborted" };

/** A listener that is not the node's, seen for this long, will not become it; in milliseconds. */
const FOREIGN_FOR_MS = 250;

/** Pauses between two looks: short while the wait is young, easier on the machine later. */
function pauseAt(elapsedMs: number, lookMs: number): Promise<void> {
  // A program on whose thread this is goes on meanwhile: looks take a tenth of the time at most.
  if (!mayBlock()) return sleep(Math.min(Math.max(elapsedMs < 15_000 ? 5 : 20, lookMs * 10), 50));
  return elapsedMs < 3000 ? blockingPause() : sleep(elapsedMs < 15_000 ? 5 : 20);
}

/** Pause between two looks at a node that is ready, and has to stay so; milliseconds. */
const STABLE_PAUSE_MS = 20;

/** Longest look at a node that is not waited for, in milliseconds. */
const ONE_ROUND_MS = 5000;

/** How long after the deadline a look that has not ended is given up, in milliseconds: most end by themselves, and tell more. */
const GRACE_MS = 1000;

/** Shortest time that a look gets, in milliseconds. */
const LAST_ROUND_MS = 100;

/** Longest delay of a timer, in milliseconds: 31 bits. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Looks until every probe has passed, the node is gone, time is up, or the wait is aborted. */
export async function untilReady(wait: Wait): Promise<Outcome> {
  const begun = performance.now();
  const looks = new AbortController();
  using _end = { [Symbol.dispose]: () => looks.abort() };
  const round = new Round(wait.probes);
  const failures = new FailureWatch(wait.failures?.log ?? "", wait.failures?.patterns ?? [], looks.signal);
  const ended = Latch.of(wait.end);
  using aborted = Latch.ofSignal(wait.abort);
  let deadline = begun + wait.timeoutMs;
  using late = new Lateness(() => deadline + GRACE_MS);
  let foreignSince: number | null = null;
  let stableSince: number | null = null;
  let lookedAt = begun;
  for (;;) {
    if (wait.abort.aborted) return { kind: "aborted" };
    if (wait.isGone()) return { kind: "gone" };
    const failure = failures.latch.isOpen ? await failures.look() : null;
    if (failure !== null) return { kind: "failed", ...failure };
    const subject = wait.subject();
    await subject?.notifications?.receive();
    deadline = Math.max(begun + wait.timeoutMs, subject?.notifications?.extendedUntil ?? 0);
    if (subject !== null) {
      lookedAt = performance.now();
      const look = round.look(subject, Math.max(deadline - lookedAt, LAST_ROUND_MS), looks.signal);
      // Whatever a probe waits for: an abort, the node's end and the deadline do not wait for it.
      const interrupts = [aborted.latch, late.latch, failures.latch];
      let cut = await cutShort(look, ...interrupts, ...(ended.isOpen ? [] : [ended]));
      const isOver = () => wait.abort.aborted || wait.isGone() || failures.latch.isOpen;
      if (cut === "cut" && !isOver()) cut = await cutShort(look, ...interrupts); // a daemon's parent has ended
      if (cut === "cut" || isOver()) {
        looks.abort();
        void Promise.allSettled([look]); // what it finds is of no more use
        if (isOver()) continue;
        const states = round.states.length > 0 ? round.states : ["a look at it did not end"];
        return { kind: "timeout", states, stray: round.stray };
      }
    }
    const now = performance.now();
    const { states, foreign } = subject === null ? UNKNOWN : round;
    if (states.length > 0) stableSince = null;
    else stableSince ??= now;
    if (stableSince !== null && now - stableSince >= wait.stableForMs) {
      const last = await failures.look();
      if (last !== null) return { kind: "failed", ...last };
      return wait.isGone() ? { kind: "gone" } : { kind: "ready", ...round.outcome() };
    }
    const stableFor = `it has not yet been ready for ${wait.stableForMs} ms`;
    const waitingFor = states.length > 0 ? states : [stableFor];
    wait.onLook?.(waitingFor, round.stray);
    if (foreign === null) foreignSince = null;
    else foreignSince ??= now;
    if (foreign !== null && now - foreignSince! >= FOREIGN_FOR_MS) return { kind: "foreign", verdict: foreign };
    // This process may have slept over its deadline, and what it saw is of before that: the last look begins after it.
    if (now >= deadline && (subject === null || lookedAt >= deadline)) {
      if (foreign !== null) return { kind: "foreign", verdict: foreign };
      return { kind: "timeout", states: waitingFor, stray: round.stray };
    }
    if (stableSince !== null) round.again();
    const pause = foreign === null && stableSince === null
      ? pauseAt(now - begun, now - lookedAt)
      : sleep(STABLE_PAUSE_MS);
    await (ended.isOpen ? pause : cutShort(pause, ended));
  }
}

/** What is to be told of a node whose process is not known yet. */
const UNKNOWN = { states: ["its process is not known yet"], foreign: null };

/** Opens its latch when a moment has passed, which may move on meanwhile. One timer, however many looks there are. */
class Lateness implements Disposable {
  readonly latch = new Latch();
  readonly #moment: () => number;
  #signal: AbortSignal | null = null;
  readonly #check = () => this.#arm();

  /** `moment`: by `performance.now()`; asked again when it should have come. */
  constructor(moment: () => number) {
    this.#moment = moment;
    this.#arm();
  }

  #arm(): void {
    const left = this.#moment() - performance.now();
    if (left <= 0) return this.latch.open();
    this.#signal = AbortSignal.timeout(Math.min(Math.ceil(left), LONGEST_TIMER));
    this.#signal.addEventListener("abort", this.#check, { once: true });
  }

  /** Without its listener, the timer keeps no program alive. */
  [Symbol.dispose](): void {
    this.#signal?.removeEventListener("abort", this.#check);
  }
}

/**
 * Whether a node is ready, asked time after time: what is asked at a pace, so that it costs the server little, keeps
 * its pace from one time to the next.
 */
export class Readiness {
  #key = "";
  #round = new Round([]);

  /** Looks once at every probe that stands for a state, and says in words what keeps it from being ready; empty: nothing. */
  async obstacles(probes: Probe[], subject: ProbeTarget): Promise<string[]> {
    const key = JSON.stringify([subject.roots.attempts, subject.mainPid, probes]);
    if (key !== this.#key) this.#round = new Round(probes.filter((probe) => !isEvent(probe)));
    this.#key = key;
    this.#round.again();
    const looks = new AbortController();
    const look = this.#round.look(subject, ONE_ROUND_MS, looks.signal);
    const begun = performance.now();
    using late = new Lateness(() => begun + ONE_ROUND_MS + GRACE_MS);
    if (await cutShort(look, late.latch) !== "cut") return this.#round.states;
    looks.abort();
    void Promise.allSettled([look]);
    this.#key = ""; // that look goes on in the same round
    return ["a look at it did not end"];
  }
}

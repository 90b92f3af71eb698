/**
 * Waiting until a node is ready, or certainly will not be.
 *
 * @module
 */
import { type Failure, FailureWatch } from "./log.ts";
import { blockingPause, cutShort, Latch, LONGEST_TIMER_MS, sleep } from "../async.ts";
import { mayBlock } from "../os/thread.ts";
import { isEvent, type Probe } from "../spec/probes.ts";
import type { ProbeTarget, Verdict } from "./types.ts";
import { type Ready, Round } from "./probes.ts";

/** What to wait for. */
export interface Wait {
  /** All must pass. */
  probes: Probe[];
  /** Its log, and regular expressions for lines that mean failure; `null`: the log is not watched. */
  failures: { log: string; patterns: string[] } | null;
  /** Milliseconds for which all must pass without a break. */
  stableForMs: number;
  /** Milliseconds to wait; the server itself can ask for more (see notify.ts). */
  timeoutMs: number;
  /** The node as it is now; `null` while its main process is not known yet. */
  target: () => ProbeTarget | null;
  /** Whether the node has ended. */
  isGone: () => boolean;
  /** Resolves when the node may have ended, to check at once. */
  end: Promise<void>;
  /** Ends the wait. */
  abort: AbortSignal;
  /**
   * Called after each round with the reasons why it is not ready, in words, and the port on which it listens instead.
   */
  onRound?: (states: string[], stray: number | null) => void;
}

/** How a wait ended. */
export type Outcome =
  | { kind: "ready" } & Ready
  | { kind: "gone" }
  | { kind: "timeout"; states: string[]; stray: number | null }
  | ({ kind: "failed" } & Failure)
  | { kind: "foreign"; verdict: Extract<Verdict, { kind: "foreign" }> }
  | { kind: "aborted" };

/** How long another process must hold the place until the wait gives up, in milliseconds. */
const FOREIGN_FOR_MS = 250;

/** Pause between two rounds: short at first, longer later to save the processor. */
function pauseAt(elapsedMs: number, checkMs: number): Promise<void> {
  // In a program, this shares the thread with other work, so checks take a tenth of the time at most.
  if (!mayBlock()) return sleep(Math.min(Math.max(elapsedMs < 15_000 ? 5 : 20, checkMs * 10), 50));
  return elapsedMs < 3000 ? blockingPause() : sleep(elapsedMs < 15_000 ? 5 : 20);
}

/** Pause between two rounds while a ready node has to stay ready, in milliseconds. */
const STABLE_PAUSE_MS = 20;

/** Longest single check outside a wait, in milliseconds. */
const ONE_ROUND_MS = 5000;

/** How long after the deadline a check may still end by itself, in milliseconds: its result says more than a timeout. */
const GRACE_MS = 1000;

/** Shortest limit of a check, in milliseconds. */
const LAST_ROUND_MS = 100;

/** Checks until every probe has passed, the node is gone, time is up, or the wait is aborted. */
export async function untilReady(wait: Wait): Promise<Outcome> {
  const begun = performance.now();
  const checks = new AbortController();
  using _end = { [Symbol.dispose]: () => checks.abort() };
  const round = new Round(wait.probes);
  const failures = new FailureWatch(wait.failures?.log ?? "", wait.failures?.patterns ?? [], checks.signal);
  const ended = Latch.of(wait.end);
  using aborted = Latch.ofSignal(wait.abort);
  let deadline = begun + wait.timeoutMs;
  using late = new Lateness(() => deadline + GRACE_MS);
  let foreignSince: number | null = null;
  let stableSince: number | null = null;
  let checkedAt = begun;
  for (;;) {
    if (wait.abort.aborted) return { kind: "aborted" };
    if (wait.isGone()) return { kind: "gone" };
    const failure = failures.latch.isOpen ? await failures.check() : null;
    if (failure !== null) return { kind: "failed", ...failure };
    const target = wait.target();
    await target?.notifications?.receive();
    deadline = Math.max(begun + wait.timeoutMs, target?.notifications?.extendedUntil ?? 0);
    if (target !== null) {
      checkedAt = performance.now();
      const check = round.check(target, Math.max(deadline - checkedAt, LAST_ROUND_MS), checks.signal);
      // A probe that hangs must not delay an abort, the node's end or the deadline.
      const interrupts = [aborted.latch, late.latch, failures.latch];
      let cut = await cutShort(check, ...interrupts, ...(ended.isOpen ? [] : [ended]));
      const isOver = () => wait.abort.aborted || wait.isGone() || failures.latch.isOpen;
      if (cut === "cut" && !isOver()) cut = await cutShort(check, ...interrupts); // a daemon's parent has exited
      if (cut === "cut" || isOver()) {
        checks.abort();
        void Promise.allSettled([check]); // its result is not needed
        if (isOver()) continue;
        const states = round.states.length > 0 ? round.states : ["a check of it did not end"];
        return { kind: "timeout", states, stray: round.stray };
      }
    }
    const now = performance.now();
    const { states, foreign } = target === null ? UNKNOWN : round;
    if (states.length > 0) stableSince = null;
    else stableSince ??= now;
    if (stableSince !== null && now - stableSince >= wait.stableForMs) {
      const last = await failures.check();
      if (last !== null) return { kind: "failed", ...last };
      return wait.isGone() ? { kind: "gone" } : { kind: "ready", ...round.outcome() };
    }
    const stableFor = `it has not yet been ready for ${wait.stableForMs} ms`;
    const waitingFor = states.length > 0 ? states : [stableFor];
    wait.onRound?.(waitingFor, round.stray);
    if (foreign === null) foreignSince = null;
    else foreignSince ??= now;
    if (foreign !== null && now - foreignSince! >= FOREIGN_FOR_MS) return { kind: "foreign", verdict: foreign };
    // If this process slept past the deadline, its last check is older than that: it makes one more.
    if (now >= deadline && (target === null || checkedAt >= deadline)) {
      if (foreign !== null) return { kind: "foreign", verdict: foreign };
      return { kind: "timeout", states: waitingFor, stray: round.stray };
    }
    if (stableSince !== null) round.again();
    const pause = foreign === null && stableSince === null
      ? pauseAt(now - begun, now - checkedAt)
      : sleep(STABLE_PAUSE_MS);
    await (ended.isOpen ? pause : cutShort(pause, ended));
  }
}

/** State of a node whose process is not known yet. */
const UNKNOWN = { states: ["its process is not known yet"], foreign: null };

/** Opens its latch at a moment that may move on meanwhile. One timer for the whole wait. */
class Lateness implements Disposable {
  readonly latch = new Latch();
  readonly #moment: () => number;
  #signal: AbortSignal | null = null;
  #hasSlept = false;
  readonly #check = () => this.#arm();

  /** `moment`: by `performance.now()`; read again when it should have come. */
  constructor(moment: () => number) {
    this.#moment = moment;
    this.#arm();
  }

  #arm(): void {
    let left = this.#moment() - performance.now();
    if (left < -GRACE_MS && !this.#hasSlept) {
      // This process was suspended past the moment, in the middle of a check: lets that check end, and repeats it once.
      this.#hasSlept = true;
      left = GRACE_MS;
    }
    if (left <= 0) return this.latch.open();
    this.#signal = AbortSignal.timeout(Math.min(Math.ceil(left), LONGEST_TIMER_MS));
    this.#signal.addEventListener("abort", this.#check, { once: true });
  }

  /** Without a listener, the timer does not keep a program alive. */
  [Symbol.dispose](): void {
    this.#signal?.removeEventListener("abort", this.#check);
  }
}

/**
 * Whether a node is ready, for callers that ask repeatedly: throttled probes stay throttled from one call to the next.
 */
export class Readiness {
  #key = "";
  #round = new Round([]);

  /** Checks every probe of a state once. Returns the reasons why the node is not ready, in words; none: it is ready. */
  async obstacles(probes: Probe[], target: ProbeTarget): Promise<string[]> {
    const key = JSON.stringify([target.roots.attempts, target.mainPid, probes]);
    if (key !== this.#key) this.#round = new Round(probes.filter((probe) => !isEvent(probe)));
    this.#key = key;
    this.#round.again();
    const checks = new AbortController();
    const check = this.#round.check(target, ONE_ROUND_MS, checks.signal);
    const begun = performance.now();
    using late = new Lateness(() => begun + ONE_ROUND_MS + GRACE_MS);
    if (await cutShort(check, late.latch) !== "cut") return this.#round.states;
    checks.abort();
    void Promise.allSettled([check]);
    this.#key = ""; // that check goes on in the same round
    return ["a check of it did not end"];
  }
}

/**
 * Asynchronous work: many items a few at a time, waiting for the first of several events, timers and pauses.
 *
 * @module
 */

/** How many nodes are worked on at the same time. */
export const AT_ONCE = {
  /** Each costs a launcher, a log and probes every millisecond. */
  start: 32,
  /** Each waits for its processes, and scans the system. */
  stop: 32,
  /** Each may wait for an answer of its server. */
  look: 64,
  /** They share their scans. */
  sweep: 128,
} as const;

/** A semaphore. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** A gate with this many places. */
  constructor(size: number) {
    this.#free = size;
  }

  /** Resolves when there is a free place; disposing gives it to the next caller. */
  async enter(): Promise<Disposable> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return {
      [Symbol.dispose]: () => {
        const next = this.#waiting.shift();
        if (next === undefined) this.#free++;
        else next();
      },
    };
  }
}

/**
 * Works on the items in batches of `size` and yields the results in order. A batch begins only when the results of the one
 * before it were taken, so memory stays flat.
 */
export async function* inBatches<T, R>(
  size: number,
  items: Iterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  let batch: T[] = [];
  for (const item of items) {
    if (batch.push(item) < size) continue;
    yield* await Promise.all(batch.map(work));
    batch = [];
  }
  yield* await Promise.all(batch.map(work));
}

/**
 * An event that happens once, with many short waits for it. Each `Promise.race` against a long-lived promise keeps some
 * 300 bytes in it; a latch is attached to its source once, and drops waiters that have stopped waiting.
 */
export class Latch {
  #isOpen = false;
  readonly #waiters = new Set<() => void>();

  /** Whether it has happened. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Releases all waiters, and from now on every new one at once. */
  open(): void {
    this.#isOpen = true;
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** Opens when this promise is fulfilled. */
  static of(promise: Promise<unknown>): Latch {
    const latch = new Latch();
    void promise.then(() => latch.open());
    return latch;
  }

  /** Opens when this signal is aborted; disposing removes its listener. */
  static ofSignal(signal: AbortSignal): { latch: Latch } & Disposable {
    const latch = new Latch();
    const open = () => latch.open();
    if (signal.aborted) open();
    else signal.addEventListener("abort", open, { once: true });
    return { latch, [Symbol.dispose]: () => signal.removeEventListener("abort", open) };
  }

  /** For {@linkcode cutShort}: calls this as soon as it is open. */
  add(waiter: () => void): void {
    if (this.#isOpen) waiter();
    else this.#waiters.add(waiter);
  }

  /** For {@linkcode cutShort}: takes back {@linkcode Latch.add}. */
  delete(waiter: () => void): void {
    this.#waiters.delete(waiter);
  }
}

/**
 * The result of the work, or `"cut"` as soon as one of the latches opens. The work then goes on, but its result, an error
 * included, is ignored.
 */
export function cutShort<T>(work: Promise<T>, ...latches: Latch[]): Promise<T | "cut"> {
  return new Promise((resolve, reject) => {
    const cut = () => leave(() => resolve("cut"));
    const leave = (settle: () => void) => {
      for (const latch of latches) latch.delete(cut);
      settle();
    };
    work.then((value) => leave(() => resolve(value)), (error) => leave(() => reject(error)));
    for (const latch of latches) latch.add(cut);
  });
}

/** Longest delay of a timer, in milliseconds: 31 bits. */
export const LONGEST_TIMER_MS: number = 2 ** 31 - 1;

/** Resolves after `ms` milliseconds; about one more where `ms` is small. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Resolves to `"expired"` after `ms` milliseconds, and does not keep the program alive. Unlike the first
 * timer of a process, which loads some 4 ms of Deno's own code, this costs next to nothing.
 */
export function expiry(ms: number): Promise<"expired"> {
  const signal = AbortSignal.timeout(ms);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve("expired"), { once: true }));
}

/** Gives way to the event loop. Takes some 50 µs, a timer a millisecond. */
export async function turn(): Promise<void> {
  await Deno.lstat("/"); // any operation of the event loop does; this one always succeeds
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** The pause in progress. */
let pausing: Promise<void> | null = null;

/**
 * A pause of exactly a millisecond that blocks the whole process, and then handles pending events. For the few seconds in
 * which every millisecond counts: a timer of 1 ms takes 2.2, the first one 6. Concurrent callers share one pause, so that
 * they do not hold each other up.
 */
export function blockingPause(): Promise<void> {
  return pausing ??= pause().finally(() => {
    pausing = null;
  });
}

async function pause(): Promise<void> {
  Atomics.wait(cell, 0, 0, 1);
  await turn();
}

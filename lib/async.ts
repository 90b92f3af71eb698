/**
 * Asynchronous work: many items a few at a time, and waiting for the first of several events.
 *
 * @module
 */

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

  /** Opens when this signal is aborted, and lets go of the signal when disposed. */
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

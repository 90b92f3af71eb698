/**
 * Many nodes at a time, but not all.
 *
 * @module
 */

/**
 * Does something with each item, up to `size` of them at the same time, and gives the results in the order of the items.
 * The next items are not touched before the results of those before them have been taken, so memory stays flat.
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

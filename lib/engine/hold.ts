/**
 * What a start holds on to: its lock and its tombstone. Both are found by their path, and so is everything that it
 * writes; after a wait that path may lead to a successor's.
 *
 * @module
 */
import { type Lock, stateRemoved } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { readTombstone } from "../state/records.ts";

/** The state of a node in the hands of one attempt. */
export class Hold {
  readonly #dir: NodeDir;
  readonly #lock: Lock;
  readonly #attempt: string;

  /** The state that this attempt has written its tombstone into, under this lock. */
  constructor(dir: NodeDir, lock: Lock, attempt: string) {
    this.#dir = dir;
    this.#lock = lock;
    this.#attempt = attempt;
  }

  /** Whether the state still is that of this attempt: nobody has removed it, and no successor has made it anew. */
  isKept(): boolean {
    const tombstone = this.#lock.isLinked() ? readTombstone(this.#dir) : null;
    return tombstone?.kind === "record" && tombstone.record.attempt === this.#attempt;
  }

  /**
   * Insists on that. (Test: "a start whose state is deleted half-way …".)
   *
   * @throws {TombstoneError} it is not
   */
  insist(): void {
    if (!this.isKept()) throw stateRemoved(this.#dir, "start");
  }

  /** The same without reading the tombstone, for those who ask a thousand times a second. */
  insistOnLock(): void {
    this.#lock.insist();
  }
}

/**
 * Who has been proven to be a node's. A descendant in a session of its own has no proof left when its parent is gone,
 * so it is kept by its identity: whoever was once proven stays the node's until it is gone.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";

/** Processes that were proven, of this command or of an interrupted one that has recorded them. */
export class Proven {
  readonly #starts = new Map<number, number>();
  readonly #lean = new Map<number, Identity>();

  /** Begins with those that records name. */
  constructor(recorded: Identity[] = []) {
    for (const { pid, startTime } of recorded) this.add({ pid, startTime }, "by others");
  }

  /** Whether this process was proven earlier. */
  has({ pid, startTime }: Identity): boolean {
    const start = this.#starts.get(pid);
    return start !== undefined && system.processes.sameStart(start, startTime);
  }

  /** A process that is proven now: by itself, its environment or a record, or only by others, as their descendant. */
  add({ pid, startTime }: Identity, how: "by itself" | "by others"): void {
    if (!this.has({ pid, startTime })) this.#starts.set(pid, startTime);
    if (how === "by others") this.#lean.set(pid, { pid, startTime });
    else this.#lean.delete(pid);
  }

  /** The row with the start time that was first told of it: where that wavers, it still is one process. */
  asFirstSeen<T extends Identity>(row: T): T {
    return { ...row, startTime: this.has(row) ? this.#starts.get(row.pid)! : row.startTime };
  }

  /** Those that nothing would prove any more if the others were gone, and this command with them. */
  byOthers(): Identity[] {
    return [...this.#lean.values()];
  }
}

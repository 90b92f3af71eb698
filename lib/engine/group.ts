/**
 * Several nodes at once, in the order of their dependencies.
 *
 * Every node is started by the protocol of a single start, so a group that is killed half-way leaves running nodes and
 * interrupted starts, and the next start can deal with each. This module adds the order, and undoes a group in which one
 * start failed.
 *
 * @module
 */
import { retold, TombstoneError, tombstoneError } from "../errors.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { Started, StartRequest, StopOptions } from "./request.ts";
import { start } from "./start.ts";
import type { Reporter } from "./reporter.ts";
import { stop, type Stopped } from "./stop.ts";

/** Nodes that are started at the same time: each costs a launcher and a probe every millisecond. */
const AT_ONCE = 32;

/** A node of a group. */
export interface Member {
  /** Its name. */
  node: string;
  /** Names of all members that must be ready first, directly or not. */
  after: string[];
  /** How to start it, once those run. */
  request: (before: ReadonlyMap<string, Started>) => Omit<StartRequest, "abort" | "onCommit">;
}

/** Options of {@linkcode startGroup}. */
export interface GroupOptions {
  /** Aborted by a signal to the starter; the reason is the error to throw. */
  abort: AbortSignal;
  /** Called for each node when it is ready: at its commit, or when it was found running. */
  onStarted: (node: string, started: Started) => void;
  /** Called for each node that is stopped again, because another one failed. */
  onUndone: (node: string, stopped: Stopped) => void;
  /** Where to report. */
  reporter: Reporter;
}

/**
 * Starts the members, in parallel where their dependencies allow.
 *
 * @param members ordered, dependencies first
 * @returns the result of each
 * @throws {TombstoneError} the first failure; the members that were started here are stopped again
 */
export async function startGroup(members: Member[], options: GroupOptions): Promise<Map<string, Started>> {
  const started = new Map<string, Started>();
  const controller = new AbortController();
  const abort = AbortSignal.any([options.abort, controller.signal]);
  const ready = new Map<string, Promise<void>>();
  const gate = new Gate(AT_ONCE);
  let failure: { error: unknown } | null = null;
  for (const { node, after, request } of members) {
    const before = after.map((name) => ready.get(name)!);
    const startOne = async () => {
      await Promise.all(before);
      using _place = await gate.enter();
      if (failure !== null || abort.aborted) return;
      const result = await start({
        ...request(started),
        abort,
        onCommit: (committed) => {
          started.set(node, committed);
          options.onStarted(node, committed);
        },
      });
      if (started.has(node)) return;
      started.set(node, result);
      options.onStarted(node, result);
    };
    ready.set(
      node,
      startOne().catch((error) => {
        failure ??= { error };
        controller.abort(becauseOf(node, error));
      }),
    );
  }
  await Promise.all(ready.values());
  if (failure === null && !options.abort.aborted) return started;
  await undo(members, started, options);
  options.abort.throwIfAborted();
  throw (failure as unknown as { error: unknown }).error;
}

/** A semaphore. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

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

/** Stops what this call has started, unless somebody else has restarted it meanwhile. */
async function undo(members: Member[], started: Map<string, Started>, options: GroupOptions): Promise<void> {
  const own = members.filter(({ node }) => started.get(node)?.started === true)
    .map(({ node, after, request }) => ({ node, after, info: started.get(node)!.info, ...request(started) }));
  try {
    await stopGroup(own, {
      options: (member) => ({ ...member, ofAttempt: member.info.attempt }),
      onStopped: options.onUndone,
    });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    options.reporter.warn(error.message); // the first failure is the error that is thrown
  }
}

/** The error that aborts the starts of the other nodes. */
function becauseOf(node: string, error: unknown): TombstoneError {
  const told = {
    message: `Cannot go on with the others: "${node}" could not be started`,
    hint: `tombstone logs ${node}`,
  };
  return error instanceof TombstoneError
    ? retold(error, told)
    : tombstoneError(told.message, { kind: "server-exited", hint: told.hint });
}

/** A node of a group that is to be stopped. */
export interface StopMember {
  /** Its name. */
  node: string;
  /** Names of all nodes that it needs, directly or not; they are stopped after it. */
  after: string[];
  /** Its directory. */
  dir: NodeDir;
}

/** How a group is stopped. */
export interface GroupStopOptions<T extends StopMember> {
  /** How to stop one of them. */
  options: (member: T) => StopOptions;
  /** Called as each is stopped. */
  onStopped: (node: string, stopped: Stopped) => void;
}

/**
 * Stops nodes, dependents first, in parallel where that allows. A failure does not keep the others from being stopped.
 *
 * @throws {TombstoneError} the first that could not be stopped
 */
export async function stopGroup<T extends StopMember>(members: T[], how: GroupStopOptions<T>): Promise<void> {
  const errors: unknown[] = [];
  for (const level of levelsOf(members)) {
    await Promise.all(level.map(async (member) => {
      try {
        how.onStopped(member.node, await stop(member.dir, how.options(member)));
      } catch (error) {
        errors.push(error);
      }
    }));
  }
  if (errors.length > 0) throw errors[0];
}

/** The order of a stop: each level holds the nodes that none of the later levels needs. */
export function levelsOf<T extends { node: string; after: string[] }>(members: T[]): T[][] {
  const levels: T[][] = [];
  for (let left = members; left.length > 0;) {
    const needed = new Set(left.flatMap(({ after }) => after));
    const level = left.filter(({ node }) => !needed.has(node));
    levels.push(level);
    left = left.filter(({ node }) => needed.has(node));
  }
  return levels;
}

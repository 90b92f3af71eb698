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
import { AT_ONCE, Gate } from "../async.ts";
import { isStep } from "../spec/probes.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeOptions, Started, StartRequest, StopOptions } from "./request.ts";
import { start } from "./start.ts";
import type { Reporter } from "./reporter.ts";
import { stop, type Stopped } from "./stop.ts";

/** A node of a group. */
export interface Member {
  /** Its directory. */
  dir: NodeDir;
  /** Names of all nodes that it needs, directly or not: they are started before it, and stopped after it. */
  after: string[];
}

/** A node of a group that is to be started. */
export interface StartMember extends Member {
  /** How to work on it. */
  options: NodeOptions;
  /** How to start it, once the nodes that it needs are ready. */
  request: (
    before: ReadonlyMap<string, Started>,
  ) => Omit<StartRequest, "dir" | "abort" | "onCommit" | keyof NodeOptions>;
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
export async function startGroup(members: StartMember[], options: GroupOptions): Promise<Map<string, Started>> {
  const started = new Map<string, Started>();
  const controller = new AbortController();
  const abort = AbortSignal.any([options.abort, controller.signal]);
  const ready = new Map<string, Promise<void>>();
  const gate = new Gate(AT_ONCE.start);
  let failure: { error: unknown } | null = null;
  for (const { dir, after, options: how, request } of members) {
    const { node } = dir;
    const before = after.map((name) => ready.get(name)!);
    const startOne = async () => {
      await Promise.all(before);
      using _place = await gate.enter();
      if (failure !== null || abort.aborted) return;
      const result = await start({
        ...request(started),
        ...how,
        dir,
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

/** Whether this call has started a server that may still run; a step that is done does not. */
export function hasStarted(started: Started | undefined): boolean {
  return started?.started === true && !isStep(started.info);
}

/** Stops what this call has started, unless another command has restarted it meanwhile. */
async function undo(members: StartMember[], started: Map<string, Started>, options: GroupOptions): Promise<void> {
  const own = members.filter(({ dir }) => hasStarted(started.get(dir.node)));
  try {
    await stopGroup(own, {
      options: ({ dir, options }) => ({ ...options, ofAttempt: started.get(dir.node)!.info.attempt }),
      onStopped: ({ node }, stopped) => options.onUndone(node, stopped),
    });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    options.reporter.warn(error.message); // the first failure is the error that is thrown
  }
}

/** The error that aborts the starts of the other nodes. */
function becauseOf(node: string, error: unknown): TombstoneError {
  const words = {
    message: `Cannot go on with the others: "${node}" could not be started`,
    hint: `tombstone logs ${node}`,
  };
  return error instanceof TombstoneError
    ? retold(error, words)
    : tombstoneError(words.message, { kind: "server-exited", hint: words.hint });
}

/** How a group is stopped. */
export interface GroupStopOptions<T extends Member> {
  /** How to stop one of them. */
  options: (member: T) => StopOptions;
  /** Called as each is stopped. */
  onStopped: (dir: NodeDir, stopped: Stopped) => void;
}

/**
 * Stops nodes, dependents first, in parallel where possible. After a failure, it still stops the others; later failures
 * are warnings.
 *
 * @throws {TombstoneError} the first that could not be stopped
 */
export async function stopGroup<T extends Member>(members: T[], how: GroupStopOptions<T>): Promise<void> {
  const gate = new Gate(AT_ONCE.stop);
  let failure: { error: unknown } | null = null;
  const stopOne = async (member: T) => {
    using _place = await gate.enter();
    const options = how.options(member);
    try {
      how.onStopped(member.dir, await stop(member.dir, options));
    } catch (error) {
      if (failure !== null && error instanceof TombstoneError) options.reporter.warn(error.message);
      failure ??= { error };
    }
  };
  for (const level of levelsOf(members)) await Promise.all(level.map(stopOne));
  if (failure !== null) throw (failure as { error: unknown }).error;
}

/** The order of a stop, in levels: no node in a later level needs one of this level. */
function levelsOf<T extends Member>(members: T[]): T[][] {
  const levels: T[][] = [];
  for (let left = members; left.length > 0;) {
    const needed = new Set(left.flatMap(({ after }) => after));
    const level = left.filter(({ dir }) => !needed.has(dir.node));
    levels.push(level);
    left = left.filter(({ dir }) => needed.has(dir.node));
  }
  return levels;
}

/**
 * Starting a node from a program.
 *
 * @module
 */
import { dirname } from "../paths.ts";
import { requireExecutable, searchPath } from "../process/executable.ts";
import { currentDirectory } from "../os/surroundings.ts";
import { readDescription } from "../spec/description.ts";
import { prepare } from "../engine/preflight.ts";
import { tombstoneError } from "../errors.ts";
import { dueLeases } from "../engine/due_leases.ts";
import { endLeases } from "../engine/end_leases.ts";
import { start as startNode } from "../engine/start.ts";
import { breathe } from "../os/thread.ts";
import { nodeNameOf } from "../state/workspace.ts";
import { RunningNode } from "./node.ts";
import type { NodeSettings } from "./options.ts";
import { find, type Locator, type ResolvedNode } from "./where.ts";

/** What to start, and how. */
export interface StartOptions extends Locator, NodeSettings {
  /** Name of the node; default: the last part of the current directory. */
  name?: string;
  /** Whether to stop the node first if it runs; default: a running one is reused. */
  replace?: boolean;
  /** Aborts the start, which is then undone. */
  signal?: AbortSignal;
}

/** Options that do not describe the node. */
const OTHERS: Record<Exclude<keyof StartOptions, keyof NodeSettings>, true> = {
  name: true,
  workspace: true,
  stateDir: true,
  lockTimeout: true,
  force: true,
  tell: true,
  replace: true,
  signal: true,
};

/**
 * Starts a node detached, and waits until it is ready. If this program is killed meanwhile, the next start cleans up.
 *
 * @throws {TombstoneError} it could not be started, or was not ready in time; none of its processes is left then
 */
export async function start(options: StartOptions): Promise<RunningNode> {
  const { name = nodeNameOf(currentDirectory()), replace, signal } = options;
  const description = Object.fromEntries(Object.entries(options).filter(([option]) => !Object.hasOwn(OTHERS, option)));
  const { source } = await readDescription(description, {
    node: name,
    where: "the options of start",
    base: currentDirectory,
    kind: "program",
  });
  await breathe();
  const { settings, env, whileProcess } = prepare(source);
  await breathe();
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: searchPath(env) });
  await breathe();
  const found = await find(name, options, "ensure");
  await endOver(found);
  using abort = abortOf(name, signal);
  await breathe();
  const started = await startNode({
    ...found.options,
    dir: found.dir,
    workspace: found.workspace,
    settings,
    env,
    running: replace === true ? "replace" : "keep",
    different: "refuse",
    run: null,
    whileProcess,
    abort: abort.signal,
  });
  return new RunningNode(found, started);
}

/** Like a command, ends the nodes whose lease is over; the one that is to be started is left to its start. */
async function endOver({ dir, options: { reporter } }: ResolvedNode): Promise<void> {
  await endLeases(await dueLeases(dirname(dirname(dir.path)), reporter), {
    reporter,
    isLeft: ({ path }) => path === dir.path,
    onEnded: ({ reason }, name) => reporter.info(`ended ${name}: ${reason}`),
  });
}

/** The caller's signal, with a {@linkcode TombstoneError} as its reason. */
function abortOf(name: string, signal: AbortSignal | undefined): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const abort = () =>
    controller.abort(
      tombstoneError(`Cannot start "${name}": it was aborted`, {
        kind: "signalled",
        hint: "start it again: what was begun has been undone",
        cause: signal?.reason,
      }),
    );
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return { signal: controller.signal, [Symbol.dispose]: () => signal?.removeEventListener("abort", abort) };
}

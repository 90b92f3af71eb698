/**
 * Starting a node from a program.
 *
 * @module
 */
import { requireExecutable, searchPath } from "../process/executable.ts";
import { currentDirectory } from "../os/surroundings.ts";
import { readDescription } from "../spec/description.ts";
import type { Duration, Texts } from "../spec/fields.ts";
import { settingsFrom } from "../spec/settings.ts";
import { tombstoneError } from "../errors.ts";
import { start as startNode } from "../engine/start.ts";
import { breathe } from "../os/thread.ts";
import { nodeNameOf } from "../state/workspace.ts";
import { RunningNode } from "./node.ts";
import { find, type Locator } from "./where.ts";

/** When a node is ready; all of it must hold. */
export interface Probes {
  /** A GET of this path, on the node's port, or of this URL is answered. */
  http?: Texts;
  /** Statuses that count as an answer; default `200-399`. */
  httpStatus?: string;
  /** The node accepts on this unix socket. */
  unix?: Texts;
  /** A line of its output matches this regular expression. */
  log?: Texts;
  /** This file has been written since the start. */
  file?: Texts;
  /** This shell command exits with 0. */
  exec?: Texts;
  /** The server says READY=1 as it does for systemd. */
  notify?: boolean;
  /** Failed as soon as a line of its output matches this regular expression. */
  failLog?: Texts;
  /** A listener that is not the node's own counts, too. */
  anyListener?: boolean;
  /** No probe: ready when the process has survived `aliveFor`. */
  none?: boolean;
  /** Ready not before it has run this long. */
  aliveFor?: Duration;
  /** Ready when all of it has held for this long. */
  stableFor?: Duration;
}

/** What to start, and how. Fields mean what they mean in `tombstone.json`, and the flags of `tombstone start`. */
export interface StartOptions extends Locator {
  /** Name of the node; default: the last part of the current directory. */
  name?: string;
  /** Program and arguments; or a line for the shell. */
  command: Texts;
  /** TCP port that it listens on; 0: a free one is chosen (`$PORT`, `{port}`). Default: found out. */
  port?: number;
  /** Address to connect to; default: any loopback address that it listens on. */
  host?: string;
  /** The server writes its port there. */
  portFile?: string;
  /** When it is ready; default: when it listens. */
  probes?: Probes;
  /** Given up when it is not ready by then; default 60 s. */
  timeout?: Duration;
  /** Directory that it runs in; default: the current one. */
  cwd?: string;
  /** Variables for it; never recorded. */
  env?: Record<string, string | number | boolean>;
  /** Whether to keep only the basics of the environment. */
  clearEnv?: boolean;
  /** Whether its input stays open; default: it is at its end from the beginning. */
  stdinOpen?: boolean;
  /** The server daemonises itself and writes its pid there. */
  pidFile?: string;
  /** Files that are stale whenever it does not run. */
  sweepFiles?: Texts;
  /** Names of processes that are never ended. */
  exclude?: Texts;
  /** How it is stopped; default: SIGTERM, and SIGKILL after 10 s. */
  stop?: { signal?: string; timeout?: Duration; command?: string };
  /** How much of its output is kept. */
  log?: { keep?: number; max?: string | number };
  /** Whether it is hidden from the clean-up of CI runners. */
  outliveCiJob?: boolean;
  /** Whether to stop the node first if it runs; default: one that runs is joined. */
  replace?: boolean;
  /** Aborts the start, which is undone then. */
  signal?: AbortSignal;
}

/** Options that do not describe the node. */
const OTHERS = ["name", "workspace", "stateDir", "lockTimeout", "force", "tell", "replace", "signal"];

/**
 * Starts a node detached, and waits until it is ready. Should this program be killed meanwhile, the next start cleans up.
 *
 * @throws {TombstoneError} it could not be started, or was not ready in time; nothing of it runs then
 */
export async function start(options: StartOptions): Promise<RunningNode> {
  const { name = nodeNameOf(currentDirectory()), replace, signal } = options;
  const description = Object.fromEntries(Object.entries(options).filter(([option]) => !OTHERS.includes(option)));
  const described = await readDescription(withUnderscores(description), {
    node: name,
    where: "the options of start",
    get base() {
      return currentDirectory();
    },
    spell: withCapitals,
  });
  const { source, command, env } = described;
  await breathe();
  const settings = settingsFrom(source, command);
  const path = searchPath(env);
  await breathe();
  requireExecutable(command[0]!, { cwd: settings.cwd, path });
  await breathe();
  const found = await find(name, options, "ensure");
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
    abort: abort.signal,
  });
  return new RunningNode(found, started);
}

/** The caller's signal, with an error of ours as the reason. */
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

/** `sweepFiles` as `sweep_files`; names of variables stay as they are. */
function withUnderscores(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => {
      const isGroup = typeof value === "object" && value !== null && !Array.isArray(value) && name !== "env";
      const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return [key, isGroup ? withUnderscores(value as Record<string, unknown>) : value];
    }),
  );
}

/** `sweep_files` as `sweepFiles`. */
function withCapitals(path: string): string {
  return path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

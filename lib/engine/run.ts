/**
 * Servers for one test command: starts or reuses them, runs the test, stops the servers that it started.
 *
 * From the commit on, `node.info` names the run that the node belongs to. If this process is killed, the next start,
 * run or sweep finds a node whose run is gone, and terminates it and the rest of the test command. (Test: "a run that
 * is killed".)
 *
 * @module
 */
import type { TombstoneError } from "../errors.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { RunOwner } from "../state/node_info.ts";
import { type ForegroundEnd, runForeground } from "./foreground.ts";
import { endedBy, type EndSignal, Signals } from "./signals.ts";
import { requireTerminated, tellKilled } from "./leftovers.ts";
import { recordedByOthers } from "./roots.ts";
import { newOwner, Server, type ServerResult, stopServers, type WatchedNode } from "./server.ts";
import { hasStarted, startGroup, type StartMember } from "./group.ts";
import type { Started } from "./request.ts";
import type { Stopped } from "./stop.ts";
import type { Reporter } from "./reporter.ts";

/** What to run. */
export interface RunRequest {
  /** Name of the nodes in messages. */
  name: string;
  /** The nodes, for a run of this id. */
  members: (owner: RunOwner) => StartMember[];
  /** Where to report. */
  reporter: Reporter;
  /** Test command; called with the nodes once they are ready. */
  test: (nodes: ReadonlyMap<string, Started>) => Test;
  /** What happens to the test command when a server dies. */
  serverDeath: "go on" | "end";
  /** Called for each node that is ready, before the test command runs. */
  onReady: (node: string, started: Started) => void;
  /** Called when the test command has ended, before anything is stopped. */
  onTested: (test: ForegroundEnd, nodes: WatchedNode[]) => void;
  /** Called for each node that was stopped. */
  onStopped: (node: string, stopped: Stopped) => void;
}

/** A test command. */
export interface Test {
  /** Program and arguments. */
  command: string[];
  /** Variables on top of the environment. */
  env: Record<string, string>;
}

/** Result of a run. */
export interface RunResult {
  /** How the test command ended. */
  test: ForegroundEnd;
  /** The nodes, by name. */
  nodes: Map<string, ServerResult>;
}

/**
 * Runs a test command against its nodes.
 *
 * @throws {TombstoneError} a node could not be started, or not be stopped
 */
export async function run(request: RunRequest): Promise<RunResult> {
  const { name, reporter } = request;
  const owner = newOwner();
  // A signal during the start aborts it; later ones go to the test command; the stop is not interrupted.
  const controller = new AbortController();
  let interruption: TombstoneError | null = null;
  const abort = (signal: EndSignal) => controller.abort(interruption ??= endedBy(signal, "run", name));
  using signals = new Signals(abort);
  const members = request.members(owner);
  const started = await startGroup(members, {
    abort: controller.signal,
    reporter,
    onStarted: request.onReady,
    onUndone: request.onStopped,
  });
  const servers = members.map((member) => new Server(member, started));
  const own = servers.filter((server) => hasStarted(server.begun));
  const mine = own[0] ?? servers[0]!;
  // A run inside another run's test that starts nothing leaves its test command to the outer run to find.
  const isMarked = own.length > 0 || !Deno.env.get(ATTEMPT_VARIABLE);
  let test: ForegroundEnd;
  try {
    controller.signal.throwIfAborted();
    const { command, env } = request.test(started);
    test = await runForeground(name, {
      command,
      // If this process is killed, the next command finds the rest of the test command by the id of the run.
      env: isMarked ? { ...env, [ATTEMPT_VARIABLE]: owner.id } : env,
      roots: {
        of: "command",
        dir: mine.dir,
        attempts: isMarked ? [owner.id] : [],
        exclude: mine.begun.info.exclude,
        others: () => recordedByOthers(mine.dir),
      },
      graceMs: Math.max(...servers.map(({ begun }) => begun.info.stop.timeout_ms)),
      signals,
      watch() {
        const died = servers.filter((server) => server.hasJustDied());
        for (const server of died) reporter.error(server.deathOf("for the test"));
        return died.length > 0 ? request.serverDeath : "go on";
      },
    });
    tellLeftovers(test, mine.dir, reporter);
    test.cause ??= interruption;
    request.onTested(test, servers.map((server) => server.now()));
  } finally {
    signals.answer = abort;
    // If the test command could not be run at all, that error is on its way already.
    await stopServers(own, { owner, reporter, onStopped: request.onStopped });
  }
  requireTerminated(mine.dir, test.leftovers.left, "end the test of");
  test.cause ??= interruption;
  return { test, nodes: new Map(servers.map((server) => [server.dir.node, server.result()])) };
}

/** Reports which processes of the test command had to be terminated. */
function tellLeftovers({ cause, leftovers: { pids, killed } }: ForegroundEnd, dir: NodeDir, reporter: Reporter): void {
  if (cause === null && pids.length > 0) reporter.info(`ended what the test left behind: pid ${pids.join(", ")}`);
  tellKilled(dir, killed, reporter);
}

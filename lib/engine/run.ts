/**
 * Servers for one test command: starts or reuses them, runs the test, stops the servers that it started.
 *
 * From the commit on, `node.info` names the run that the node belongs to. If this process is killed, the next start,
 * run or sweep finds a node whose run is gone, and terminates it and the rest of the test command. (Test: "a run that
 * is killed".)
 *
 * @module
 */
import { type TombstoneError, tombstoneError } from "../errors.ts";
import { system, UNKNOWN_START } from "../os/system.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { trimLog } from "../state/log.ts";
import { isLocked } from "../state/lock.ts";
import { isStep } from "../spec/probes.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo, RunOwner } from "../state/node_info.ts";
import { withLog } from "./failure.ts";
import { type ForegroundEnd, runForeground } from "./foreground.ts";
import { endedBy, type EndSignal, Signals } from "./signals.ts";
import { findMain } from "./liveness.ts";
import { requireTerminated, tellKilled } from "./leftovers.ts";
import { lookAt } from "./state.ts";
import { recordedByOthers } from "./roots.ts";
import { hasStarted, startGroup, type StartMember, stopGroup } from "./group.ts";
import type { NodeOptions, Started } from "./request.ts";
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
  onTested: (test: ForegroundEnd, nodes: TestedNode[]) => void;
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

/** A node whose test command has ended. */
export interface TestedNode {
  /** Its directory. */
  dir: NodeDir;
  /** Its commit record. */
  info: NodeInfo;
  /** Whether its server died meanwhile; its last lines have been reported then. */
  serverDied: boolean;
}

/** What became of a node of a run. */
export interface RunNode extends Started {
  /** Its directory. */
  dir: NodeDir;
  /** Whether its server died while the test command ran. */
  serverDied: boolean;
  /** Whether this call stopped it; `false` if it was running before, or had already exited. */
  stopped: boolean;
  /** Processes of this server or of an earlier one that had to be killed. */
  killed: number[];
  /** State of the node after the run. */
  left: "running" | "died" | "stopped";
}

/** Result of a run. */
export interface RunResult {
  /** How the test command ended. */
  test: ForegroundEnd;
  /** The nodes, by name. */
  nodes: Map<string, RunNode>;
}

/**
 * Runs a test command against its nodes.
 *
 * @throws {TombstoneError} a node could not be started, or not be stopped
 */
export async function run(request: RunRequest): Promise<RunResult> {
  const { name, reporter } = request;
  const owner: RunOwner = {
    id: crypto.randomUUID(),
    pid: Deno.pid,
    start_time: system.processes.read(Deno.pid)?.startTime ?? UNKNOWN_START,
  };
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
        for (const server of servers) trimLog(server.dir.log, server.begun.info.log.max_bytes);
        const died = servers.filter((server) => server.hasJustDied());
        for (const server of died) reporter.error(serverHasDied(server));
        return died.length > 0 ? request.serverDeath : "go on";
      },
    });
    tellLeftovers(test, mine.dir, reporter);
    test.cause ??= interruption;
    request.onTested(test, servers.map((server) => server.tested()));
  } finally {
    signals.answer = abort;
    // If the test command could not be run at all, that error is on its way already.
    await stopGroup(own, {
      options: ({ options }) => ({ ...options, ofRun: owner.id }),
      onStopped({ node }, stopped) {
        const { recovered } = stopped;
        servers.find(({ dir }) => dir.node === node)!.stopped = stopped;
        // Its death has been reported already.
        if (recovered !== null && recovered.reason !== "died") reporter.recovered(node, recovered);
        request.onStopped(node, stopped);
      },
    });
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

/** A node's server, also after a restart by another command. */
class Server {
  readonly dir: NodeDir;
  readonly after: string[];
  /** The start that found or started it. */
  readonly begun: Started;
  /** How to work on it. */
  readonly options: NodeOptions;
  /** Result of its stop; `null` before that. */
  stopped: Stopped | null = null;
  #info: NodeInfo;
  #hasDied = false;

  constructor({ dir, after, options }: StartMember, started: ReadonlyMap<string, Started>) {
    this.dir = dir;
    this.after = after;
    this.options = options;
    this.begun = started.get(dir.node)!;
    this.#info = this.begun.info;
  }

  /** Whether it has died since the last call; not if it was stopped, or is being restarted. */
  hasJustDied(): boolean {
    if (this.#hasDied || isStep(this.begun.info) || findMain(this.dir, this.#info) !== null || isLocked(this.dir)) {
      return false;
    }
    const { nodeState } = lookAt(this.dir);
    if (nodeState.kind === "running") this.#info = nodeState.info;
    this.#hasDied = nodeState.kind === "died";
    return this.#hasDied;
  }

  tested(): TestedNode {
    return { dir: this.dir, info: this.begun.info, serverDied: this.#hasDied };
  }

  result(): RunNode {
    const { begun, dir, stopped } = this;
    const running = this.#hasDied ? "died" : "running";
    const killed = [...begun.killed, ...stopped?.killed ?? []];
    const left = isStep(begun.info)
      ? "stopped"
      : stopped === null
      ? running
      : findRunning(dir) === null
      ? "stopped"
      : "running";
    return { ...begun, dir, serverDied: this.#hasDied, stopped: stopped?.stopped ?? false, killed, left };
  }
}

function findRunning(dir: NodeDir): NodeInfo | null {
  const { nodeState } = lookAt(dir);
  return nodeState.kind === "running" ? nodeState.info : null;
}

function serverHasDied({ dir, begun: { info } }: Server): TombstoneError {
  const error = tombstoneError(`Cannot keep "${dir.node}" for the test: its server, pid ${info.pid}, has died`, {
    kind: "server-exited",
    hint: `tombstone logs ${dir.node}`,
    details: { pid: info.pid },
  });
  return withLog(dir, error);
}

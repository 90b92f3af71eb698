/**
 * A server for the time of one test command: start or join, test, stop what was started.
 *
 * From the commit on, `node.info` names the run that the node belongs to, so whatever kills this process, the next
 * start, run or sweep finds a node whose run is gone, and ends both it and what is left of the test command.
 * (Test: "a run that is killed".)
 *
 * @module
 */
import { EXIT, TombstoneError } from "../errors.ts";
import { platform } from "../os/platform.ts";
import { ATTEMPT_VARIABLE } from "../process/tree.ts";
import { trimLog } from "../state/log.ts";
import { isLocked } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo, RunOwner } from "../state/records.ts";
import { withLog } from "./failure.ts";
import { type ForegroundEnd, runForeground } from "./foreground.ts";
import { endedBy, type EndSignal, Signals } from "./interrupt.ts";
import { collectEvidence, findMain, judge } from "./judge.ts";
import type { Started, StartRequest } from "./request.ts";
import { start } from "./start.ts";
import { stop, type Stopped } from "./stop.ts";

/** What to run. */
export interface RunRequest {
  /** How to start the node. */
  node: Omit<StartRequest, "run" | "abort" | "onCommit">;
  /** Test command; called with the node once it is ready. */
  test: (info: NodeInfo) => Test;
  /** What becomes of the test command when the server dies. */
  serverDeath: "go on" | "end";
  /** Called when the node is ready, before the test command runs. */
  onReady: (started: Started) => void;
}

/** A test command. */
export interface Test {
  /** Program and arguments. */
  command: string[];
  /** Variables on top of the environment. */
  env: Record<string, string>;
}

/** What came of it. */
export interface RunResult extends Started {
  /** How the test command ended. */
  test: ForegroundEnd;
  /** Whether the server died while it ran. */
  serverDied: boolean;
  /** Whether this call has stopped it; not if it was running before, and not if it had ended. */
  stopped: boolean;
  /** Where that leaves the node. */
  left: "running" | "died" | "stopped";
}

/**
 * Runs a test command against a node.
 *
 * @throws {TombstoneError} the node could not be started, or not be stopped
 */
export async function run(request: RunRequest): Promise<RunResult> {
  const { dir, teller } = request.node;
  const owner: RunOwner = {
    id: crypto.randomUUID(),
    pid: Deno.pid,
    start_time: platform.read(Deno.pid)?.startTime ?? -1,
  };
  // A signal during the start ends it in good order; later ones are the test command's; the stop is not cut short.
  const controller = new AbortController();
  let interruption: TombstoneError | null = null;
  const abort = (name: EndSignal) => controller.abort(interruption ??= endedBy(name, "run", dir.node));
  using signals = new Signals(abort);
  const started = await start({ ...request.node, run: owner, abort: controller.signal });
  const server = new Server(dir, started.info);
  let serverDied = false;
  let stopped: Stopped | null = null;
  let test: ForegroundEnd;
  try {
    controller.signal.throwIfAborted();
    request.onReady(started);
    const { command, env } = request.test(started.info);
    const marks = started.started ? [owner.id] : [];
    test = await runForeground(dir.node, {
      command,
      // Should this process be killed, what is left of the test command is found by the id of the run.
      env: started.started ? { ...env, [ATTEMPT_VARIABLE]: owner.id } : env,
      roots: { dir, attempts: marks, spare: started.info.spare },
      graceMs: started.info.stop.timeout_ms,
      signals,
      watch() {
        trimLog(dir.log, started.info.log.max_bytes);
        if (serverDied || !server.hasDied()) return "go on";
        serverDied = true;
        teller.alarm(serverHasDied(request, started.info));
        return request.serverDeath;
      },
    });
  } finally {
    signals.answer = abort;
    // A failure of the test command to run at all is told by its own error.
    if (started.started) stopped = await stopOwn(owner, request);
  }
  test.cause ??= interruption;
  const left = stopped === null ? (serverDied ? "died" : "running") : findRunning(dir) === null ? "stopped" : "running";
  return { ...started, test, serverDied, stopped: stopped?.stopped ?? false, left };
}

/** A node's server, whoever restarts it. */
class Server {
  readonly #dir: NodeDir;
  #info: NodeInfo;

  constructor(dir: NodeDir, info: NodeInfo) {
    this.#dir = dir;
    this.#info = info;
  }

  /** Whether it has ended by itself: not if somebody has stopped it, or is about to start it anew. */
  hasDied(): boolean {
    if (findMain(this.#info) !== null || isLocked(this.#dir)) return false;
    const judgement = judge(collectEvidence(this.#dir));
    if (judgement.kind === "running") this.#info = judgement.info;
    return judgement.kind === "died";
  }
}

function findRunning(dir: NodeDir): NodeInfo | null {
  const judgement = judge(collectEvidence(dir));
  return judgement.kind === "running" ? judgement.info : null;
}

/** Stops the node unless somebody else has started it anew meanwhile; then it is theirs. */
async function stopOwn(owner: RunOwner, { node }: RunRequest): Promise<Stopped> {
  const { dir, lockTimeoutMs, foreign, teller } = node;
  const stopped = await stop(dir, { lockTimeoutMs, foreign, teller, ofRun: owner.id });
  const { recovered } = stopped;
  // That it died has been told already.
  if (recovered !== null && recovered.reason !== "died") teller.recovered(dir.node, recovered);
  return stopped;
}

function serverHasDied({ node: { dir } }: RunRequest, info: NodeInfo): TombstoneError {
  const error = new TombstoneError(`Cannot keep "${dir.node}" for the test: its server, pid ${info.pid}, has died`, {
    kind: "server-exited",
    hint: `tombstone logs ${dir.node}`,
    exitCode: EXIT.failed,
    details: { pid: info.pid },
  });
  return withLog(dir, error);
}

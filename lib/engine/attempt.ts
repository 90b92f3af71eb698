/**
 * One attempt from the spawn to the commit, or to the clean-up of its failure.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { UNKNOWN_START } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import type { Notifications } from "../readiness/notify.ts";
import type { ProbeTarget } from "../readiness/types.ts";
import { type Outcome, untilReady } from "../readiness/wait.ts";
import { hasRecord, type Launched } from "../process/launcher.ts";
import { modifiedAtMs, type PreparedFile } from "../state/durable.ts";
import { launchRecordPath } from "../state/launch_record.ts";
import { stateRemoved } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { preparePort, writePid } from "../state/port_files.ts";
import { type NodeInfo, writeNodeInfo } from "../state/node_info.ts";
import { type Hold, type Tombstone, writeTombstone } from "../state/tombstone.ts";
import { isStep } from "../spec/probes.ts";
import { declaredFiles, type Settings, withPort } from "../spec/settings.ts";
import { type AttemptFacts, failureOf, unreadableProcess, withLog } from "./failure.ts";
import { commitRecord, finish, followHandOver, type Following } from "./commit.ts";
import { terminateAttempt } from "./terminate.ts";
import { afterFailure, tellWriters } from "./leftovers.ts";
import { MainProcess } from "./main_process.ts";
import { sweepFiles } from "./sweep_files.ts";
import { reached } from "./reporter.ts";
import { strayReporter } from "./stray_port.ts";
import type { StartRequest } from "./request.ts";

/** What {@linkcode Attempt} follows. */
export interface Spawned {
  /** The state that it holds. */
  hold: Hold;
  /** The tombstone that it was launched under. */
  tombstone: Tombstone;
  /** The requested or chosen port; `null`: none. */
  port: number | null;
  /** The process just launched. */
  launched: Launched;
  /** When, by `performance.now()`. */
  launchedAt: number;
  /** Where the server says that it is ready; `null` if it was not asked to. */
  notifications: Notifications | null;
}

/** A spawned attempt. */
export class Attempt {
  readonly #request: StartRequest;
  readonly #spawned: Spawned;
  readonly #dir: NodeDir;
  readonly #hold: Hold;
  readonly #settings: Settings;
  /** The main process of the node. */
  readonly #main: MainProcess;
  /** Modification time of the launch record, in milliseconds since 1970. */
  #sinceMs: number | null = null;
  /** The file `port`, prepared; `null` where the port is not known beforehand. */
  #portFile: PreparedFile | null = null;

  /** Follows a process that was just launched under this tombstone. */
  constructor(request: StartRequest, spawned: Spawned) {
    const { dir } = request;
    const { hold, tombstone, port, launched } = spawned;
    this.#request = request;
    this.#spawned = spawned;
    this.#dir = dir;
    this.#hold = hold;
    this.#settings = withPort(request.settings, port);
    const { pid_file, exclude } = this.#settings;
    this.#main = new MainProcess({ dir, attempt: tombstone.attempt, launched, pidFile: pid_file, exclude });
  }

  /**
   * Waits until the node is ready, and commits.
   *
   * @throws {TombstoneError} it failed; none of its processes is left then
   */
  async untilCommitted(onCommit: (info: NodeInfo) => void): Promise<NodeInfo> {
    let info: NodeInfo;
    try {
      const outcome = await this.#untilReady();
      const isDone = isStep(this.#settings) && outcome.kind === "gone" && this.#spawned.launched.exitStatus?.code === 0;
      if (isDone) return await this.#finishStep(onCommit);
      if (outcome.kind !== "ready") throw await failureOf(outcome, this.#request, this.#facts());
      const port = outcome.port ?? this.#spawned.port ?? 0;
      await this.#main.handOver(port);
      const main = await this.#main.settle(port);
      if (main === null) throw await failureOf({ kind: "gone" }, this.#request, this.#facts());
      info = await this.#commit(outcome, main);
    } catch (error) {
      const state = await this.#abandon(error).catch((second) => {
        throw afterFailure(error, second);
      });
      // If the state is gone, whatever is at its path now, even the log, may be a successor's.
      if (state === "removed") throw stateRemoved(this.#dir, "start", error);
      throw withLog(this.#dir, error, this.#settings.probes);
    }
    reached("committed", this.#request.reporter);
    info = await followHandOver(info, this.#following);
    onCommit(info);
    await finish(info, this.#following);
    return await followHandOver(info, this.#following);
  }

  async #untilReady(): Promise<Outcome> {
    this.#hold.insist();
    // Written while the server boots, so it costs no time; a daemon's pid is not known yet.
    if (this.#settings.pid_file === null) await writePid(this.#dir, this.#spawned.launched.leader.pid);
    const mayHaveNonce = this.#settings.probes.some((probe) => probe.type === "port-file");
    if (this.#spawned.port !== null && !mayHaveNonce) {
      this.#hold.insist();
      this.#portFile = await preparePort(this.#dir, this.#spawned.port, null);
    }
    using waiting = this.#request.reporter.wait(this.#dir);
    const tellStray = strayReporter(this.#request, this.#spawned.port);
    return await untilReady({
      probes: this.#settings.probes,
      failures: { log: this.#dir.log, patterns: this.#settings.fail_log },
      stableForMs: this.#settings.stable_for_ms,
      timeoutMs: this.#settings.timeout_ms,
      target: () => this.#target(),
      isGone: () => isStep(this.#settings) ? this.#spawned.launched.exitStatus !== null : this.#main.isGone(),
      end: this.#spawned.launched.exited,
      abort: this.#request.abort,
      onRound: (states, stray) => {
        waiting.update(states);
        tellStray(stray);
      },
    });
  }

  #target(): ProbeTarget | null {
    this.#hold.insistOnLock();
    if (this.#main.current === null && !hasRecord(this.#dir, this.#spawned.tombstone.attempt)) {
      // The launcher records itself before anything else: without a record, it is not there yet, or the state is gone.
      this.#hold.insist();
      return null;
    }
    const isNew = this.#main.current === null;
    const main = this.#main.find();
    if (main === null) return null;
    if (isNew) reached("waiting", this.#request.reporter, `for pid ${main.pid}`);
    const roots = this.#main.roots();
    this.#spawned.notifications?.expect(roots);
    this.#sinceMs ??= modifiedAtMs(launchRecordPath(this.#dir, this.#spawned.tombstone.attempt));
    return {
      mainPid: main.pid,
      roots,
      ageMs: performance.now() - this.#spawned.launchedAt,
      sinceMs: this.#sinceMs,
      cwd: this.#settings.cwd,
      env: this.#request.env,
      known: null,
      notifications: this.#spawned.notifications,
    };
  }

  #facts(): AttemptFacts {
    return {
      attempt: this.#spawned.tombstone.attempt,
      port: this.#spawned.port,
      roots: this.#main.roots(),
      leader: this.#main.leader,
      main: this.#main.current,
      exitStatus: this.#spawned.launched.exitStatus,
      afterMs: Math.round(performance.now() - this.#spawned.launchedAt),
    };
  }

  async #commit(ready: Extract<Outcome, { kind: "ready" }>, main: Identity): Promise<NodeInfo> {
    this.#hold.insist();
    if (main.startTime === UNKNOWN_START) throw unreadableProcess(this.#dir, main.pid);
    const info = this.#recordOf(ready, main);
    if (main !== this.#main.leader) await writePid(this.#dir, main.pid);
    this.#hold.insistOnLock(); // the disk may have taken its time
    if (info.port !== 0) this.#portFile ??= await preparePort(this.#dir, info.port, info.nonce);
    this.#portFile?.place();
    reached("port-written", this.#request.reporter);
    this.#hold.insistOnLock();
    await writeNodeInfo(this.#dir, info);
    return info;
  }

  #recordOf(ready: Extract<Outcome, { kind: "ready" }>, main: Identity): NodeInfo {
    return commitRecord({
      request: { ...this.#request, settings: this.#settings },
      tombstone: this.#spawned.tombstone,
      leader: this.#main.leader,
      main,
      port: ready.port ?? this.#spawned.port ?? 0,
      ready,
      readyMs: Math.round(performance.now() - this.#spawned.launchedAt),
    });
  }

  get #following(): Following {
    return { dir: this.#dir, hold: this.#hold, main: this.#main, reporter: this.#request.reporter };
  }

  /**
   * A step has exited with 0. Terminates what it left in the background, since no record would name it. If this is
   * killed half-way, the step counts as interrupted. (Test: "a start killed anywhere around the end of a step …".)
   *
   * @returns the contents of its commit record, which is not written, since nothing runs
   */
  async #finishStep(onCommit: (info: NodeInfo) => void): Promise<NodeInfo> {
    const nowhere = { host: null, port: null, nonce: null, protocol: null, alsoListens: [] };
    const info = this.#recordOf({ kind: "ready", ...nowhere }, this.#main.leader);
    const { pids } = await terminateAttempt(this.#following, this.#settings.stop);
    const { reporter } = this.#request;
    if (pids.length > 0) reporter.info(`ended what "${this.#dir.node}" left behind: pid ${pids.join(", ")}`);
    reached("ended", reporter);
    await this.#sweep();
    reached("swept", reporter);
    await finish(info, this.#following);
    onCommit(info);
    return info;
  }

  /** Removes what this attempt left, all but its tombstone. */
  async #sweep(): Promise<void> {
    const onKept = (message: string) => this.#request.reporter.warn(message);
    await sweepFiles(this.#dir, declaredFiles(this.#settings), { onKept, insist: () => this.#hold.insist() });
  }

  /**
   * Terminates and sweeps what this attempt started, and writes the reason into the tombstone. If the state is gone or
   * a successor's, only its own processes are terminated.
   */
  async #abandon(error: unknown): Promise<"kept" | "removed"> {
    await terminateAttempt(this.#following, this.#settings.stop);
    this.#portFile?.[Symbol.dispose]();
    if (!this.#hold.isKept()) return "removed";
    tellWriters(this.#dir, this.#settings.exclude, this.#request.reporter);
    try {
      await this.#sweep();
      if (!this.#hold.isKept()) return "removed";
      const failed = error instanceof Error ? error.message : String(error);
      await writeTombstone(this.#dir, { ...this.#spawned.tombstone, failed, failed_at: new Date().toISOString() });
    } catch (second) {
      // The tombstone is unchanged: the next start takes this attempt for an interrupted one and sweeps.
      if (!(second instanceof TombstoneError)) throw second;
      if (!this.#hold.isKept()) return "removed";
      this.#request.reporter.warn(second.message);
    }
    return "kept";
  }
}

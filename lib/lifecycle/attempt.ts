/**
 * One attempt from the spawn to the commit, or to the clean-up of its failure.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { findLive, platform } from "../os/platform.ts";
import type { Identity } from "../os/types.ts";
import { findOccupant, findOwnListener, type Owner, ownerOf } from "../probe/listener.ts";
import type { Subject } from "../probe/probe.ts";
import { type Outcome, untilReady } from "../probe/wait.ts";
import { hasRecord, type Launched } from "../process/launcher.ts";
import { findDaemon } from "../process/pid_file.ts";
import { reap } from "../process/reap.ts";
import { findTree, type Roots } from "../process/tree.ts";
import { removeFile, syncDir } from "../state/durable.ts";
import { launchRecordPath, readLaunchRecord } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import {
  here,
  type NodeInfo,
  preparePort,
  readTombstone,
  type Tombstone,
  writeNodeInfo,
  writePid,
  writeTombstone,
} from "../state/records.ts";
import { declaredFiles, type Settings, withPort } from "../state/settings.ts";
import { notReady, portInUse, serverEnded, stateRemoved, withLog } from "./failure.ts";
import { requireEnded, sweepFiles } from "./recover.ts";
import { pass } from "./step.ts";
import type { StartRequest } from "./request.ts";
import type { Teller } from "./teller.ts";

/** A spawned attempt. */
export class Attempt {
  readonly #request: StartRequest;
  readonly #dir: NodeDir;
  readonly #tombstone: Tombstone;
  readonly #settings: Settings;
  readonly #launched: Launched;
  readonly #launchedAt: number;
  readonly #port: number | null;
  /** The process that the launcher becomes. */
  readonly #leader: Identity;
  /** The process that the node stands and falls with; `null` until a daemon has shown itself. */
  #main: Identity | null = null;
  /** Puts the prepared file `port` in place; `null` where the port is not known beforehand. */
  #putPort: (() => void) | null = null;

  /** Follows a process that was just launched under this tombstone. */
  constructor(
    request: StartRequest,
    tombstone: Tombstone,
    port: number | null,
    launched: Launched,
    launchedAt: number,
  ) {
    this.#request = request;
    this.#dir = request.dir;
    this.#tombstone = tombstone;
    this.#port = port;
    this.#settings = withPort(request.settings, port);
    this.#launched = launched;
    this.#launchedAt = launchedAt;
    // It is this process's child and not yet waited for, so the number cannot be anybody else's.
    this.#leader = { pid: launched.pid, startTime: platform.read(launched.pid)?.startTime ?? -1 };
  }

  /**
   * Waits until the node is ready, and commits.
   *
   * @param onCommit called at the commit, before the clean-up
   * @throws {TombstoneError} it will never be; nothing of it runs then
   */
  async untilCommitted(onCommit: (info: NodeInfo) => void): Promise<NodeInfo> {
    let info: NodeInfo;
    try {
      const outcome = await this.#untilReady();
      if (outcome.kind !== "ready") throw await this.#explain(outcome);
      info = this.#commit(outcome);
    } catch (error) {
      await this.#abandon(error);
      throw withLog(this.#dir, error);
    }
    pass("committed", this.#request.teller);
    onCommit(info);
    finish(this.#dir, info, this.#request.teller);
    return info;
  }

  async #untilReady(): Promise<Outcome> {
    // Written early, in the shadow of the server's own boot; a daemon's pid is not known yet.
    if (this.#settings.pid_file === null) writePid(this.#dir, this.#launched.pid);
    const mayHaveNonce = this.#settings.probes.some((probe) => probe.type === "port-file");
    if (this.#port !== null && !mayHaveNonce) this.#putPort = preparePort(this.#dir, this.#port, null);
    return await untilReady({
      probes: this.#settings.probes,
      timeoutMs: this.#settings.timeout_ms,
      subject: () => this.#subject(),
      isGone: () => this.#isGone(),
      end: this.#launched.end,
      abort: this.#request.abort,
    });
  }

  #subject(): Subject | null {
    if (this.#main === null && !hasRecord(this.#dir, this.#tombstone.attempt)) {
      // The launcher records itself before anything else, so it is either not there yet or the state is gone.
      if (readTombstone(this.#dir).kind === "missing") throw stateRemoved(this.#dir);
    } else if (this.#main === null) {
      this.#main = this.#findMain();
      if (this.#main !== null) pass("waiting", this.#request.teller, `for pid ${this.#main.pid}`);
    }
    if (this.#main === null) return null;
    const ageMs = performance.now() - this.#launchedAt;
    return { mainPid: this.#main.pid, roots: this.#roots(), ageMs, known: null };
  }

  #findMain(): Identity | null {
    const { pid_file } = this.#settings;
    if (pid_file === null) return this.#leader;
    return findDaemon(pid_file, readLaunchRecord(this.#dir, this.#tombstone.attempt));
  }

  #isGone(): boolean {
    const { ended } = this.#launched;
    if (this.#settings.pid_file === null) return ended !== null;
    if (ended !== null && ended.code !== 0) return true;
    return this.#main !== null && findLive(this.#main) === null;
  }

  #roots(): Roots {
    const main = this.#main ?? this.#findMain();
    const processes = main === null || main === this.#leader ? [this.#leader] : [this.#leader, main];
    return { dir: this.#dir, attempts: [this.#tombstone.attempt], processes, spare: this.#settings.spare };
  }

  #commit(ready: Extract<Outcome, { kind: "ready" }>): NodeInfo {
    const main = this.#main!;
    const info: NodeInfo = {
      node_name: this.#dir.node,
      workspace: this.#dir.workspace,
      attempt: this.#tombstone.attempt,
      port: ready.port ?? this.#port ?? 0,
      pid: main.pid,
      start_time: main.startTime,
      session_pid: this.#leader.pid,
      nonce: ready.nonce,
      bind_addr: ready.host,
      started_at: this.#tombstone.begun_at,
      ready_at: new Date().toISOString(),
      ready_ms: Math.round(performance.now() - this.#launchedAt),
      stop_began_at: null,
      ...here(),
      ...this.#settings,
    };
    if (main !== this.#leader) writePid(this.#dir, main.pid);
    if (this.#putPort !== null) this.#putPort();
    else if (info.port !== 0) preparePort(this.#dir, info.port, info.nonce)();
    pass("port-written", this.#request.teller);
    writeNodeInfo(this.#dir, info);
    return info;
  }

  /** Reaps and sweeps what this attempt started, and writes on the tombstone what it died of. */
  async #abandon(error: unknown): Promise<void> {
    const { dir } = this.#request;
    const { left } = await reap(this.#roots(), {
      main: null,
      signal: this.#settings.stop.signal,
      graceMs: this.#settings.stop.timeout_ms,
    });
    requireEnded(dir, left);
    try {
      sweepFiles(dir, declaredFiles(this.#settings));
      const failed = error instanceof Error ? error.message : String(error);
      writeTombstone(dir, { ...this.#tombstone, failed, failed_at: new Date().toISOString() });
    } catch (second) {
      // The tombstone is still there as it was: the next start takes this one for interrupted and sweeps.
      if (!(second instanceof TombstoneError)) throw second;
      this.#request.teller.warn(second.message);
    }
  }

  async #explain(outcome: Exclude<Outcome, { kind: "ready" }>): Promise<TombstoneError> {
    switch (outcome.kind) {
      case "aborted":
        return this.#request.abort.reason;
      case "foreign":
        return portInUse(this.#dir, outcome.verdict.port, ownerOf(outcome.verdict.rows));
      case "timeout":
        return notReady(this.#dir.node, this.#settings.timeout_ms, [
          ...outcome.states,
          ...await this.#strayPort(),
        ]);
      case "gone": {
        // A server whose port somebody else took meanwhile mostly just exits; say who it was.
        const owner = this.#port === null ? null : await this.#stranger(this.#port);
        if (owner !== null) return portInUse(this.#dir, this.#port!, owner);
        const daemon = this.#main === this.#leader ? null : this.#main;
        return serverEnded(this.#dir, {
          command: this.#settings.command[0]!,
          attempt: this.#tombstone.attempt,
          ended: daemon === null ? this.#launched.ended : null,
          pid: daemon?.pid ?? this.#leader.pid,
          afterMs: Math.round(performance.now() - this.#launchedAt),
        });
      }
    }
  }

  /** In words, where a node listens that was asked to listen elsewhere. */
  async #strayPort(): Promise<string[]> {
    if (this.#port === null || this.#main === null) return [];
    const own = await findOwnListener(this.#main.pid, this.#roots(), "tree");
    return own === null || own.port === this.#port ? [] : [`it listens on port ${own.port} instead`];
  }

  async #stranger(port: number): Promise<Owner | null> {
    const owner = await findOccupant(this.#settings.host, port);
    if (owner === null) return null;
    // Of this user's own processes, only one that is just ending cannot be seen; it is no stranger.
    if (owner.pid === null) return owner.uid === null || owner.uid === Deno.uid() ? null : owner;
    return findTree(this.#roots()).some((row) => row.pid === owner.pid) ? null : owner;
  }
}

/** Clears away what marks the attempt as unfinished. The start has succeeded already, so a failure only delays this. */
function finish(dir: NodeDir, info: NodeInfo, teller: Teller): void {
  try {
    if (info.attempt !== null) removeFile(launchRecordPath(dir, info.attempt));
    pass("launch-removed", teller);
    removeFile(dir.starting, "remove");
    syncDir(dir.path);
    pass("tombstone-removed", teller);
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    teller.warn(`${error.message}; the next command tries again`);
  }
}

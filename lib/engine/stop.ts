/**
 * Stopping and sweeping a node.
 *
 * @module
 */
import { EXIT, TombstoneError } from "../errors.ts";
import { sleep } from "../timers.ts";
import { describeOwner, findOccupant, type Owner } from "../process/listeners.ts";
import { removeFile, syncDir } from "../state/durable.ts";
import { acquireLock, type Lock } from "../state/lock.ts";
import { trimLog } from "../state/log.ts";
import { makeNodeDir, type NodeDir } from "../state/node_dir.ts";
import { RECORDED } from "../state/recorded.ts";
import type { NodeInfo } from "../state/records.ts";
import { declaredFiles } from "../spec/recorded_settings.ts";
import { endGracefully } from "./terminate.ts";
import { foreignError } from "./elsewhere.ts";
import { collectEvidence, type Evidence, judge, type Judgement } from "./state.ts";
import { tellWriters } from "./leftovers.ts";
import { lookAt } from "./look.ts";
import { foresee, recover, type Recovered, takeOver } from "./recover.ts";
import { sweepFiles, tidy } from "./sweep_files.ts";
import { pass } from "./checkpoint.ts";
import type { Teller } from "./reporter.ts";

/** Options of {@linkcode stop} and {@linkcode sweep}. */
export interface StopOptions {
  /** How long to wait for the lock, in milliseconds. */
  lockTimeoutMs: number;
  /** What to do with records of another machine or pid namespace. */
  foreign: "refuse" | "force";
  /** Where to report. */
  teller: Teller;
  /** Stops a running node only if it belongs to the run of this id; default: any. */
  ofRun?: string;
  /** Stops a running node only if it still is this attempt; default: any. */
  ofAttempt?: string | null;
}

/** What {@linkcode stop} did. */
export interface Stopped {
  /** Whether a running node was stopped by this call. */
  stopped: boolean;
  /** Processes ended. */
  pids: number[];
  /** Those of them that did not end when asked, and were killed. */
  killed: number[];
  /** What a dead start or server had left; `null` if nothing. */
  recovered: Recovered | null;
}

/** What {@linkcode sweep} did, or with a dry run would do. */
export interface Swept {
  /** `swept`: something was undone; `nothing`: there was nothing; `running`: the node lives and is left alone. */
  action: "swept" | "nothing" | "running";
  /** What was undone; `null` if nothing. */
  recovered: Recovered | null;
}

/**
 * Insists on records of this machine and pid namespace.
 *
 * @throws {TombstoneError} they are of another, and force was not asked for
 */
export function refuseForeign(
  dir: NodeDir,
  judgement: Judgement,
  action: string,
  foreign: "refuse" | "force",
): void {
  if (judgement.kind === "foreign" && foreign === "refuse") throw foreignError(dir, action, judgement.reason);
}

/**
 * Stops a node and sweeps it. Not running is no error. Killed half-way, it leaves either a live main process
 * (still running) or a dead one (died): the next command can judge both.
 *
 * @throws {TombstoneError} it could not be stopped, its port is still taken, or the lock or state refuse
 */
export async function stop(dir: NodeDir, options: StopOptions): Promise<Stopped> {
  using lock = await acquireLock(dir, {
    action: "stop",
    make: () => makeNodeDir(dir),
    timeoutMs: options.lockTimeoutMs,
    onWait: (holder) => options.teller.tell(`waiting for ${holder}`),
  });
  pass("locked", options.teller);
  const evidence = collectEvidence(dir);
  const judgement = judge(evidence);
  refuseForeign(dir, judgement, "stop", options.foreign);
  if (judgement.kind !== "running") {
    const recovered = await undo(dir, evidence, judgement, { lock, teller: options.teller });
    return { stopped: false, pids: [], killed: [], recovered };
  }
  const { ofRun, ofAttempt } = options;
  const isAnother = ofAttempt !== undefined && ofAttempt !== judgement.info.attempt;
  if (isAnother || (ofRun !== undefined && ofRun !== judgement.info.run?.id)) {
    return { stopped: false, pids: [], killed: [], recovered: null };
  }
  const how = { lock, teller: options.teller, marking: "always" } as const;
  const { pids, killed } = await endGracefully(dir, evidence, judgement.info, how);
  pass("ended", options.teller);
  lock.insist();
  tellWriters(dir, judgement.info.spare, options.teller);
  await sweepFiles(dir, declaredFiles(judgement.info), {
    onKept: (message) => options.teller.warn(message),
    insist: lock.insist,
  });
  pass("swept", options.teller);
  lock.insist();
  removeFile(dir.starting, "remove");
  await syncDir(dir.path);
  await requireFreePort(dir, judgement.info);
  return { stopped: true, pids, killed, recovered: null };
}

/**
 * Reaps and removes what interrupted starts and dead servers left. A running node is left alone.
 *
 * @throws {TombstoneError} as {@linkcode stop}
 */
export async function sweep(dir: NodeDir, options: StopOptions): Promise<Swept> {
  using lock = await acquireLock(dir, {
    action: "sweep",
    make: () => makeNodeDir(dir),
    timeoutMs: options.lockTimeoutMs,
    onWait: (holder) => options.teller.tell(`waiting for ${holder}`),
  });
  pass("locked", options.teller);
  const evidence = collectEvidence(dir);
  const judgement = judge(evidence);
  refuseForeign(dir, judgement, "sweep", options.foreign);
  if (judgement.kind === "running") {
    await tidy(dir);
    trimLog(dir.log, judgement.info.log.max_bytes);
    return { action: "running", recovered: null };
  }
  const hadTombstone = evidence.tombstone.kind !== "missing";
  const recovered = await undo(dir, evidence, judgement, { lock, teller: options.teller });
  return { action: recovered !== null || hadTombstone ? "swept" : "nothing", recovered };
}

/** Whether there is anything for {@linkcode sweep} to do; by a look that changes nothing and takes no lock. */
export function glance(dir: NodeDir): "running" | "nothing" | "work" {
  const { evidence, judgement } = lookAt(dir, "listed");
  if (judgement.kind === "unrecorded") return "work";
  if (evidence.entries.some((name) => name !== "lock" && !isPermanent(name, judgement))) return "work";
  return judgement.kind === "running" ? "running" : "nothing";
}

/** Whether an entry of a node's directory may stay as it is: logs, what is kept, and the records of a node that runs. */
function isPermanent(name: string, judgement: Judgement): boolean {
  if (name === RECORDED || /^server\.log(\.\d+)?$/.test(name)) return true;
  return judgement.kind === "running" && ["node.info", "pid", "port"].includes(name);
}

/** What {@linkcode sweep} would do now. */
export async function foreseeSweep(dir: NodeDir): Promise<Swept> {
  const { evidence, judgement } = lookAt(dir);
  if (judgement.kind === "running") return { action: "running", recovered: null };
  const recovered = await foresee(dir, evidence, judgement);
  return { action: recovered === null ? "nothing" : "swept", recovered };
}

/** Takes over, reaps, sweeps, and removes the tombstone last: dying here at any point leaves it in place. */
async function undo(
  dir: NodeDir,
  evidence: Evidence,
  judgement: Judgement,
  { lock, teller }: { lock: Lock; teller: Teller },
): Promise<Recovered | null> {
  if (judgement.kind === "unfinished") {
    await takeOver(dir, evidence);
    pass("tombstone-written", teller);
  }
  const { recovered } = await recover(dir, evidence, judgement, { lock, teller });
  pass("recovered", teller);
  lock.insist();
  removeFile(dir.starting, "remove");
  await syncDir(dir.path);
  pass("tombstone-removed", teller);
  return recovered;
}

/** How long a port may stay taken after the node's last process is gone, in milliseconds. */
const PORT_GRACE = 1000;

/** @throws {TombstoneError} somebody who is not provably the node's still listens on its port */
async function requireFreePort(dir: NodeDir, info: NodeInfo): Promise<void> {
  if (info.port === 0 || info.probes.some((probe) => "any_listener" in probe && probe.any_listener)) return;
  const deadline = performance.now() + PORT_GRACE;
  let owner: Owner | null;
  while ((owner = await findOccupant(info.bind_addr ?? info.host, info.port)) !== null) {
    if (performance.now() >= deadline) {
      throw new TombstoneError(
        `Cannot free port ${info.port} of "${dir.node}": ${
          describeOwner(owner)
        } listens on it and is not provably the node's`,
        {
          kind: "stop-failed",
          hint: owner.pid === null ? `ss -ltnp 'sport = :${info.port}'` : `ps -fp ${owner.pid}`,
          exitCode: EXIT.failed,
          details: { port: info.port, owner_pid: owner.pid, owner_command: owner.command },
        },
      );
    }
    await sleep(20);
  }
}

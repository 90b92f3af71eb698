/**
 * The chosen port of a node. The node keeps it, and no other node gets it.
 *
 * @module
 */
import { dirname } from "../paths.ts";
import { tombstoneError } from "../errors.ts";
import { type ChosenPort, portsFrom, requireLocal, takePort } from "../process/free_port.ts";
import { findOccupant } from "../process/listeners.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { claimantOfPort, claimPort, lockPorts } from "../state/port_claims.ts";
import { readRecorded, updateRecorded } from "../state/recorded.ts";
import { sleep } from "../async.ts";
import { goneDirectoryOf, NO_SERVER } from "./gone_directory.ts";
import { occupantInWords } from "./failure.ts";
import { reached, type Reporter } from "./reporter.ts";

/** The port that a node wants. */
export interface PortChoice {
  /** Address that it will listen on; `null`: any of loopback. */
  host: string | null;
  /** Lowest port; 0: any. */
  from: number;
  /** How long to wait while others choose, in milliseconds. */
  lockTimeoutMs: number;
  /** Ends that wait. */
  abort?: AbortSignal;
  /** Where to report. */
  reporter: Reporter;
  /** Called before anything is written; throws if the node's directory is no longer the caller's. */
  insist: () => void;
}

/** Most ports that are kept for one node: its first one, and those that it got while the first was in use. */
const MOST_PORTS = 8;

/** Longest wait for a port without a visible owner, in milliseconds: its process has probably just exited. */
export const PORT_FREE_AFTER_MS = 1000;

/**
 * Chooses a port: the one that the node had before, if it is free; else another one, which the node also keeps. The
 * caller holds the node's lock. (Test: "a port that was chosen stays the node's …".)
 *
 * @throws {TombstoneError} no port is free, the address is not of this machine, or the disk refuses
 */
export async function choosePort(dir: NodeDir, choice: PortChoice): Promise<ChosenPort> {
  const { host, from, reporter } = choice;
  if (host !== null) requireLocal(host);
  const stateDir = dirname(dirname(dir.path));
  using _others = await lockPorts(stateDir, { timeoutMs: choice.lockTimeoutMs, abort: choice.abort });
  const recorded = readRecorded(dir);
  const own = recorded.ports_from === from ? recorded.ports.filter((port) => isFor(dir, stateDir, port)) : [];
  for (const port of own) {
    const chosen = await takeOwn(host, port);
    if (chosen === null) continue;
    try {
      if (port !== own[0]) await tellTaken(dir, own[0]!, port, choice);
      // A start that was killed has not claimed it, or a node whose project is gone has meanwhile.
      if (claimantOfPort(stateDir, port)?.path !== dir.path) await claimPort(stateDir, port, dir);
      return chosen;
    } catch (error) {
      chosen[Symbol.dispose]();
      throw error;
    }
  }
  for (const port of portsFrom(from)) {
    if (own.includes(port) || !isFor(dir, stateDir, port)) continue;
    const chosen = await takePort(host, port);
    if (chosen === null) continue;
    try {
      if (own.length > 0) await tellTaken(dir, own[0]!, port, choice);
      choice.insist();
      const ports = own.length < MOST_PORTS ? [...own, port] : [...own.slice(0, -1), port];
      await updateRecorded(dir, { ports, ports_from: from });
      reached("port-recorded", reporter);
      await claimPort(stateDir, port, dir);
      reached("port-claimed", reporter);
      return chosen;
    } catch (error) {
      chosen[Symbol.dispose]();
      throw error;
    }
  }
  throw tombstoneError(
    `Cannot start "${dir.node}": no port ${from === 0 ? "" : `from ${from} on `}is free`,
    { kind: "port-in-use", hint: "name one with --port N", details: { port: null } },
  );
}

/** Whether no other node with an existing project has a claim on a port. */
function isFor(dir: NodeDir, stateDir: string, port: number): boolean {
  const claimant = claimantOfPort(stateDir, port);
  return claimant === null || claimant.path === dir.path || goneDirectoryOf(claimant, NO_SERVER) !== null;
}

/** The node's own port, if it is free; waits a moment if its last server has just exited. */
async function takeOwn(host: string | null, port: number): Promise<ChosenPort | null> {
  for (const deadline = performance.now() + PORT_FREE_AFTER_MS;;) {
    const chosen = await takePort(host, port);
    if (chosen !== null || performance.now() >= deadline) return chosen;
    const owner = await findOccupant(host, port);
    if (owner !== null && owner.pid !== null) return null;
    await sleep(10);
  }
}

async function tellTaken(dir: NodeDir, own: number, instead: number, { host, reporter }: PortChoice): Promise<void> {
  const owner = await findOccupant(host, own);
  const state = owner === null ? "is being taken by another start" : occupantInWords(dir, owner);
  reporter.warn(`port ${own} of "${dir.node}" ${state}: it gets ${instead} for now`);
}

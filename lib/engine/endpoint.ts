/**
 * The address of a node: where it is now or, if it does not run, where it will be.
 *
 * @module
 */
import { addressOf } from "../readiness/http.ts";
import { chosenFrom, fixedPort } from "../spec/port_request.ts";
import { type Endpoint, type Settings, withPort } from "../spec/settings.ts";
import { acquireLock } from "../state/lock.ts";
import { ensureNodeDir, type NodeDir } from "../state/node_dir.ts";
import { readRecorded } from "../state/recorded.ts";
import type { Workspace } from "../state/workspace.ts";
import { choosePort } from "./chosen_port.ts";
import type { NodeOptions } from "./request.ts";
import { lookAt } from "./state.ts";

/** A node whose address is wanted. */
export interface NodeToAddress {
  /** Its directory. */
  dir: NodeDir;
  /** Its workspace. */
  workspace: Workspace;
  /** The settings for its next start; `null` if they are unknown. */
  settings: Settings | null;
}

/** Host of a node that has never run: a name for both loopback addresses. */
const ANY_LOOPBACK = "localhost";

/**
 * The address of a node. If its port is not chosen yet, it is chosen and claimed now, so that the next start takes it.
 *
 * @returns `null` if it has no port, or its port is unknown before it runs
 * @throws {TombstoneError} no port can be chosen, or the node's lock is held for too long
 */
export async function endpointOf(wanted: NodeToAddress, options: NodeOptions): Promise<Endpoint | null> {
  const { dir, settings } = wanted;
  const now = runningEndpoint(dir);
  if (now !== "not running") return now;
  if (settings === null) return null;
  if (chosenFrom(settings.port_request) === null) return nextEndpoint(dir, settings, fixedPort(settings.port_request));
  return await chooseEndpoint(wanted, settings, options);
}

function runningEndpoint(dir: NodeDir): Endpoint | null | "not running" {
  const { nodeState } = lookAt(dir);
  return nodeState.kind === "running" ? addressOf(nodeState.info) : "not running";
}

async function chooseEndpoint(
  { dir, workspace }: NodeToAddress,
  settings: Settings,
  { lockTimeoutMs, reporter }: NodeOptions,
): Promise<Endpoint | null> {
  const make = () => ensureNodeDir(dir, workspace);
  await make();
  using lock = await acquireLock(dir, {
    action: "start",
    make,
    timeoutMs: lockTimeoutMs,
    onWait: (holder) => reporter.info(`waiting for ${holder}`),
  });
  const now = runningEndpoint(dir);
  if (now !== "not running") return now;
  const from = chosenFrom(settings.port_request)!;
  using chosen = await choosePort(dir, { host: settings.host, from, lockTimeoutMs, reporter, insist: lock.insist });
  return nextEndpoint(dir, settings, chosen.port);
}

/** Its address with this port: with the host and protocol that it had last. */
function nextEndpoint(dir: NodeDir, settings: Settings, port: number | null): Endpoint | null {
  if (port === null) return null;
  const { bind_addr, protocol } = readRecorded(dir);
  const { probes } = withPort(settings, port);
  return addressOf({ port, probes, bind_addr, host: settings.host ?? ANY_LOOPBACK, protocol });
}

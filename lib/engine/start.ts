/**
 * The start of a node. This file has the order of the steps up to the spawn, attempt.ts the order from there to the
 * commit.
 *
 * Intent record, work, commit record, clean-up. This process may be killed between any two statements; the tombstone
 * then tells the next start not to trust what it finds.
 *
 * @module
 */
import { chosenFrom, fixedPort } from "../spec/port_request.ts";
import { TombstoneError, tombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { sleep } from "../async.ts";
import { breathe } from "../os/thread.ts";
import type { ChosenPort } from "../process/free_port.ts";
import { findOccupant, findUnixOccupant, type Owner } from "../process/listeners.ts";
import { Notifications } from "../readiness/notify.ts";
import { launch } from "../process/launcher.ts";
import { fillPort } from "../spec/placeholders.ts";
import { removeEntry, syncDir } from "../state/durable.ts";
import { acquireLock, type Lock, stateRemoved } from "../state/lock.ts";
import { dropLeases, writeLease } from "../state/leases.ts";
import { rotateLog } from "../state/log.ts";
import { ensureNodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import { Hold, writeTombstone } from "../state/tombstone.ts";
import { isStep } from "../spec/probes.ts";
import { declaredFiles, type Settings } from "../spec/settings.ts";
import { Attempt } from "./attempt.ts";
import { choosePort, PORT_FREE_AFTER_MS } from "./chosen_port.ts";
import { requireNotOfTool, requireUnclaimed } from "./claims.ts";
import { variablesFromFiles } from "./env_file.ts";
import { placeTaken } from "./failure.ts";
import { leaseFactsOf } from "./gone_directory.ts";
import { reuseRunning } from "./reuse.ts";
import { classify, readNodeFiles, recordsOf } from "./state.ts";
import { tellKilled } from "./leftovers.ts";
import { newTombstone, recover, withOlderDeclarations } from "./recover.ts";
import { removeLeftovers, sweepFiles } from "./sweep_files.ts";
import { refuseForeign } from "./sweep.ts";
import { STOP_VARIABLE } from "./terminate.ts";
import { reached } from "./reporter.ts";
import type { Started, StartRequest } from "./request.ts";

/**
 * Starts a node and waits until it is ready.
 *
 * @throws {TombstoneError} it could not be started, or was not ready in time; none of its processes is left then
 */
export async function start(given: StartRequest): Promise<Started> {
  const fromFiles = variablesFromFiles(given.settings, `"env_file" of node "${given.dir.node}"`);
  const request = { ...given, env: { ...fromFiles, ...given.env } };
  const deadline = performance.now() + request.lockTimeoutMs;
  requireNotOfTool(request.dir, request.settings);
  for (;;) {
    await makePlace(request);
    using lock = await acquireLock(request.dir, {
      action: "start",
      make: () => makePlace(request),
      timeoutMs: request.lockTimeoutMs,
      onWait: (holder) => request.reporter.info(`waiting for ${holder}`),
      abort: request.abort,
    });
    const progress: Progress = { hasSpawned: false };
    try {
      return await startUnder(lock, request, progress);
    } catch (error) {
      const isVanished = error instanceof TombstoneError && error.kind === "state" && !lock.isLinked();
      if (!isVanished || progress.hasSpawned || performance.now() >= deadline) throw error;
      // The state was removed before anything of this start ran, so it can begin again in a new directory.
    }
  }
}

/** Makes the node's directory. If its parent is removed meanwhile, the next try makes that, too. */
async function makePlace({ dir, workspace }: StartRequest): Promise<void> {
  try {
    await ensureNodeDir(dir, workspace);
  } catch (error) {
    if (!(error instanceof TombstoneError) || error.details.errno !== "ENOENT") throw error;
  }
}

/** How far a start has come. */
interface Progress {
  /** Whether a process of it may run. */
  hasSpawned: boolean;
}

async function startUnder(lock: Lock, request: StartRequest, progress: Progress): Promise<Started> {
  const { dir, reporter } = request;
  for (const limit of Object.values(system.limits)) reporter.debug(`this platform ${limit}`);
  reached("locked", reporter);
  await breathe();
  let nodeFiles = readNodeFiles(dir);
  let nodeState = classify(nodeFiles);
  refuseForeign(dir, nodeState, "start", request.foreign);
  // A server of this name is another thing than a step, and is stopped first.
  const keeps = request.running === "keep" && !isStep(request.settings);
  if (nodeState.kind === "running" && keeps && nodeState.info.stop_began_at === null) {
    await removeLeftovers(dir);
    const reused = await reuseRunning(request, nodeState.info);
    if (reused !== null) return reused;
    // It has died meanwhile, so this is a start after a death.
    nodeFiles = readNodeFiles(dir);
    nodeState = classify(nodeFiles);
  }
  request.requireValues?.();

  const attempt = crypto.randomUUID();
  const tombstone = newTombstone(attempt, {
    ...request.settings,
    older_pid_files: [],
    older_files: [],
    elsewhere: null,
    while_process: request.whileProcess,
    tree: [],
  });
  const declared = { ...withOlderDeclarations(request.settings, nodeFiles), while_process: request.whileProcess };
  await writeTombstone(dir, { ...tombstone, ...declared });
  reached("tombstone-written", reporter, attempt);

  const hold = new Hold(dir, lock, attempt);
  await beforeSpawn(request, hold, () => writeLease(dir, attempt, leaseFactsOf(request)));
  reached("lease-written", reporter);

  const { recovered, killed } = await recover(dir, nodeFiles, nodeState, { lock, reporter });
  dropLeases(dir, recordsOf(nodeFiles).map(({ attempt }) => attempt));
  if (recovered !== null) reporter.recovered(dir.node, recovered);
  else tellKilled(dir, killed, reporter);
  await beforeSpawn(request, hold, () => requireUnclaimed(dir, request.settings));
  await beforeSpawn(request, hold, () => sweepFiles(dir, declaredFiles(request.settings), { insist: lock.insist }));
  reached("recovered", reporter);
  // From here on, an open log shows this attempt, no longer one in another namespace.
  if (declared.elsewhere !== null) {
    await writeTombstone(dir, { ...tombstone, ...declared, elsewhere: null });
    reached("namespace-left", reporter);
  }

  using chosen = await beforeSpawn(request, hold, () => portFor(request, hold));
  const port = chosen?.port ?? null;
  reached("port-checked", reporter, port === null ? "" : String(port));
  using notifications = await beforeSpawn(request, hold, () => listenToServer(request, attempt));
  const launchedAt = performance.now();
  const launched = await beforeSpawn(request, hold, () => {
    hold.insist();
    rotateLog(dir, request.settings.log);
    reached("log-rotated", reporter);
    progress.hasSpawned = true;
    return launch(dir, {
      attempt,
      command: request.settings.command.map((word) => fillPort(word, port)),
      cwd: request.settings.cwd,
      env: {
        ...Object.fromEntries(Object.entries(request.env).map(([name, value]) => [name, fillPort(value, port)])),
        ...(notifications === null ? {} : { NOTIFY_SOCKET: notifications.address }),
      },
      drop: droppedVariables(request.settings),
      inherit: request.settings.clear_env ? "basics" : "all",
      port,
      input: request.settings.stdin_open ? "open" : "none",
    });
  });
  if (launched.lost !== null) {
    reporter.warn(
      `"${dir.node}" does not get ${launched.lost}`,
    );
  }
  reached("spawned", reporter, `pid ${launched.leader.pid}`);
  const started = (info: NodeInfo): Started => ({ started: true, info, recovered, differs: [], killed });
  const attempted = new Attempt(request, { hold, tombstone, port, launched, launchedAt, notifications });
  return started(await attempted.untilCommitted((info) => request.onCommit?.(started(info))));
}

/** A failure before the spawn leaves nothing: the tombstone is removed, too, unless it is a successor's. */
async function beforeSpawn<T>(request: StartRequest, hold: Hold, step: () => T | Promise<T>): Promise<T> {
  try {
    await breathe();
    request.abort.throwIfAborted();
    return await step();
  } catch (error) {
    if (!hold.isKept()) throw stateRemoved(request.dir, "start", error);
    removeEntry(request.dir.starting);
    await syncDir(request.dir.path);
    throw error;
  }
}

/**
 * Requires that the unix sockets and the port of the server are free, or chooses a free port.
 *
 * @returns `null` if no port was requested
 */
async function portFor(request: StartRequest, hold: Hold): Promise<ChosenPort | null> {
  const { host, port_request, probes } = request.settings;
  for (const probe of probes) {
    const owner = probe.type === "unix" ? await findUnixOccupant(probe.path) : null;
    if (owner !== null && probe.type === "unix") {
      throw placeTaken(request.dir, { kind: "socket", path: probe.path }, owner);
    }
  }
  const from = chosenFrom(port_request);
  if (from !== null) {
    const { dir, lockTimeoutMs, abort, reporter } = request;
    const insist = () => hold.insist();
    return await choosePort(dir, { host, from, lockTimeoutMs, abort, reporter, insist });
  }
  const port = fixedPort(port_request);
  if (port === null) return null;
  // The kernel may hold the port of a process that was just terminated for a moment longer.
  const deadline = performance.now() + PORT_FREE_AFTER_MS;
  let owner: Owner | null;
  while ((owner = await findOccupant(host, port)) !== null) {
    if (owner.pid !== null || performance.now() >= deadline) {
      throw placeTaken(request.dir, { kind: "port", port }, owner);
    }
    await sleep(10);
  }
  return { port, [Symbol.dispose]() {} };
}

/** Opens the socket on which the server says that it is ready; `null` without `--notify`. */
function listenToServer(request: StartRequest, attempt: string): Notifications | null {
  if (!request.settings.probes.some((probe) => probe.type === "notify")) return null;
  const notifications = Notifications.open(attempt);
  if (notifications !== null) return notifications;
  throw tombstoneError(`Cannot start "${request.dir.node}" with --notify: this platform has no such socket`, {
    kind: "unsupported",
    hint: "say when it is ready with --port N or --log REGEX",
  });
}

/**
 * Variables that the server must not inherit: those by which a supervisor or CI runner addresses this process, and the
 * variable of a stop command, which may start another node.
 */
function droppedVariables(settings: Settings): string[] {
  const supervisor = settings.probes.some((probe) => probe.type === "notify") ? [] : ["NOTIFY_SOCKET"];
  return [STOP_VARIABLE, ...supervisor, ...SUPERVISOR_VARIABLES, ...(settings.outlive_ci_job ? CI_VARIABLES : [])];
}

/** Socket activation and watchdog of systemd (sd_listen_fds(3), sd_watchdog_enabled(3)) are for this process alone. */
const SUPERVISOR_VARIABLES = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/** GitHub Actions and Jenkins find the processes of a job by these, and kill them at its end. */
const CI_VARIABLES = ["RUNNER_TRACKING_ID", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE", "BUILD_ID"];

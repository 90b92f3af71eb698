/**
 * Servers for as long as this process runs: starts or joins them, watches them, and stops what it started.
 *
 * Like those of `run`, its nodes name this process in `node.info`. Whatever kills it, the next command finds nodes whose
 * owner is gone, and terminates them. (Test: "an up that is killed".)
 *
 * @module
 */
import { cutShort, expiry, Latch } from "../async.ts";
import { HANG_UP, type TombstoneError, tombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { isStep } from "../spec/probes.ts";
import type { RunOwner } from "../state/node_info.ts";
import { hasStarted, startGroup, type StartMember } from "./group.ts";
import type { Reporter } from "./reporter.ts";
import type { Started } from "./request.ts";
import { newOwner, Server, type ServerResult, stopServers } from "./server.ts";
import { Echoes, endedBy, Signals } from "./signals.ts";
import type { Stopped } from "./stop.ts";

/** What to keep up. */
export interface UpRequest {
  /** Name of the nodes in messages. */
  name: string;
  /** The nodes, for this owner. */
  members: (owner: RunOwner) => StartMember[];
  /** Where to report. */
  reporter: Reporter;
  /**
   * Called ten times a second: copies new output of the servers, and all of a node that has exited. `"closed"`: nothing
   * reads it any more.
   */
  copy: (exited: string | null) => "written" | "closed";
  /** Called for each node that is ready. */
  onReady: (node: string, started: Started) => void;
  /** Called for each node that was stopped. */
  onStopped: (node: string, stopped: Stopped) => void;
}

/** Result of {@linkcode up}. */
export interface UpResult {
  /** Why it ended: a signal, a reader that has gone, or a server that has died; `null`: other commands stopped all nodes. */
  cause: TombstoneError | null;
  /** Name of the node whose server has died; `null`: none. */
  died: string | null;
  /** The nodes, by name. */
  nodes: Map<string, ServerResult>;
}

/** Time between two copies of the servers' output, in milliseconds. */
const COPY_EVERY_MS = 100;

/** `up` ends this time after its last node was stopped, in milliseconds: a restart by another command takes less. */
const NOBODY_MS = 2000;

/**
 * Keeps nodes up until a signal comes, a server dies, or nothing reads the output.
 *
 * @throws {TombstoneError} a node could not be started, or not be stopped
 */
export async function up(request: UpRequest): Promise<UpResult> {
  const { name, reporter } = request;
  const owner = newOwner();
  const [abort, hurry, over] = [new AbortController(), new AbortController(), new Latch()];
  let cause: TombstoneError | null = null;
  const echoes = new Echoes();
  const end = (why: TombstoneError) => {
    abort.abort(cause ??= why);
    over.open();
  };
  using _signals = new Signals((signal) => {
    const isEcho = echoes.isEcho(signal);
    if (cause !== null && !isEcho) hurry.abort(); // a second signal means: kill at once
    end(endedBy(signal, "keep up", name));
  });
  let failure: { error: unknown } | null = null;
  const copy = (exited: string | null = null) => {
    try {
      if (failure === null && request.copy(exited) === "closed") end(unread(name));
    } catch (error) {
      failure = { error };
      over.open();
    }
  };
  const timer = setInterval(() => copy(), COPY_EVERY_MS);
  // What a server has written comes before what is said of it.
  const onStarted = (node: string, started: Started) => {
    copy(isStep(started.info) ? node : null);
    request.onReady(node, started);
  };
  const onStopped = (node: string, stopped: Stopped) => {
    copy(node);
    request.onStopped(node, stopped);
  };
  let servers: Server[] = [];
  try {
    const members = request.members(owner);
    const started = await startGroup(members, {
      abort: abort.signal,
      reporter,
      onStarted,
      onUndone: onStopped,
    });
    servers = members.map((member) => new Server(member, started));
    const died = await watch(servers, over);
    if (died !== null) copy(died.dir.node);
    if (died !== null && cause === null) cause = died.deathOf("up");
    const isDeath = cause !== null && cause.kind === "server-exited";
    await stopServers(servers.filter(({ begun }) => hasStarted(begun)), {
      owner,
      reporter,
      onStopped,
      hurry: hurry.signal,
    });
    copy();
    if (failure !== null) throw (failure as { error: unknown }).error;
    return {
      cause,
      died: isDeath ? died!.dir.node : null,
      nodes: new Map(servers.map((server) => [server.dir.node, server.result()])),
    };
  } finally {
    clearInterval(timer);
    copy();
  }
}

/** Watches until `over` opens or other commands have stopped all servers (`null`), or until a server dies (that one). */
async function watch(servers: Server[], over: Latch): Promise<Server | null> {
  let lastSeen = performance.now();
  while (!over.isOpen) {
    await cutShort(expiry(system.processes.watchEveryMs), over);
    const states = servers.map((server) => server.watch());
    const died = states.indexOf("died");
    if (died >= 0) return servers[died]!;
    if (states.some((state) => state !== "stopped")) lastSeen = performance.now();
    else if (performance.now() - lastSeen > NOBODY_MS) return null;
  }
  return null;
}

/** The error when stdout has no reader any more, as after the terminal has closed. */
function unread(name: string): TombstoneError {
  return tombstoneError(`Cannot keep up "${name}": nobody reads its output any more`, {
    kind: "signalled",
    hint: `tombstone start ${name} runs without a reader`,
    details: { signal: HANG_UP },
  });
}

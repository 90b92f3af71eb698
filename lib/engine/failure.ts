/**
 * Finds the reason of a failed start while its processes still exist, and makes the error.
 *
 * @module
 */
import { type ErrorKind, retold, TombstoneError, tombstoneError } from "../errors.ts";
import { describeOwner, findOccupant, type Owner, ownerOf, type PortOrSocket } from "../process/listeners.ts";
import type { Failure } from "../readiness/log.ts";
import { type ExitStatus, hasRecord } from "../process/launcher.ts";
import { stateRemoved } from "../state/lock.ts";
import { lastLines } from "../state/log_reader.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { isStep, type Probe } from "../spec/probes.ts";
import type { Settings } from "../spec/settings.ts";
import { describeOwnerNode, findOwnerNode, type OwnerNode, stopOwnerNode } from "./claims.ts";
import { lastLinesOfItsOwn } from "../readiness/http.ts";
import { strayHint } from "./stray_port.ts";
import { system } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import type { Outcome } from "../readiness/wait.ts";
import { type Roots, scanForTree } from "../process/tree.ts";
import type { StartRequest } from "./request.ts";

/** Number of log lines in an error. */
const LOG_LINES = 20;

/** Another process listens where the node should: exit code 5. */
export function placeTaken(dir: NodeDir, place: PortOrSocket, owner: Owner): TombstoneError {
  const [what, where, other] = place.kind === "port"
    ? [`port ${place.port}`, { port: place.port }, "choose a free port with --port 0"]
    : [`the socket "${place.path}"`, { path: place.path }, "choose another --unix PATH"];
  const node = owner.pid === null ? null : findOwnerNode(dir, owner.pid);
  return tombstoneError(`Cannot start "${dir.node}": ${what} ${occupiedBy(owner, node)}`, {
    kind: "port-in-use",
    hint: `${node === null ? "stop it" : stopOwnerNode(node, dir)}, or ${other}`,
    details: {
      ...where,
      owner_pid: owner.pid,
      owner_command: owner.command,
      owner_node: node?.dir.node ?? null,
      owner_workspace: node?.dir.workspace ?? null,
      owner_project: node?.project ?? null,
    },
  });
}

function occupiedBy(owner: Owner, node: OwnerNode | null): string {
  return node === null
    ? `is in use by ${describeOwner(owner)}`
    : `is ${describeOwnerNode(node)}, ${describeOwner(owner)}`;
}

/**
 * The owner of a port or socket that a node wants, in words: `is in use by pid 4312 (node server.js)`, or the name of a
 * node.
 */
export function occupantInWords(dir: NodeDir, owner: Owner): string {
  return occupiedBy(owner, owner.pid === null ? null : findOwnerNode(dir, owner.pid));
}

/** Time is up: exit code 124. */
function notReady(
  node: string,
  settings: Settings,
  { states, stray }: { states: string[]; stray: number | null },
): TombstoneError {
  const { timeout_ms } = settings;
  return tombstoneError(`Cannot start "${node}": not ready within ${timeout_ms} ms, ${states.join(", ")}`, {
    kind: "not-ready",
    hint: stray === null
      ? `tombstone logs ${node}, or allow more time with --timeout`
      : strayHint(node, settings, stray),
    details: { timeout_ms, waiting_for: states },
  });
}

/** Longest quotation of a line in a message, in characters. */
const LONGEST_QUOTE_CHARS = 200;

/** A line of its log matches `--fail-log`: exit code 1. */
function failedLog({ node }: NodeDir, { line, pattern }: Failure, afterMs: number): TombstoneError {
  const quote = line.length > LONGEST_QUOTE_CHARS ? `${line.slice(0, LONGEST_QUOTE_CHARS)} …` : line;
  return tombstoneError(`Cannot start "${node}": its log has a line that matches /${pattern}/: ${quote.trim()}`, {
    kind: "failed-log",
    hint: `tombstone logs ${node}`,
    details: { pattern, line: quote, after_ms: afterMs },
  });
}

/** The descriptors of the main process cannot be read, so no listener can be proven to be its own: exit code 4. */
function hiddenProcess(dir: NodeDir, pid: number, state: string): TombstoneError {
  return tombstoneError(
    `Cannot start "${dir.node}": ${state}, and the ports of its process, pid ${pid}, cannot be seen`,
    {
      kind: "state",
      hint: "a program with file capabilities hides them; accept any listener with --port N --any-listener",
      details: { pid },
    },
  );
}

/** Without a start time, nothing distinguishes the process from a later one with its pid, so it is not committed. */
export function unreadableProcess(dir: NodeDir, pid: number): TombstoneError {
  return tombstoneError(`Cannot start "${dir.node}": its process, pid ${pid}, cannot be looked at`, {
    kind: "state",
    hint: "tombstone doctor",
    details: { pid },
  });
}

/** How a server exited before it was ready. */
export interface ExitedServer {
  /** Program of the command. */
  command: string;
  /** Attempt that it belonged to. */
  attempt: string;
  /** Its exit status; `null` for a daemon, whose status only its parent learns. */
  exitStatus: ExitStatus | null;
  /** What messages call it. */
  kind: "server" | "step";
  /** Whether its input stays open. */
  isInputOpen: boolean;
  /** Its pid. */
  pid: number;
  /** Milliseconds after the spawn. */
  afterMs: number;
}

/** The server, or the launcher before it, has exited. */
function serverExited(dir: NodeDir, server: ExitedServer): TombstoneError {
  const { node, log } = dir;
  const { exitStatus, afterMs, kind: what } = server;
  const seeLog = `tombstone logs ${node}`;
  const failed = (state: string, hint = seeLog, kind: ErrorKind = "server-exited") =>
    tombstoneError(`Cannot start "${node}": ${state}`, {
      kind,
      hint,
      details: { exit_status: exitStatus?.code ?? null, exit_signal: exitStatus?.signal ?? null, after_ms: afterMs },
    });
  if (exitStatus === null) return failed(`the daemon, pid ${server.pid}, ended after ${afterMs} ms`);
  if (exitStatus.signal !== null) return failed(`the ${what} was ended by ${exitStatus.signal} after ${afterMs} ms`);
  if (!hasRecord(dir, server.attempt)) {
    const failure = system.launcher.failureOf(exitStatus.code);
    if (failure === "superseded") return stateRemoved(dir, "start");
    if (failure === "input") {
      return failed(`its input could not be made in "${dir.path}"`, system.hints.room(dir.path), "state");
    }
    if (failure === "record") {
      return failed(`its launch could not be recorded in "${dir.path}"`, system.hints.room(dir.path), "state");
    }
  }
  const kind = system.launcher.couldNotExecute(exitStatus.code, lastLines(log, 1)[0] ?? "");
  if (kind !== null) {
    return failed(`"${server.command}" could not be executed`, seeLog, kind);
  }
  const state = `the ${what} exited with code ${exitStatus.code} after ${afterMs} ms`;
  if (exitStatus.code !== 0) return failed(state);
  const background = "if it puts itself into the background, keep it in the foreground or name its --pid-file";
  return failed(
    state,
    server.isInputOpen ? background : `if it ends at the end of its input, add --stdin-open; ${background}`,
  );
}

/** Adds the last lines of the log to an error; they mostly say more. */
export function withLog<E>(dir: NodeDir, error: E, probes: Probe[] = []): E | TombstoneError {
  if (!(error instanceof TombstoneError) || error.kind === "state" || error.kind === "signalled") return error;
  return retold(error, { logTail: lastLinesOfItsOwn(dir.log, probes, LOG_LINES), logPath: dir.log, cause: error });
}

/** What is known of a spawned attempt. */
export interface AttemptFacts {
  /** Its id. */
  attempt: string;
  /** The requested or chosen port; `null`: none. */
  port: number | null;
  /** Where its processes are. */
  roots: Roots;
  /** The process that the launcher became. */
  leader: Identity;
  /** The main process; `null` until a daemon has shown itself. */
  main: Identity | null;
  /** How the leader exited; `null` while it runs. */
  exitStatus: ExitStatus | null;
  /** Milliseconds since the spawn. */
  afterMs: number;
}

/** The error for a wait that did not end with a ready node. */
export async function failureOf(
  outcome: Exclude<Outcome, { kind: "ready" }>,
  request: StartRequest,
  facts: AttemptFacts,
): Promise<TombstoneError> {
  const { dir, settings } = request;
  switch (outcome.kind) {
    case "aborted":
      return request.abort.reason;
    case "foreign": {
      const owner = ownerOf(outcome.verdict.sockets);
      if (owner.pid === null && isHidden(facts.main)) return hiddenProcess(dir, facts.main!.pid, outcome.verdict.state);
      return placeTaken(dir, outcome.verdict.place, owner);
    }
    case "timeout":
      if (isHidden(facts.main) && settings.probes.some(({ type }) => type === "discover")) {
        return hiddenProcess(dir, facts.main!.pid, `not ready within ${settings.timeout_ms} ms`);
      }
      return notReady(dir.node, settings, outcome);
    case "failed":
      return failedLog(dir, outcome, facts.afterMs);
    case "gone": {
      // A server mostly just exits when its port has been taken meanwhile, so name the owner of the port.
      const owner = facts.port === null ? null : await findStranger(settings.host, facts.port, facts.roots);
      if (owner !== null) return placeTaken(dir, { kind: "port", port: facts.port! }, owner);
      const daemon = facts.main === facts.leader ? null : facts.main;
      return serverExited(dir, {
        command: settings.command[0]!,
        attempt: facts.attempt,
        kind: isStep(settings) ? "step" : "server",
        exitStatus: daemon === null ? facts.exitStatus : null,
        isInputOpen: settings.stdin_open,
        pid: daemon?.pid ?? facts.leader.pid,
        afterMs: facts.afterMs,
      });
    }
  }
}

/** Whether only root may read the descriptors of a process, as when its program has capabilities. */
function isHidden(main: Identity | null): boolean {
  return main !== null && system.sockets !== null && system.sockets.socketsOf(main.pid) === null;
}

async function findStranger(host: string | null, port: number, roots: Roots): Promise<Owner | null> {
  const owner = await findOccupant(host, port);
  if (owner === null) return null;
  // The one process of this user that cannot be seen is one that is just exiting: no other server.
  if (owner.pid === null) return owner.user === null || system.self.isUser(owner.user) ? null : owner;
  return (await scanForTree(roots)).some((row) => row.pid === owner.pid) ? null : owner;
}

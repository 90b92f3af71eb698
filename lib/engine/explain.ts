/**
 * Why an attempt will never be ready, found out while its processes are still there.
 *
 * @module
 */
import type { TombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import type { Identity } from "../os/types.ts";
import { findOccupant, type Owner, ownerOf } from "../process/listeners.ts";
import type { Outcome } from "../readiness/wait.ts";
import type { ExitStatus } from "../process/launcher.ts";
import { lookForTree, type Roots } from "../process/tree.ts";
import { failedLog, hiddenProcess, notReady, placeTaken, serverEnded } from "./failure.ts";
import type { StartRequest } from "./request.ts";

/** What is known of a spawned attempt. */
export interface AttemptFacts {
  /** Its id. */
  attempt: string;
  /** The port that was asked for or chosen; `null`: none. */
  port: number | null;
  /** Where its processes are. */
  roots: Roots;
  /** The process that the launcher became. */
  leader: Identity;
  /** The process that the node stands and falls with; `null` until a daemon has shown itself. */
  main: Identity | null;
  /** How the leader ended; `null` while it runs. */
  ended: ExitStatus | null;
  /** Milliseconds since the spawn. */
  afterMs: number;
}

/** The error that tells how the wait for an attempt ended. */
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
      // A server whose port somebody else took meanwhile mostly just exits; say who it was.
      const owner = facts.port === null ? null : await findStranger(settings.host, facts.port, facts.roots);
      if (owner !== null) return placeTaken(dir, { kind: "port", port: facts.port! }, owner);
      const daemon = facts.main === facts.leader ? null : facts.main;
      return serverEnded(dir, {
        command: settings.command[0]!,
        attempt: facts.attempt,
        ended: daemon === null ? facts.ended : null,
        isInputOpen: settings.stdin_open,
        pid: daemon?.pid ?? facts.leader.pid,
        afterMs: facts.afterMs,
      });
    }
  }
}

/** Whether nobody but the superuser may see what a process holds: one that has gained capabilities, for example. */
function isHidden(main: Identity | null): boolean {
  return main !== null && system.sockets !== null && system.sockets.socketsOf(main.pid) === null;
}

async function findStranger(host: string | null, port: number, roots: Roots): Promise<Owner | null> {
  const owner = await findOccupant(host, port);
  if (owner === null) return null;
  // Of this user's own processes, only one that is just ending cannot be seen; it is no stranger.
  if (owner.pid === null) return owner.uid === null || owner.uid === Deno.uid() ? null : owner;
  return (await lookForTree(roots)).some((row) => row.pid === owner.pid) ? null : owner;
}

/**
 * Probes: looking whether a condition for "ready" holds.
 *
 * @module
 */
import type { Roots } from "../process/tree.ts";
import type { Probe } from "../spec/probes.ts";
import { discoverProber } from "./discover.ts";
import { execProber } from "./exec.ts";
import { checkFile } from "./file.ts";
import { httpProber } from "./http.ts";
import type { Endpoint, Socket } from "../process/listeners.ts";
import { logProber } from "./log.ts";
import type { Notifications } from "./notify.ts";
import type { Protocol } from "./protocol.ts";
import { portFileProber, tcpProber } from "./tcp.ts";
import { checkUnix } from "./unix.ts";

/** The node that a probe looks at. */
export interface ProbeTarget {
  /** Its main process. */
  mainPid: number;
  /** Where to find the rest of its processes. */
  roots: Roots;
  /** Milliseconds that it has been running. */
  ageMs: number;
  /** When its attempt began, in milliseconds since 1970 by the clock that dates files; `null` if unknown. */
  sinceMs: number | null;
  /** Directory that its command runs in. */
  cwd: string;
  /** Variables that its command got on top of the environment; those of `--env` are known during its start only. */
  env: Record<string, string>;
  /** Where it was found before, which spares a discovery; `null` on the first start. */
  known: { host: string | null; port: number; nonce: string | null } | null;
  /** What it says by the protocol of sd_notify(3); `null` if it was not asked to. */
  notifications: Notifications | null;
}

/** One look of a wait. */
export interface Look {
  /** Counts the looks of a wait from 0. */
  round: number;
  /** Longest time that it may take, in milliseconds. */
  limitMs: number;
  /** Where another probe of the wait has found the node to listen; `null` if none has. */
  found: { host: string; port: number } | null;
  /** Whether it is to be found out what the server speaks. */
  asks: boolean;
  /** Ends the look. */
  signal: AbortSignal;
}

/** Where a probe has found the node to be. */
export interface Found {
  /** Host that was asked for, or the address that answers. */
  host: string;
  /** Address that answers. */
  address: string;
  /** Port. */
  port: number;
  /** What the server's port file carries. */
  nonce: string | null;
  /** What it speaks there, as far as it has been asked. */
  protocol: Protocol;
  /** Other ports that it listens on. */
  alsoListens: number[];
}

/** What a probe found; `stray`: a port that the node listens on instead of the one that it was given. */
export type Verdict =
  | ({ kind: "pass" } & Partial<Found>)
  | { kind: "wait"; state: string; stray?: number }
  | { kind: "foreign"; state: string; place: Endpoint; sockets: Socket[] };

/** Looks once. Keeps what it has seen so far, such as how much of the log. */
export type Prober = (subject: ProbeTarget, look: Look) => Promise<Verdict> | Verdict;

/**
 * What looks at a condition, for one wait.
 *
 * @param asked HTTP probes by which a discovery is to tell the right port
 */
export function proberOf(probe: Probe, asked: Extract<Probe, { type: "http" }>[]): Prober {
  switch (probe.type) {
    case "tcp":
      return tcpProber(probe);
    case "port-file":
      return portFileProber(probe);
    case "discover":
      return discoverProber(asked);
    case "http":
      return httpProber(probe);
    case "unix":
      return (subject) => checkUnix(probe.path, probe.any_listener, subject);
    case "log":
      return logProber(probe.pattern);
    case "file":
      return (subject) => checkFile(probe.path, subject);
    case "exec":
      return execProber(probe.command);
    case "notify":
      return ({ notifications }) => notifications?.verdict() ?? { kind: "pass" };
    case "alive":
      return ({ ageMs }) =>
        ageMs >= probe.for_ms ? { kind: "pass" } : { kind: "wait", state: `it has not yet run for ${probe.for_ms} ms` };
  }
}

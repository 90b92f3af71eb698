/**
 * What a probe gets, and what it finds.
 *
 * @module
 */
import type { Roots } from "../process/tree.ts";
import type { Endpoint, Socket } from "../process/listeners.ts";
import type { Protocol } from "../process/connect.ts";

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
  notifications: Announcements | null;
}

/** What a server says of itself. */
export interface Announcements {
  /** Whether it has said that it is ready. */
  verdict(): Verdict;
  /** Reads what it has said since the last time. */
  receive(): Promise<void>;
  /** Until when it has asked for more time, by `performance.now()`; `-Infinity` if it has not. */
  readonly extendedUntil: number;
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

/**
 * Inputs and results of a probe.
 *
 * @module
 */
import type { Roots } from "../process/tree.ts";
import type { PortOrSocket, Socket } from "../process/listeners.ts";
import type { Protocol } from "../process/connect.ts";

/** The node that is probed. */
export interface ProbeTarget {
  /** Its main process. */
  mainPid: number;
  /** Where to find the rest of its processes. */
  roots: Roots;
  /** Milliseconds since its launch. */
  ageMs: number;
  /** Begin of its attempt by the clock for files, in milliseconds since 1970; `null` if unknown. */
  sinceMs: number | null;
  /** Directory that its command runs in. */
  cwd: string;
  /** Variables that its command got on top of the environment; the values of `--env` are known only during its start. */
  env: Record<string, string>;
  /** Where it listened when it was committed; `null` during its start. */
  known: { host: string | null; port: number; nonce: string | null } | null;
  /** Its messages by sd_notify(3); `null` without `--notify`. */
  notifications: Announcements | null;
}

/** Messages of a server about itself. */
export interface Announcements {
  /** Whether it has said that it is ready. */
  verdict(): Verdict;
  /** Reads the messages since the last call. */
  receive(): Promise<void>;
  /** The end of the extra time that it has asked for, by `performance.now()`; `-Infinity` if it has not. */
  readonly extendedUntil: number;
}

/** What a probe must know of the round in which it checks. */
export interface RoundOptions {
  /** Its number, from 0. */
  number: number;
  /** Longest time that it may take, in milliseconds. */
  limitMs: number;
  /** Address at which another probe has found the node; `null` if none has. */
  found: { host: string; port: number } | null;
  /** Whether to find out which protocol the server speaks. */
  asks: boolean;
  /** Aborts the check. */
  signal: AbortSignal;
}

/** Where a probe has found the node. */
export interface Found {
  /** Requested host, else the address that answers. */
  host: string;
  /** Address that answers. */
  address: string;
  /** Port. */
  port: number;
  /** What the server's port file carries. */
  nonce: string | null;
  /** Its protocol; `null` if unknown. */
  protocol: Protocol;
  /** Other ports that it listens on. */
  alsoListens: number[];
}

/** Result of a probe; `stray`: a port that the node listens on instead of the requested one. */
export type Verdict =
  | ({ kind: "pass" } & Partial<Found>)
  | { kind: "wait"; state: string; stray?: number }
  | { kind: "foreign"; state: string; place: PortOrSocket; sockets: Socket[] };

/** Checks once. It may keep state between calls, such as the position in a log. */
export type Prober = (target: ProbeTarget, round: RoundOptions) => Promise<Verdict> | Verdict;

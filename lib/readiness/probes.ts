/**
 * The probes of a wait: which function checks each kind, and one round of checks after the other. The small ones are here:
 * a file, a unix socket, an age.
 *
 * @module
 */
import { ownershipOfUnixListener } from "../process/listeners.ts";
import { connectToUnix, type Protocol } from "../process/connect.ts";
import { isEvent, type Probe } from "../spec/probes.ts";
import { modifiedAtMs } from "../state/durable.ts";
import { discoverProber } from "./discover.ts";
import { execProber } from "./exec.ts";
import { httpProber, isOnOwnPort, NO_PORT_YET } from "./http.ts";
import { logProber } from "./log.ts";
import { portFileProber, tcpProber } from "./tcp.ts";
import type { Found, Prober, ProbeTarget, RoundOptions, Verdict } from "./types.ts";

/**
 * The function that checks a condition during one wait.
 *
 * @param asked HTTP probes that a discovered port must answer
 */
function proberOf(probe: Probe, asked: Extract<Probe, { type: "http" }>[]): Prober {
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
      return (target) => checkUnix(probe.path, probe.any_listener, target);
    case "log":
      return logProber(probe.pattern);
    case "file":
      return (target) => checkFile(probe.path, target);
    case "exec":
      return execProber(probe.command);
    case "notify":
      return ({ notifications }) => notifications?.verdict() ?? { kind: "pass" };
    case "exit":
      return () => ({ kind: "wait", state: "it has not exited yet" }); // its end ends the wait
    case "alive":
      return ({ ageMs }) =>
        ageMs >= probe.for_ms ? { kind: "pass" } : { kind: "wait", state: `it has not yet run for ${probe.for_ms} ms` };
  }
}

/** Whether a file exists that was written since the attempt began. */
function checkFile(path: string, target: ProbeTarget): Verdict {
  const written = modifiedAtMs(path, "elsewhere");
  if (written === null) return { kind: "wait", state: `"${path}" does not exist` };
  // Both times are of the kernel's clock for files, which advances in steps of some milliseconds.
  if (target.sinceMs !== null && written < target.sinceMs) {
    return { kind: "wait", state: `"${path}" is older than this start` };
  }
  return { kind: "pass" };
}

/** Whether the node accepts connections on a unix socket. */
async function checkUnix(path: string, anyListener: boolean, target: ProbeTarget): Promise<Verdict> {
  if (await connectToUnix(path) !== "accepted") {
    return { kind: "wait", state: `nothing accepts connections on the socket "${path}"` };
  }
  if (anyListener) return { kind: "pass" };
  const ownership = await ownershipOfUnixListener(path, target.mainPid, target.roots);
  switch (ownership.kind) {
    case "ours":
      return { kind: "pass" };
    case "none":
      return { kind: "wait", state: `the owner of the socket "${path}" is not known (see --any-listener)` };
    case "foreign":
      return {
        kind: "foreign",
        state: `the listener on the socket "${path}" is not the node's`,
        place: { kind: "socket", path },
        sockets: ownership.sockets,
      };
  }
}

/** A node that is ready, and where it was found. */
export interface Ready {
  /** Address at which it answered; `null` if there is none. */
  host: string | null;
  /** Port; `null` if there is none. */
  port: number | null;
  /** Nonce of its port file; `null` if there is none. */
  nonce: string | null;
  /** Its protocol; `null` if unknown. */
  protocol: Protocol;
  /** Other ports that it listens on, if its own was discovered. */
  alsoListens: number[];
}

/** The probes of one wait, and their results so far. */
export class Round {
  readonly #probers;
  readonly #asks: boolean;
  readonly #passed = new Map<Probe, Extract<Verdict, { kind: "pass" }>>();
  #number = 0;
  /** What keeps the node from being ready, in words. */
  states: string[] = [];
  /** A port that the node listens on instead of the requested one. */
  stray: number | null = null;
  /** A listener of another process in the node's place, if there is one. */
  foreign: Extract<Verdict, { kind: "foreign" }> | null = null;

  /** Nothing is checked yet. */
  constructor(probes: Probe[]) {
    // HTTP probes of a path are part of the discovery: their answers decide which port is the one.
    const asked = probes.filter((probe) => probe.type === "http" && isOnOwnPort(probe));
    const discovers = probes.some(({ type }) => type === "discover");
    this.#asks = asked.length === 0;
    this.#probers = probes.filter((probe) => !discovers || !asked.includes(probe))
      .map((probe) => ({ probe, check: proberOf(probe, asked as Extract<Probe, { type: "http" }>[]) }));
  }

  /** Checks all probes that have not passed yet, within `limitMs` milliseconds in total. */
  async check(target: ProbeTarget, limitMs: number, signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    const states: string[] = [];
    let foreign: Round["foreign"] = null;
    let stray: number | null = null;
    for (const { probe, check } of this.#probers) {
      if (signal.aborted) return;
      // The place is checked again as long as any condition is missing: some servers first try other addresses.
      if (this.#passed.has(probe) && !this.#locates(probe)) continue;
      const left = Math.max(limitMs - (performance.now() - begun), 1);
      const options: RoundOptions = {
        number: this.#number,
        limitMs: left,
        found: this.#found(),
        asks: this.#asks,
        signal,
      };
      const verdict = await check(target, options);
      if (verdict.kind === "pass") this.#passed.set(probe, verdict);
      else {
        this.#passed.delete(probe);
        if (verdict.state !== NO_PORT_YET || states.length === 0) states.push(verdict.state);
      }
      if (verdict.kind === "foreign") foreign = verdict;
      if (verdict.kind === "wait") stray ??= verdict.stray ?? null;
    }
    this.states = states;
    this.foreign = foreign;
    this.stray = stray;
    this.#number++;
  }

  #locates({ type }: Probe): boolean {
    return type === "tcp" || type === "port-file" || (type === "discover" && this.#asks);
  }

  /** Checks conditions that can change back again from now on. */
  again(): void {
    for (const { probe } of this.#probers) if (!isEvent(probe)) this.#passed.delete(probe);
  }

  #found(): Pick<Found, "host" | "port"> & Partial<Found> | null {
    for (const { host, port, ...more } of this.#passed.values()) {
      if (host !== undefined && port !== undefined) return { host, port, ...more };
    }
    return null;
  }

  /** The address of the node, after all probes have passed. */
  outcome(): Ready {
    const found = this.#found();
    const nonce = [...this.#passed.values()].find((verdict) => verdict.nonce)?.nonce ?? null;
    const { host = null, port = null, protocol = null, alsoListens = [] } = found ?? {};
    return { host, port, nonce, protocol, alsoListens };
  }
}

/**
 * Looks at all probes of a node, one after another, time after time.
 *
 * @module
 */
import { isEvent, type Probe } from "../spec/probes.ts";
import { isOnOwnPort, NO_PORT_YET } from "./http.ts";
import type { Found, Look, ProbeTarget, Verdict } from "./types.ts";
import { proberOf } from "./probes.ts";
import type { Protocol } from "../process/connect.ts";

/** A node that is ready, and where it was found. */
export interface Ready {
  /** Address that it was reached at; `null` where there is none. */
  host: string | null;
  /** Port; `null` where there is none. */
  port: number | null;
  /** Nonce of its port file; `null` where there is none. */
  nonce: string | null;
  /** What it has shown to speak; `null`: it has not been asked, or did not tell. */
  protocol: Protocol;
  /** Other ports that it listens on, as a discovery has found. */
  alsoListens: number[];
}

/** The probes of one wait, and what has come of them so far. */
export class Round {
  readonly #probers;
  readonly #asks: boolean;
  readonly #passed = new Map<Probe, Extract<Verdict, { kind: "pass" }>>();
  #number = 0;
  /** What keeps the node from being ready, in words. */
  states: string[] = [];
  /** A port that the node listens on instead of the one that it was given. */
  stray: number | null = null;
  /** A listener in the node's place, if there is one. */
  foreign: Extract<Verdict, { kind: "foreign" }> | null = null;

  /** Nothing has been looked at yet. */
  constructor(probes: Probe[]) {
    // A path is asked for on every port that a discovery finds, and the answer decides.
    const asked = probes.filter((probe) => probe.type === "http" && isOnOwnPort(probe));
    const discovers = probes.some(({ type }) => type === "discover");
    this.#asks = asked.length === 0;
    this.#probers = probes.filter((probe) => !discovers || !asked.includes(probe))
      .map((probe) => ({ probe, look: proberOf(probe, asked as Extract<Probe, { type: "http" }>[]) }));
  }

  /** Looks at what has not passed yet. All of it together gets `limitMs` milliseconds. */
  async look(subject: ProbeTarget, limitMs: number, signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    const states: string[] = [];
    let foreign: Round["foreign"] = null;
    let stray: number | null = null;
    for (const { probe, look } of this.#probers) {
      if (signal.aborted) return;
      // Where it listens is looked at anew as long as anything is missing: some listen elsewhere first, to try.
      if (this.#passed.has(probe) && !this.#locates(probe)) continue;
      const left = Math.max(limitMs - (performance.now() - begun), 1);
      const options: Look = { round: this.#number, limitMs: left, found: this.#found(), asks: this.#asks, signal };
      const verdict = await look(subject, options);
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

  /** Looks anew from now on at what stands for a state. */
  again(): void {
    for (const { probe } of this.#probers) if (!isEvent(probe)) this.#passed.delete(probe);
  }

  #found(): Pick<Found, "host" | "port"> & Partial<Found> | null {
    for (const { host, port, ...more } of this.#passed.values()) {
      if (host !== undefined && port !== undefined) return { host, port, ...more };
    }
    return null;
  }

  /** Where the node was found, once everything has passed. */
  outcome(): Ready {
    const found = this.#found();
    const nonce = [...this.#passed.values()].find((verdict) => verdict.nonce)?.nonce ?? null;
    const { host = null, port = null, protocol = null, alsoListens = [] } = found ?? {};
    return { host, port, nonce, protocol, alsoListens };
  }
}

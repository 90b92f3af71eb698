/**
 * Looks at all probes of a node, one after another, time after time.
 *
 * @module
 */
import { isEvent, type Probe } from "../state/probes.ts";
import { type Look, proberOf, type Subject, type Verdict } from "./probe.ts";

/** A node that is ready, and where it was found. */
export interface Ready {
  /** Address that it was reached at; `null` where there is none. */
  host: string | null;
  /** Port; `null` where there is none. */
  port: number | null;
  /** Nonce of its port file; `null` where there is none. */
  nonce: string | null;
}

/** The probes of one wait, and what has come of them so far. */
export class Round {
  readonly #probers;
  readonly #passed = new Map<Probe, Extract<Verdict, { kind: "pass" }>>();
  #number = 0;
  /** What keeps the node from being ready, in words. */
  states: string[] = [];
  /** A listener in the node's place, if there is one. */
  foreign: Extract<Verdict, { kind: "foreign" }> | null = null;

  /** Nothing has been looked at yet. */
  constructor(probes: Probe[]) {
    this.#probers = probes.map((probe) => ({ probe, look: proberOf(probe) }));
  }

  /** Looks at what has not passed yet. All of it together gets `limitMs` milliseconds. */
  async look(subject: Subject, limitMs: number, signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    const states: string[] = [];
    let foreign: Round["foreign"] = null;
    for (const { probe, look } of this.#probers) {
      if (signal.aborted) return;
      if (this.#passed.has(probe)) continue;
      const left = Math.max(limitMs - (performance.now() - begun), 1);
      const options: Look = { round: this.#number, limitMs: left, found: this.#found(), signal };
      const verdict = await look(subject, options);
      if (verdict.kind === "pass") this.#passed.set(probe, verdict);
      else states.push(verdict.state);
      if (verdict.kind === "foreign") foreign = verdict;
    }
    this.states = states;
    this.foreign = foreign;
    this.#number++;
  }

  /** Looks anew from now on at what stands for a state. */
  again(): void {
    for (const { probe } of this.#probers) if (!isEvent(probe)) this.#passed.delete(probe);
  }

  #found(): { host: string; port: number } | null {
    for (const { host, port } of this.#passed.values()) {
      if (host !== undefined && port !== undefined) return { host, port };
    }
    return null;
  }

  /** Where the node was found, once everything has passed. */
  outcome(): Ready {
    const found = this.#found();
    const nonce = [...this.#passed.values()].find((verdict) => verdict.nonce)?.nonce ?? null;
    return { host: found?.host ?? null, port: found?.port ?? null, nonce };
  }
}

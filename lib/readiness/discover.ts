/**
 * Finding the port of a node: the likeliest of those that its own processes listen on.
 *
 * @module
 */
import { isLocal } from "../hosts.ts";
import type { Probe } from "../spec/probes.ts";
import { httpProber } from "./http.ts";
import { type Claim, findOwnPorts, type OwnPort } from "../process/own_ports.ts";
import type { Prober, ProbeTarget, RoundOptions, Verdict } from "./types.ts";
import { checkTcp, once } from "./tcp.ts";
import { system } from "../os/system.ts";
import { expiry } from "../async.ts";

/** The main process is checked each time, the whole tree only every so many rounds. */
const TREE_EVERY_ROUNDS = 25;

/**
 * How long to wait for a better port after the last one has appeared, in milliseconds. A port that the command names
 * needs no wait. The first fixed port is often an administration port; one in the ephemeral range mostly belongs to a
 * part of the server, such as a compiler.
 */
const SETTLING_MS: Record<Claim, number> = { named: 0, child: 0, stays: 100, any: 400, aside: 1000, tool: Infinity };

/** Longest wait for a node that keeps opening ports, in milliseconds. */
const SETTLING_LIMIT_MS = 3000;

/** In the last milliseconds of a wait, the best port so far is taken. */
const LAST_MOMENT_MS = 50;

/**
 * Whether the node listens on a port: the likeliest of its own (see own_ports.ts), or, with HTTP probes of a path, the
 * likeliest of those that answer with a wanted status.
 *
 * @param asked HTTP probes of a path, to be sent to the port that is found
 */
export function discoverProber(asked: Extract<Probe, { type: "http" }>[]): Prober {
  const checks = new Map<number, Prober>();
  const settling = new Settling();
  const distribution = new Set<number>();
  return async (target, round) => {
    const { known } = target;
    if (known !== null) return await checkOf(checks, known.port, known.host, asked)(target, round);
    const extent = round.number % TREE_EVERY_ROUNDS === TREE_EVERY_ROUNDS - 1 ? "tree" : "main";
    const own = await findOwnPorts(target.mainPid, target.roots, extent);
    if (own === null) return { kind: "wait", state: "the ports that it listens on are not known yet" };
    const candidates = own.filter(isMeant).filter(({ port }) => !distribution.has(port));
    settling.see(candidates);
    let verdict: Verdict = { kind: "wait", state: nothing(own) };
    for (const candidate of candidates) {
      if (asked.length === 0 && !settling.isOver(candidate.claim, round)) {
        return { kind: "wait", state: `it listens on port ${candidate.port}, and perhaps on another soon` };
      }
      if (!checks.has(candidate.port)) {
        for (const port of await distributionPorts(candidate)) distribution.add(port);
      }
      if (distribution.has(candidate.port)) continue;
      const found = await checkOf(checks, candidate.port, null, asked, candidate)(target, round);
      if (found.kind === "pass" && settling.isOver(candidate.claim, round)) {
        const all = await findOwnPorts(target.mainPid, target.roots, "tree") ?? [];
        const meant = all.filter(isMeant).filter(({ port }) => !distribution.has(port));
        settling.see(meant);
        // A child process may have a better one, so the whole tree decides.
        const isBest = asked.length > 0 || meant[0]?.port === candidate.port;
        if (isBest && settling.isOver(candidate.claim, round)) {
          return { ...found, alsoListens: others(all, candidate.port) };
        }
      }
      if (verdict.kind !== "foreign" && candidate === candidates[0] || found.kind === "foreign") verdict = found;
    }
    if (verdict.kind !== "pass") return verdict;
    return { kind: "wait", state: `it answers on port ${verdict.port}, and perhaps on another soon` };
  };
}

/** The check of one port: it accepts, and answers each of the probes. */
function checkOf(
  checks: Map<number, Prober>,
  port: number,
  host: string | null,
  asked: Extract<Probe, { type: "http" }>[],
  own?: OwnPort,
): Prober {
  const before = checks.get(port);
  if (before !== undefined) return before;
  const spot = { host: host ?? outsideOf(own), port, anyListener: false };
  const accepts = asked.length === 0 ? once(spot) : (target: ProbeTarget) => checkTcp(spot, target, "none");
  const answers = asked.map(httpProber);
  const check: Prober = async (target, round) => {
    const reached = await accepts(target, round);
    if (reached.kind !== "pass") return reached;
    for (const answer of answers) {
      const found = { host: reached.host!, port };
      const verdict = await answer(target, { ...round, found });
      if (verdict.kind !== "pass") return verdict;
    }
    return reached;
  };
  checks.set(port, check);
  return check;
}

/** The address of a node that listens on no loopback address. */
function outsideOf(own?: OwnPort): string | null {
  return own !== undefined && !own.addresses.some(isLocal) ? own.addresses[0]! : null;
}

/** Says that none of its ports can be the server's own. */
function nothing(own: OwnPort[]): string {
  if (own.length === 0) return "it listens on no TCP port";
  return `it listens on no TCP port but ${own.map(({ port }) => port).join(", ")}, for debuggers or nodes of Erlang`;
}

/** The other ports that it listens on. */
function others(all: OwnPort[], port: number): number[] {
  return all.map((own) => own.port).filter((other) => other !== port).sort((a, b) => a - b);
}

/** A debugger's port is not the server's own. */
function isMeant({ claim }: OwnPort): boolean {
  return claim !== "tool";
}

/** Whether more ports may be about to appear. */
class Settling {
  readonly #seen = new Set<number>();
  #first: number | null = null;
  #last = 0;

  /** Records when new ports appear. */
  see(own: OwnPort[]): void {
    const now = performance.now();
    for (const { port } of own) {
      if (this.#seen.has(port)) continue;
      this.#seen.add(port);
      this.#first ??= now;
      this.#last = now;
    }
  }

  isOver(claim: Claim, round: RoundOptions): boolean {
    const now = performance.now();
    if (round.limitMs <= LAST_MOMENT_MS) return true;
    return now - this.#last >= SETTLING_MS[claim] || now - (this.#first ?? now) >= SETTLING_LIMIT_MS;
  }
}

/** Longest wait for epmd, in milliseconds. */
const ANSWER_TIMEOUT_MS = 500;

/** NAMES_REQ of the distribution protocol: length, 110. */
const NAMES_REQUEST = new Uint8Array([0, 1, 110]);

/**
 * The ports that nodes of Erlang have registered with epmd(1) for each other; they are not a server's own. epmd is asked
 * only about a port of an Erlang system that no command line names.
 */
async function distributionPorts({ claim, holder }: OwnPort): Promise<number[]> {
  if (claim !== "any" && claim !== "stays") return [];
  if (!system.processes.read(holder)?.name.startsWith("beam")) return [];
  const port = Number(system.processes.environment(holder, "ERL_EPMD_PORT") ?? 4369) || 4369;
  const names = await Promise.race([readNames(port), expiry(ANSWER_TIMEOUT_MS)]);
  return Array.from(
    names === "expired" ? [] : names.matchAll(/^name \S+ at port (\d+)$/gm),
    ([, port]) => Number(port),
  );
}

async function readNames(port: number): Promise<string> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(NAMES_REQUEST);
    const answer = await new Response(connection.readable).bytes();
    return new TextDecoder().decode(answer.subarray(4)); // epmd's own port comes first
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return ""; // epmd does not run
    throw error;
  }
}

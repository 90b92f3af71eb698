/**
 * Conditions about a TCP port.
 *
 * @module
 */
import { hostPort, isAddress, isAnyAddress } from "../hosts.ts";
import { sleep } from "../async.ts";
import type { ListenerRow } from "../os/rows.ts";
import type { Sockets } from "../os/types.ts";
import { scanForTree, scanOf } from "../process/tree.ts";
import type { Probe } from "../spec/probes.ts";
import { readPortFile } from "../state/port_files.ts";
import { candidatesOf, listenersFor, ownershipOfSockets } from "../process/listeners.ts";
import { addressesOf, connectTo, type Protocol } from "../process/connect.ts";
import { findOwnListener, type OwnPort } from "../process/own_ports.ts";
import type { Prober, ProbeTarget, RoundOptions, Verdict } from "./types.ts";

/**
 * How much to check once the kernel shows that the node's own socket listens: `none` trusts the kernel, `connect` makes
 * a connection, `ask` also detects the server's protocol.
 */
export type Contact = "none" | "connect" | "ask";

/** Where the node should listen. */
export interface Spot {
  /** Name or address; `null`: any loopback address. */
  host: string | null;
  /** Port. */
  port: number;
  /** Whether the listener may belong to any process. */
  anyListener: boolean;
}

/** Whether the node accepts connections there. */
export async function checkTcp(spot: Spot, target: ProbeTarget, contact: Contact): Promise<Verdict> {
  const { host, port, anyListener } = spot;
  const where = host === null ? `port ${port}` : hostPort(host, port);
  const wait: Verdict = { kind: "wait", state: `nothing accepts connections on ${where}` };
  const table = scanOf(target.roots).sockets;
  if (anyListener || table === null) {
    const answer = await connectTo(host, port, contact);
    return typeof answer === "string" ? wait : passed(spot, answer.address, answer.protocol);
  }
  // Reads the kernel's table before a connect: a connect to a free port in the ephemeral range can connect to itself,
  // and then blocks the port for the server. But if reading the listeners costs a process, it first waits for an
  // answer.
  const isPartial = table.sight === "own";
  if (isPartial && contact !== "none" && typeof await connectTo(host, port) === "string") return wait;
  const all = await table.list();
  if (all === null) return { kind: "wait", state: `the owner of the listener on ${where} is not known yet` };
  const rows = all.filter((row) => row.port === port);
  if (rows.length === 0) return isPartial && contact !== "none" ? unseen(where, port) : wait;
  let foreign: Verdict | null = null;
  let isThere = false;
  for (const candidate of candidatesOf(host, rows)) {
    const named = isAddress(candidate) ? null : await connectTo(candidate, port);
    if (typeof named === "string") continue;
    const address = named?.address ?? candidate;
    const sockets = listenersFor(rows, address, port);
    if (sockets.length === 0) continue;
    isThere = true;
    const ownership = await ownershipOfSockets(sockets, target.mainPid, target.roots);
    if (ownership.kind === "none") continue;
    if (ownership.kind === "foreign") {
      foreign ??= {
        kind: "foreign",
        state: `the listener on ${where} is not the node's`,
        place: { kind: "port", port },
        sockets: ownership.sockets,
      };
      if (host === null) continue; // the node may have the port at another address
      return foreign;
    }
    if (contact === "none") return passed(spot, address, null);
    const asks = contact === "ask" && !(await speaksOtherwise(sockets, target));
    const answer = await connectTo(address, port, asks ? "ask" : "connect");
    // Some servers first test on other addresses whether the port is free. One that answers nothing may be doing that.
    if (typeof answer !== "string" && asks && host === null && answer.protocol === null) await sleep(TRIAL_MS);
    if (typeof answer !== "string" && await stillListen(table, sockets)) return passed(spot, address, answer.protocol);
  }
  return foreign ?? (isThere ? wait : elsewhere(spot, rows.map(({ address }) => address)));
}

/** Something answers, but its listener cannot be seen. */
function unseen(where: string, port: number): Verdict {
  const state = `the listener on ${where} belongs to a process that cannot be seen from here`;
  return { kind: "foreign", state, place: { kind: "port", port }, sockets: [] };
}

async function stillListen(table: Sockets, sockets: ListenerRow[]): Promise<boolean> {
  const now = new Set((await table.list())?.map(({ inode }) => inode));
  return sockets.every(({ inode }) => now.has(inode));
}

/** How long such a test may take, in milliseconds. */
const TRIAL_MS = 30;

/** Servers without HTTP that log an error when they get a request. */
const OTHERS = /^(postgres|postmaster|mysqld|mariadbd|redis-server|valkey-server|memcached|mosquitto|mongod)/;

async function speaksOtherwise(sockets: ListenerRow[], { mainPid, roots }: ProbeTarget): Promise<boolean> {
  const scan = scanOf(roots);
  const holds = (pid: number) => sockets.some(({ inode }) => scan.sockets?.socketsOf(pid)?.has(inode));
  const main = scan.read(mainPid);
  if (main !== null && holds(mainPid)) return OTHERS.test(main.name);
  return (await scanForTree(roots)).some(({ pid, name }) => OTHERS.test(name) && holds(pid));
}

function passed({ host, port }: Spot, address: string, protocol: Protocol): Verdict {
  return { kind: "pass", host: host ?? address, address, port, protocol };
}

/** The port is open on other addresses only: to some servers, "localhost" is ::1 alone. */
function elsewhere({ host, port }: Spot, addresses: string[]): Verdict {
  const where = addresses.join(" and ");
  return { kind: "wait", state: `port ${port} is open on ${where}, but not on ${host ?? "loopback"} (see --host)` };
}

/** Time between two searches for a port other than the requested one, in milliseconds. */
const STRAY_EVERY_MS = 700;

/** Age of the node at the first of these searches, in milliseconds. */
const STRAY_AFTER_MS = 300;

/** Whether the node accepts connections on the requested port. Connects once. */
export function tcpProber(probe: Extract<Probe, { type: "tcp" }>): Prober {
  const spot = { host: probe.host, port: probe.port, anyListener: probe.any_listener };
  const check = once(spot);
  let own: OwnPort | null = null;
  let next = STRAY_AFTER_MS;
  return async (target, round) => {
    const verdict = await check(target, round);
    if (verdict.kind !== "wait" || target.known !== null) return verdict;
    if (target.ageMs >= next) {
      next = target.ageMs + STRAY_EVERY_MS;
      own = await findOwnListener(target.mainPid, target.roots, "tree");
    }
    if (own === null) return verdict;
    const { port: stray, addresses } = own;
    if (stray !== probe.port) {
      return { kind: "wait", state: `${verdict.state}, it listens on port ${stray} instead`, stray };
    }
    // Where the table costs a process, it was not read while the requested address refused.
    const wanted = addressesOf(probe.host);
    return addresses.some((address) => isAnyAddress(address) || wanted.includes(address))
      ? verdict
      : elsewhere(spot, addresses);
  };
}

/** Checks that connect until one connection was accepted; a node that was ready before gets none. */
export function once(spot: Spot): (target: ProbeTarget, round: RoundOptions) => Promise<Verdict> {
  let protocol: Protocol | undefined;
  return async (target, round) => {
    const isKnown = target.known !== null || protocol !== undefined;
    const verdict = await checkTcp(spot, target, isKnown ? "none" : round.asks ? "ask" : "connect");
    if (verdict.kind !== "pass") return verdict;
    protocol ??= verdict.protocol ?? null;
    return { ...verdict, protocol };
  };
}

/** Whether the node has written its port, and accepts connections there. */
export function portFileProber(probe: Extract<Probe, { type: "port-file" }>): Prober {
  const checks = new Map<number, ReturnType<typeof once>>();
  return async (target, round) => {
    const before = readPortFile(probe.path);
    if (before === null) return { kind: "wait", state: `"${probe.path}" holds no port yet` };
    const recorded = target.known?.nonce ?? null;
    if (recorded !== null && before.nonce !== null && before.nonce !== recorded) {
      return { kind: "wait", state: `"${probe.path}" carries the nonce of another server` };
    }
    const spot = { host: probe.host, port: before.port, anyListener: probe.any_listener };
    const check = checks.get(before.port) ?? once(spot);
    checks.set(before.port, check);
    const verdict = await check(target, round);
    if (verdict.kind !== "pass") return verdict;
    const after = readPortFile(probe.path);
    if (after?.port !== before.port || after.nonce !== before.nonce) {
      return { kind: "wait", state: `"${probe.path}" is still being written` };
    }
    return { ...verdict, nonce: after.nonce };
  };
}

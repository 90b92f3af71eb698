/**
 * Conditions about a TCP port.
 *
 * @module
 */
import { hostPort } from "../hosts.ts";
import { sleep } from "../timers.ts";
import type { ListenerRow, Sockets } from "../os/types.ts";
import { lookForTree, scanOf } from "../process/tree.ts";
import type { Probe } from "../spec/probes.ts";
import { readPortFile } from "../state/port_files.ts";
import { candidatesOf, listenersFor, ownershipOfSockets } from "../process/listeners.ts";
import { connectTo, type Protocol } from "../process/connect.ts";
import { findOwnListener } from "../process/own_ports.ts";
import type { Look, Prober, ProbeTarget, Verdict } from "./types.ts";

/**
 * How far to go where the kernel says that the node's own socket listens: `look` believes it, `connect` wants its backlog
 * to take a connection, `ask` wants to know what it speaks, too.
 */
export type Contact = "look" | "connect" | "ask";

/** Where the node is to listen; without a host, on any loopback address. */
export interface Spot {
  /** Name or address; `null`: any loopback address. */
  host: string | null;
  /** Port. */
  port: number;
  /** Whether anybody's listener counts. */
  anyListener: boolean;
}

/** Whether the node accepts connections there. */
export async function checkTcp(spot: Spot, subject: ProbeTarget, contact: Contact): Promise<Verdict> {
  const { host, port, anyListener } = spot;
  const where = host === null ? `port ${port}` : hostPort(host, port);
  const wait: Verdict = { kind: "wait", state: `nothing accepts connections on ${where}` };
  const table = scanOf(subject.roots).sockets;
  if (anyListener || table === null) {
    const answer = await connectTo(host, port, contact);
    return typeof answer === "string" ? wait : passed(spot, answer.address, answer.protocol);
  }
  // A connect before anybody listens costs the server's log a line at best; in the ephemeral range it can even meet
  // itself, and then keeps the port from the server.
  const rows = (await table.list()).filter((row) => row.port === port);
  if (rows.length === 0) return wait;
  let foreign: Verdict | null = null;
  let isThere = false;
  for (const candidate of candidatesOf(host, rows)) {
    const isName = !/^[\d.]+$|:/.test(candidate);
    const named = isName ? await connectTo(candidate, port) : null;
    if (typeof named === "string") continue;
    const address = named?.address ?? candidate;
    const sockets = listenersFor(rows, address, port);
    if (sockets.length === 0) continue;
    isThere = true;
    const ownership = await ownershipOfSockets(sockets, subject.mainPid, subject.roots);
    if (ownership.kind === "none") continue;
    if (ownership.kind === "foreign") {
      foreign ??= {
        kind: "foreign",
        state: `the listener on ${where} is not the node's`,
        place: { kind: "port", port },
        sockets: ownership.sockets,
      };
      if (host === null) continue; // it may have another address of the port
      return foreign;
    }
    if (contact === "look") return passed(spot, address, null);
    const asks = contact === "ask" && !(await speaksOtherwise(sockets, subject));
    const answer = await connectTo(address, port, asks ? "ask" : "connect");
    // Some try out whether a port is free, on addresses that they will not stay on. One that answers nothing may be doing so.
    if (typeof answer !== "string" && asks && host === null && answer.protocol === null) await sleep(TRIAL_MS);
    if (typeof answer !== "string" && await stillListen(table, sockets)) return passed(spot, address, answer.protocol);
  }
  return foreign ?? (isThere ? wait : elsewhere(spot, rows));
}

async function stillListen(table: Sockets, sockets: ListenerRow[]): Promise<boolean> {
  const now = new Set((await table.list()).map(({ inode }) => inode));
  return sockets.every(({ inode }) => now.has(inode));
}

/** How long a server may listen on an address that it only tries, in milliseconds. */
const TRIAL_MS = 30;

/** Servers that are known to speak no HTTP, and write a line into their log when they are spoken to in it. */
const OTHERS = /^(postgres|postmaster|mysqld|mariadbd|redis-server|valkey-server|memcached|mosquitto|mongod)/;

async function speaksOtherwise(sockets: ListenerRow[], { mainPid, roots }: ProbeTarget): Promise<boolean> {
  const scan = scanOf(roots);
  const holds = (pid: number) => sockets.some(({ inode }) => scan.sockets?.socketsOf(pid)?.has(inode));
  const main = scan.read(mainPid);
  if (main !== null && holds(mainPid)) return OTHERS.test(main.name);
  return (await lookForTree(roots)).some(({ pid, name }) => OTHERS.test(name) && holds(pid));
}

function passed({ host, port }: Spot, address: string, protocol: Protocol): Verdict {
  return { kind: "pass", host: host ?? address, address, port, protocol };
}

/** What "localhost" means to a server is often ::1 alone. */
function elsewhere({ host, port }: Spot, rows: ListenerRow[]): Verdict {
  const where = rows.map(({ address }) => address).join(" and ");
  return { kind: "wait", state: `port ${port} is open on ${where}, but not on ${host ?? "loopback"} (see --host)` };
}

/** Time between two looks for a port other than the one that was asked for, in milliseconds. */
const STRAY_EVERY_MS = 700;

/** Age from which on a node is looked through for it, in milliseconds. */
const STRAY_AFTER_MS = 300;

/** Whether the node accepts connections on the port that it was given. It is connected to once. */
export function tcpProber(probe: Extract<Probe, { type: "tcp" }>): Prober {
  const spot = { host: probe.host, port: probe.port, anyListener: probe.any_listener };
  const check = once(spot);
  let stray: number | null = null;
  let next = STRAY_AFTER_MS;
  return async (subject, look) => {
    const verdict = await check(subject, look);
    if (verdict.kind !== "wait" || subject.known !== null) return verdict;
    if (subject.ageMs >= next) {
      next = subject.ageMs + STRAY_EVERY_MS;
      const own = await findOwnListener(subject.mainPid, subject.roots, "tree");
      stray = own === null || own.port === probe.port ? null : own.port;
    }
    if (stray === null) return verdict;
    return { kind: "wait", state: `${verdict.state}, it listens on port ${stray} instead`, stray };
  };
}

/** Looks that connect until one of them has been accepted; a node that was ready before is not disturbed. */
export function once(spot: Spot): (subject: ProbeTarget, look: Look) => Promise<Verdict> {
  let protocol: Protocol | undefined;
  return async (subject, look) => {
    const isKnown = subject.known !== null || protocol !== undefined;
    const verdict = await checkTcp(spot, subject, isKnown ? "look" : look.asks ? "ask" : "connect");
    if (verdict.kind !== "pass") return verdict;
    protocol ??= verdict.protocol ?? null;
    return { ...verdict, protocol };
  };
}

/** Whether the node has written its port, and accepts connections there. */
export function portFileProber(probe: Extract<Probe, { type: "port-file" }>): Prober {
  const checks = new Map<number, ReturnType<typeof once>>();
  return async (subject, look) => {
    const before = readPortFile(probe.path);
    if (before === null) return { kind: "wait", state: `"${probe.path}" holds no port yet` };
    const recorded = subject.known?.nonce ?? null;
    if (recorded !== null && before.nonce !== null && before.nonce !== recorded) {
      return { kind: "wait", state: `"${probe.path}" carries the nonce of another server` };
    }
    const spot = { host: probe.host, port: before.port, anyListener: probe.any_listener };
    const check = checks.get(before.port) ?? once(spot);
    checks.set(before.port, check);
    const verdict = await check(subject, look);
    if (verdict.kind !== "pass") return verdict;
    const after = readPortFile(probe.path);
    if (after?.port !== before.port || after.nonce !== before.nonce) {
      return { kind: "wait", state: `"${probe.path}" is still being written` };
    }
    return { ...verdict, nonce: after.nonce };
  };
}

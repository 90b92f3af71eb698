/**
 * Which ports a node's own processes listen on, and which of them is likely to be the one that it is there for.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { ListenerRow } from "../os/rows.ts";
import { lookForTree, type Roots, scanOf } from "./tree.ts";

/** A port that a process of the node listens on. */
export interface OwnPort {
  /** Its number. */
  port: number;
  /** Addresses that it listens on. */
  addresses: string[];
  /** How likely it is the one that is meant. */
  claim: Claim;
  /** Process that listens. */
  holder: number;
}

/**
 * What speaks for a port: the command names it (or `PORT` does), a process of the node was told it, it is at least one
 * that stays, or nothing; `aside`: it is named as something else, such as a port for peers; `tool`: a debugger's, or
 * that of Erlang's distribution, which nobody means.
 */
export type Claim = "named" | "told" | "stays" | "any" | "aside" | "tool";

/** The best first. */
const ORDER: Claim[] = ["named", "told", "stays", "any", "aside", "tool"];

/**
 * The ports that the main process, or the whole tree, listens on; the likeliest first. Of two with the same claim, one
 * that is open to every address comes first, since what is only for the machine itself is often only for its
 * keeper; then the lower one.
 */
export async function findOwnPorts(mainPid: number, roots: Roots, extent: "main" | "tree"): Promise<OwnPort[]> {
  const { sockets } = scanOf(roots);
  if (sockets === null) return [];
  const pids = extent === "main" ? [mainPid] : (await lookForTree(roots)).map(({ pid }) => pid);
  const holders = new Map<number, number>();
  for (const pid of pids) {
    for (const inode of sockets.socketsOf(pid) ?? []) if (!holders.has(inode)) holders.set(inode, pid);
  }
  if (holders.size === 0) return [];
  const rows = new Map<number, ListenerRow[]>();
  for (const row of await sockets.list()) {
    if (holders.has(row.inode)) rows.set(row.port, [...rows.get(row.port) ?? [], row]);
  }
  const ports = Array.from(rows, ([port, rows]): OwnPort => ({
    port,
    addresses: rows.map(({ address }) => address),
    holder: holders.get(rows[0]!.inode)!,
    claim: claimOf(port, mainPid, holders.get(rows[0]!.inode)!),
  }));
  return ports.sort((a, b) =>
    ORDER.indexOf(a.claim) - ORDER.indexOf(b.claim) || Number(isOpen(b)) - Number(isOpen(a)) || a.port - b.port
  );
}

function isOpen({ addresses }: OwnPort): boolean {
  return addresses.some((address) => address === "0.0.0.0" || address === "::");
}

/** The port that the node is likely to be there for; `null` while it listens on none. */
export async function findOwnListener(
  mainPid: number,
  roots: Roots,
  extent: "main" | "tree",
): Promise<OwnPort | null> {
  return (await findOwnPorts(mainPid, roots, extent)).find(({ claim }) => claim !== "tool") ?? null;
}

function claimOf(port: number, mainPid: number, holder: number): Claim {
  const line = system.processes.commandLine(holder);
  const inspected = `${line} ${system.processes.environment(holder, "NODE_OPTIONS") ?? ""}`;
  if (toolPorts(inspected).some((tool) => tool === 0 ? system.sockets!.isEphemeral(port) : tool === port)) {
    return "tool";
  }
  const command = holder === mainPid ? line : system.processes.commandLine(mainPid);
  const named = nameOf(port, command);
  if (named === "port" || system.processes.environment(mainPid, "PORT") === String(port)) return "named";
  const told = holder === mainPid ? named : nameOf(port, line);
  if (told === "port") return "told";
  if (named === "aside" || told === "aside") return "aside";
  return system.sockets!.isEphemeral(port) ? "any" : "stays";
}

/** Ports of other use that a command line or `NODE_OPTIONS` asks for; 0: one that the system chooses. */
export function toolPorts(text: string): number[] {
  const ports: number[] = [];
  // Node's, Deno's, Bun's and workerd's debuggers. The last of several counts, and 9229 is where none is named.
  const inspectors = text.matchAll(
    /(?:^|\s)--inspect(?:or)?(?:-(?:brk|wait|port|addr))?(?:(?:=|(?<=-port|-addr)\s)(?:\S*:)?(\d+)|(?:=\S*)?)(?=\s|$)/g,
  );
  let last: number | null = null;
  for (const [, port] of inspectors) last = port === undefined ? last ?? 9229 : Number(port);
  if (last !== null) ports.push(last);
  // What nodes of Erlang reach each other at.
  for (const [, port] of text.matchAll(/\binet_dist_listen_(?:min|max)\s+(\d+)/g)) ports.push(Number(port));
  return ports;
}

/** Words that call a port something other than the server's own. */
const ASIDE = /peer|admin|metric|manage|mgmt|debug|cluster|gossip/i;

/** What a command line says of a port: its number as a word's whole number, after a word such as `--peer-port` or not. */
export function nameOf(port: number, line: string): "port" | "aside" | null {
  let found: "aside" | null = null;
  const words = line.split(/\s+/);
  for (const [at, word] of words.entries()) {
    const number = new RegExp(`(?<![\\d.])${port}(?![\\d]|\\.\\d)`).exec(word);
    if (number === null || at === 0) continue;
    const flag = word.slice(0, number.index).replace(/\/\/.*/, "") || words[at - 1]!;
    const isFlag = flag.startsWith("-") || /[=:]/.test(flag) || flag === words[at - 1];
    if (!isFlag || at === 1 && flag === words[0] || !ASIDE.test(flag)) return "port";
    found = "aside";
  }
  return found;
}

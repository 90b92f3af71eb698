/**
 * Which ports a node's own processes listen on, and which of them is most likely the server's own.
 *
 * @module
 */
import { isAnyAddress } from "../hosts.ts";
import { system } from "../os/system.ts";
import { type Roots, scanForTree, scanOf } from "./tree.ts";

/** A port that a process of the node listens on. */
export interface OwnPort {
  /** Its number. */
  port: number;
  /** Addresses that it listens on. */
  addresses: string[];
  /** How likely it is the server's own. */
  claim: Claim;
  /** Process that listens. */
  holder: number;
}

/**
 * Why a port may be the server's own. `named`: the command or `PORT` names it; `child`: the command line of another
 * process of the node names it; `stays`: it is outside the ephemeral range; `any`: nothing else is known; `aside`: it
 * is named for another purpose, such as peers; `tool`: of a debugger or Erlang's distribution, which is never the
 * server's own.
 */
export type Claim = "named" | "child" | "stays" | "any" | "aside" | "tool";

/** The best first. */
const ORDER: Claim[] = ["named", "child", "stays", "any", "aside", "tool"];

/**
 * The ports that the main process, or the whole tree, listens on; the likeliest first. Of two with the same claim, the
 * one that is open to all addresses comes first, since a loopback port is often for administration; then the lower one.
 * `null`: not known yet.
 */
export async function findOwnPorts(mainPid: number, roots: Roots, extent: "main" | "tree"): Promise<OwnPort[] | null> {
  const { sockets } = scanOf(roots);
  if (sockets === null) return [];
  const table = await sockets.list();
  if (table === null) return null;
  if (table.length === 0) return [];
  const pids = extent === "main" ? [mainPid] : (await scanForTree(roots)).map(({ pid }) => pid);
  const holders = new Map<number, number>();
  for (const pid of pids) {
    for (const inode of sockets.socketsOf(pid) ?? []) if (!holders.has(inode)) holders.set(inode, pid);
  }
  const rows = Map.groupBy(table.filter(({ inode }) => holders.has(inode)), ({ port }) => port);
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
  return addresses.some(isAnyAddress);
}

/** The port that is most likely the server's own; `null` while it listens on none. */
export async function findOwnListener(
  mainPid: number,
  roots: Roots,
  extent: "main" | "tree",
): Promise<OwnPort | null> {
  return (await findOwnPorts(mainPid, roots, extent))?.find(({ claim }) => claim !== "tool") ?? null;
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
  const own = holder === mainPid ? named : nameOf(port, line);
  if (own === "port") return "child";
  if (named === "aside" || own === "aside") return "aside";
  return system.sockets!.isEphemeral(port) ? "any" : "stays";
}

/** Debugger and distribution ports in a command line or `NODE_OPTIONS`; 0: one that the system chooses. */
export function toolPorts(text: string): number[] {
  const ports: number[] = [];
  // Debuggers of Node, Deno, Bun and workerd. The last of several flags counts; the default is 9229.
  const inspectors = text.matchAll(
    /(?:^|\s)--inspect(?:or)?(?:-(?:brk|wait|port|addr))?(?:(?:=|(?<=-port|-addr)\s)(?:\S*:)?(\d+)|(?:=\S*)?)(?=\s|$)/g,
  );
  let last: number | null = null;
  for (const [, port] of inspectors) last = port === undefined ? last ?? 9229 : Number(port);
  if (last !== null) ports.push(last);
  // The distribution of Erlang.
  for (const [, port] of text.matchAll(/\binet_dist_listen_(?:min|max)\s+(\d+)/g)) ports.push(Number(port));
  return ports;
}

/** Words of flags for ports with another purpose. */
const ASIDE = /peer|admin|metric|manage|mgmt|debug|cluster|gossip/i;

/** Whether a command line contains a port as a whole number; `"aside"` if it follows a flag such as `--peer-port`. */
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

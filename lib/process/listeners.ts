/**
 * Which process owns a listener, and whether that is the node.
 *
 * @module
 */
import { isAbsolute } from "../paths.ts";
import { system } from "../os/system.ts";
import { statOrNull } from "../os/stat.ts";
import { isLocal, isLoopback } from "../hosts.ts";
import type { ListenerRow, UnixListenerRow } from "../os/rows.ts";
import { breathe } from "../os/thread.ts";
import { addressesOf, connectTo, connectToUnix, tryToListen } from "./connect.ts";
import { ATTEMPT_VARIABLE, type Roots, scanForTree, scanOf } from "./tree.ts";

/** A port or a unix socket. */
export type PortOrSocket = { kind: "port"; port: number } | { kind: "socket"; path: string };

/** The process behind a listener that is not the node's. */
export interface Owner {
  /** Its pid; `null` if it cannot be seen (another user's process, another namespace). */
  pid: number | null;
  /** Its command line; empty if unknown. */
  command: string;
  /** User who opened the listener; `null` if unknown. */
  user: string | null;
}

/** An owner as part of a message. */
export function describeOwner(owner: Owner): string {
  if (owner.pid !== null) return `pid ${owner.pid} (${owner.command || "unknown command"})`;
  if (owner.user === null) return "a process that cannot be seen from here";
  return system.self.isUser(owner.user)
    ? "a process of this user that cannot be seen from here, as of another sandbox or container"
    : `a process of user ${owner.user} that this user cannot see`;
}

/**
 * Addresses at which a host may be reached on a port. Servers disagree about `localhost`, so without a host, every loopback
 * address with a listener is tried.
 *
 * @param rows the listeners on the port
 */
export function candidatesOf(host: string | null, rows: ListenerRow[]): string[] {
  const others = host === null ? rows.map(({ address }) => address).filter(isLoopback) : [];
  return [...new Set([...addressesOf(host), ...others])];
}

/** The listeners that a connection to this address reaches: like the kernel, this prefers the most specific address. */
export function listenersFor(rows: ListenerRow[], address: string, port: number): ListenerRow[] {
  const here = rows.filter((row) => row.port === port);
  for (const candidate of address.includes(":") ? [address, "::"] : [address, "0.0.0.0", "::"]) {
    const found = here.filter((row) => row.address === candidate);
    if (found.length > 0) return found;
  }
  return [];
}

/** Sockets of a node: of its main process alone, or of its whole tree. */
async function socketsOfTree(roots: Roots): Promise<Set<number>> {
  const all = new Set<number>();
  for (const row of await scanForTree(roots)) {
    for (const inode of scanOf(roots).sockets?.socketsOf(row.pid) ?? []) all.add(inode);
    await breathe();
  }
  return all;
}

/** A listening socket: its inode, which identifies its owners, and the user of its creator if known. */
export type Socket = Pick<ListenerRow, "inode"> & Partial<Pick<ListenerRow, "user">>;

/** Who owns a listener: the node, no visible process (`none`), or another one. */
export type Ownership =
  | { kind: "ours" }
  | { kind: "none" }
  | { kind: "foreign"; sockets: Socket[] };

/**
 * Whether the listener behind a unix socket's file belongs to the node. If the platform does not show it, the answer is
 * yes; `--verbose` and the README say so.
 *
 * @param mainPid checked first, which usually avoids a scan of all processes
 */
export async function ownershipOfUnixListener(path: string, mainPid: number, roots: Roots): Promise<Ownership> {
  const { sockets } = scanOf(roots);
  if (sockets === null) return { kind: "ours" };
  return await ownershipOfSockets(unixListenersFor(sockets.listUnix() ?? [], path), mainPid, roots);
}

/** The same for these sockets. All of them must belong to the node (SO_REUSEPORT). */
export async function ownershipOfSockets(sockets: Socket[], mainPid: number, roots: Roots): Promise<Ownership> {
  if (sockets.length === 0) return { kind: "none" };
  const own = scanOf(roots).sockets?.socketsOf(mainPid);
  if (sockets.every(({ inode }) => own?.has(inode))) return { kind: "ours" };
  const tree = await socketsOfTree(roots);
  const foreign = sockets.filter(({ inode }) => !tree.has(inode));
  return foreign.length === 0 ? { kind: "ours" } : { kind: "foreign", sockets: foreign };
}

/**
 * The sockets behind a file: by the inode of the file, which also works for a socket that was bound by a relative name or
 * moved. If the kernel does not give it, or a layered file system shows another one, by the name.
 */
export function unixListenersFor(rows: UnixListenerRow[], path: string): UnixListenerRow[] {
  const file = fileInodeOf(path);
  if (file === null) return []; // a listener whose file was removed or replaced cannot be reached there
  const byFile = rows.filter((row) => row.fileInode !== null && row.fileInode === file);
  return byFile.length > 0 ? byFile : rows.filter((row) => row.path === path || isSameFile(row, file));
}

/** A socket may be named by a symbolic link. */
function isSameFile({ path, fileInode }: UnixListenerRow, file: number): boolean {
  return fileInode === null && isAbsolute(path) && fileInodeOf(path) === file;
}

/** The lower 32 bits, as in the kernel's table. */
function fileInodeOf(path: string): number | null {
  const ino = statOrNull(path, { place: "elsewhere" })?.ino ?? null;
  return ino === null ? null : Number(BigInt.asUintN(32, BigInt(ino)));
}

/** The process that owns one of these sockets, by a scan of all descriptors. */
export function ownerOf(wanted: Socket[]): Owner {
  if (wanted.length === 0) return { pid: null, command: "", user: null };
  const user = wanted[0]?.user ?? null;
  for (const process of system.processes.list(ATTEMPT_VARIABLE)) {
    const sockets = system.sockets?.socketsOf(process.pid);
    if (sockets && wanted.some(({ inode }) => sockets.has(inode))) {
      return { pid: process.pid, command: system.processes.commandLine(process.pid), user };
    }
  }
  return { pid: null, command: "", user };
}

/**
 * The owner of a port that a start wants; `null` if the port is free. Without a host, it must be free on all loopback
 * addresses, since it is not known what `localhost` means to the server. Connects only if the kernel's tables do not show a
 * listener.
 */
export async function findOccupant(host: string | null, port: number): Promise<Owner | null> {
  const rows = (await system.sockets?.list() ?? []).filter((row) => row.port === port);
  const near = host === null
    ? rows.filter(({ address }) => isLocal(address))
    : addressesOf(host).flatMap((address) => listenersFor(rows, address, port));
  if (near.length > 0) return ownerOf(near);
  // No table shows a port that the kernel forwards, such as a container's; and a host name is not resolved yet.
  const answer = await connectTo(host, port);
  if (typeof answer === "string") return isTakenUnseen(host, port) ? ownerOf([]) : null;
  return ownerOf(listenersFor(await system.sockets?.list() ?? [], answer.address, port));
}

/** Whether the port is taken although nothing answers there and no owner is visible. */
function isTakenUnseen(host: string | null, port: number): boolean {
  return system.sockets?.sight !== "everybody" && tryToListen(host, port) === "taken";
}

/**
 * The owner of the listener on a unix socket; `null` if there is none. Connects only if the table does not show all
 * listeners.
 */
export async function findUnixOccupant(path: string): Promise<Owner | null> {
  const sockets = unixListenersFor(system.sockets?.listUnix() ?? [], path);
  if (sockets.length > 0) return ownerOf(sockets);
  if (system.sockets?.sight === "everybody") return null;
  return await connectToUnix(path) === "refused" ? null : ownerOf([]);
}

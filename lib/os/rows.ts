/**
 * What an operating system tells: processes, listeners, messages.
 *
 * @module
 */

/** A process that cannot be confused with a later one of the same pid. */
export interface Identity {
  /** Process id, a thread-group leader. */
  pid: number;
  /** When the kernel started it: Linux clock ticks since boot; seconds since 1970 through `ps`. */
  startTime: number;
}

/** One live or zombie process of a scan. */
export interface ProcessRow extends Identity {
  /** Parent process id. */
  ppid: number;
  /**
   * Whether it still runs. A zombie does not; but as long as it has other threads, only its first one has ended, and what
   * it holds, its port for one, is still held.
   */
  isAlive: boolean;
  /** Whether it has been stopped, and takes no other signal until it is continued. */
  isStopped: boolean;
  /** Short command name, as the kernel keeps it. */
  name: string;
}

/** A process with what its environment says. */
export interface ProcessWithVariable extends ProcessRow {
  /** Value of the variable that was asked for; `null` if not set or not to be seen. */
  value: string | null;
}

/** What a process does about signals, and whether it has run. */
export interface SignalState {
  /** Whether it has a handler for this signal. */
  catches(name: Deno.Signal): boolean;
  /** Whether this signal does nothing to it. */
  ignores(name: Deno.Signal): boolean;
  /** Whether its first thread lets this signal wait, to take it in its own time or not at all. */
  blocks(name: Deno.Signal): boolean;
  /** Whether this signal waits to be taken. */
  isPending(name: Deno.Signal): boolean;
  /** Whether its first thread waits for something. The kernel hands it a signal by waking it. */
  isAsleep: boolean;
  /** How often that thread has gone to sleep or was put aside: as long as it sleeps and this stays, it has not run. */
  runs: number;
}

/** One listening TCP socket. */
export interface ListenerRow {
  /** Local address, an IPv4 or IPv6 literal; IPv4-mapped IPv6 appears as IPv4. */
  address: string;
  /** Local port. */
  port: number;
  /** Inode of the socket, the key to the descriptors of its holders. */
  inode: number;
  /** User id of the socket's creator. */
  uid: number;
}

/** One listening unix socket. */
export interface UnixListenerRow {
  /** Inode of the socket, the key to the descriptors of its holders. */
  inode: number;
  /** Name that it was bound to, perhaps a relative one; begins with NUL in the abstract name space. */
  path: string;
  /** Inode of its file, wherever that has been moved, lower 32 bits; `null` where the kernel does not tell. */
  fileInode: number | null;
}

/** A message, and who sent it. */
export interface Datagram {
  /** Process that sent it; 0 if unknown. */
  pid: number;
  /** Its user; -1 if unknown. */
  uid: number;
  /** What it said. */
  text: string;
}

/** A socket that takes messages until it is disposed. */
export interface DatagramSocket extends Disposable {
  /** Its abstract name, without the NUL. */
  readonly name: string;
  /** What has come in since the last look, no more than so many messages; never waits. */
  receive(most: number): Datagram[];
}

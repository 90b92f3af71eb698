/**
 * Rows that the back ends return: processes, listeners, messages.
 *
 * @module
 */

/**
 * A process. Its start time distinguishes it from a later one with the same pid. Only the back end knows the unit of
 * the start time; other code stores it and lets the back end compare it (`sameStart()`, `startedBefore()`,
 * `startedAtMs()` of `System.processes`).
 */
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
   * Whether it still runs. A zombie does not, unless it has other threads: then only its first one has exited, and its
   * descriptors, such as a listener, are still open.
   */
  isAlive: boolean;
  /** Whether it is stopped (SIGSTOP), and handles no other signal until it is continued. */
  isStopped: boolean;
  /** Short command name, as known to the kernel. */
  name: string;
}

/** A process with a variable of its environment. */
export interface ProcessWithVariable extends ProcessRow {
  /** Value of the requested variable; `null` if it is not set or cannot be read. */
  value: string | null;
}

/** Signal handling of a process, and whether it has run. */
export interface SignalState {
  /** Whether it has a handler for this signal. */
  catches(name: Deno.Signal): boolean;
  /** Whether this signal has no effect on it. */
  ignores(name: Deno.Signal): boolean;
  /** Whether its first thread blocks this signal. */
  blocks(name: Deno.Signal): boolean;
  /** Whether this signal is pending. */
  isPending(name: Deno.Signal): boolean;
  /** Whether its first thread is asleep. A signal would wake it. */
  isAsleep: boolean;
  /** Number of context switches of that thread: while it sleeps and this does not change, it has not run. */
  runs: number;
}

/** One listening TCP socket. */
export interface ListenerRow {
  /** Local address, an IPv4 or IPv6 literal; IPv4-mapped IPv6 appears as IPv4. */
  address: string;
  /** Local port. */
  port: number;
  /** Inode of the socket, which identifies its owners. */
  inode: number;
  /** The socket's creator, as the system names users; `null` if unknown. */
  user: string | null;
}

/** One listening unix socket. */
export interface UnixListenerRow {
  /** Inode of the socket, the key to the descriptors of its holders. */
  inode: number;
  /** Name that it was bound to, perhaps relative; an abstract name begins with NUL. */
  path: string;
  /** Lower 32 bits of the inode of its file, even if that was moved; `null` if unknown. */
  fileInode: number | null;
}

/** A message and its sender. */
export interface Datagram {
  /** Process that sent it; 0 if unknown. */
  pid: number;
  /** Its user, as the system names users; `null` if unknown. */
  user: string | null;
  /** Its text. */
  text: string;
}

/** A socket that takes messages until it is disposed. */
export interface DatagramSocket extends Disposable {
  /** Its abstract name, without the NUL. */
  readonly name: string;
  /** The messages since the last call, at most this many. Never blocks. */
  receive(most: number): Datagram[];
}

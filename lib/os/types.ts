/**
 * The operating system, as far as this tool needs it: one interface, one back end for each system.
 *
 * @module
 */
import type { Limits } from "./limits.ts";
import type {
  DatagramSocket,
  Identity,
  ListenerRow,
  ProcessRow,
  ProcessWithVariable,
  SignalState,
  UnixListenerRow,
} from "./rows.ts";
import type { Files, Hints } from "./files.ts";
import type { Launcher, Shell } from "./spawn.ts";

/** Listening sockets and their owners. */
export interface Sockets {
  /**
   * Which listeners are visible: those of all users, or only those of processes whose descriptors this user can read.
   * With `"own"`, reading them also costs a process, and a port without a visible listener may still be taken.
   */
  readonly sight: "everybody" | "own";
  /** The listening TCP sockets of this network namespace; `null` if they cannot be read now. */
  list(): Promise<ListenerRow[] | null>;
  /** The listening unix sockets of this network namespace; `null` if they cannot be read now. */
  listUnix(): UnixListenerRow[] | null;
  /** Inodes of the sockets that a process has open; empty if it is gone, `null` if that cannot be read. */
  socketsOf(pid: number): Set<number> | null;
  /** Whether a connect to this free port may connect to itself. */
  isEphemeral(port: number): boolean;
  /** Whether any process listens on this TCP port of this network namespace. */
  isTaken(port: number): boolean;
}

/** Which processes are wanted. */
export interface MemberQuery {
  /** Values of the variable that prove a process. */
  values: string[];
  /** Recorded processes, dead or alive: launched ones, main processes, daemons. */
  processes: Identity[];
  /** Names of processes to leave alone. */
  exclude: readonly string[];
  /** The log that the launcher opens for what it launches. */
  log: {
    /** Its path. */
    path: string;
    /** Whether a path is the log, or an earlier log. */
    isLog: (path: string) => boolean;
    /** Whether having it open at the launcher's descriptor is a proof. */
    proves: boolean;
  };
  /** Whether a process was proven earlier. */
  isProven(row: Identity): boolean;
  /** Processes that other nodes have recorded, called only if a member has no proof of its own; `null`: unknown. */
  others: (() => Identity[]) | null;
  /** The scan to use. */
  scan: Scan;
}

/** A process that was found to belong to them. */
export interface ProvenRow {
  /** The process. */
  row: ProcessRow;
  /** Whether it has a proof of its own, or only its relation to others. */
  proof: "by itself" | "by others";
}

/** What {@linkcode Processes.killDetached} uses. */
export interface Killing {
  /** The live process of this identity. */
  find(identity: Identity): ProcessRow | null;
  /** All processes. */
  list(): ProcessRow[];
  /** Sends a signal to a process if its pid still stands for it. */
  signal(identity: Identity, name: Deno.Signal): boolean;
}

/** Processes: identity, state, signals. */
export interface Processes {
  /** The process with this pid; `null` if there is none or it is the id of a thread. */
  read(pid: number): ProcessRow | null;
  /** Children of a process, if the system has a cheap way to find them; else none. */
  childrenOf(pid: number): number[];
  /**
   * Every process, each with a variable of its environment. The two are read together, since a process that keeps
   * replacing itself would be gone if all environments were read after all rows.
   */
  list(variable: string): ProcessWithVariable[];
  /** The same, giving way to other work of a program meanwhile. */
  listAsync(variable: string): Promise<ProcessWithVariable[]>;
  /**
   * Sends a signal to a process.
   *
   * @param isStill whether the pid still stands for the intended process; called as late as possible
   * @returns whether it was sent; `false` if the process is gone or belongs to another user
   */
  signal(pid: number, name: Deno.Signal, isStill: () => boolean): boolean;
  /** Whether this user may send signals to a process; also `true` if it is gone. */
  maySignal(pid: number): boolean;
  /**
   * The rows of one scan that belong to the node. Never includes the caller's own process, or a process with another
   * value of the variable.
   */
  members(rows: ProcessWithVariable[], query: MemberQuery): ProvenRow[];
  /** Whether a process belongs to what this one leads since it was launched, itself included. */
  isLedBy(row: ProcessRow, leader: number): boolean;
  /** Whether a signal to one of these processes probably went to the other, too. */
  areTogether(a: ProcessRow, b: ProcessRow): boolean;
  /** Kills a process that was spawned detached, with all that it leads. */
  killDetached(leader: Identity, killing: Killing): void;
  /** Resolves when one of these processes has ended, or after `ms` milliseconds at most; perhaps earlier. */
  untilOneEnds(pids: number[], ms: number): Promise<void>;
  /** Time between two checks of one process that cost next to nothing, in milliseconds. */
  readonly watchEveryMs: number;
  /** Whether two start times of one pid are the same moment, within the precision of the back end. */
  sameStart(a: number, b: number): boolean;
  /** Whether the first was started before the second. */
  startedBefore(a: Identity, b: Identity): boolean;
  /** Start time as milliseconds since 1970, for comparison with file times. */
  startedAtMs(startTime: number): number;
  /** How far off {@linkcode Processes.startedAtMs} may be, in milliseconds. */
  readonly startPrecisionMs: number;
  /** One variable of a process's environment; `null` if not set or not to be seen. */
  environment(pid: number, name: string): string | null;
  /** Whether a process is of this user and in the namespaces of this one, so that a path means the same to both. */
  isNeighbour(pid: number): boolean;
  /** Whether a process holds one of these files open for writing. */
  writesTo(pid: number, isFile: (path: string) => boolean): boolean;
  /** Whether a process has one of these files open for writing on this descriptor. */
  writesAt(pid: number, descriptor: number, isFile: (path: string) => boolean): boolean;
  /** Signal handling of a process; `null` if it is gone or unknown. */
  signalState(pid: number): SignalState | null;
  /** Name of the program that a process runs, for a script that of its interpreter; `null` if unknown. */
  program(pid: number): string | null;
  /** Command line for messages; empty if unknown. */
  commandLine(pid: number): string;
}

/** A scan of the system: each question reads the system, or all are answered from one snapshot. */
export interface Scan {
  /** When the snapshot was taken, in milliseconds since 1970; `null`: each question reads the system. */
  readonly takenAtMs: number | null;
  /** See {@linkcode Processes.read}. */
  read(pid: number): ProcessRow | null;
  /** The live process of this identity; `null` if it is gone or a zombie, or if its pid was reused. */
  find(identity: Identity): ProcessRow | null;
  /** See {@linkcode Processes.environment}. */
  environment(pid: number, name: string): string | null;
  /** See {@linkcode Processes.list}. */
  list(variable: string): ProcessWithVariable[];
  /** See {@linkcode Processes.listAsync}. */
  listAsync(variable: string): Promise<ProcessWithVariable[]>;
  /** Listening sockets; `null` if the system does not show them. */
  readonly sockets: Sockets | null;
}

/** The machine, its boot, and the parts of it that this process sees. */
export interface Host {
  /** Id of this boot; a change means that every recorded process is gone. `null`: not known. */
  boot(): string | null;
  /** Id of this machine. */
  machine(): string;
  /** Id of a namespace of this process; `null` where there are none. */
  namespace(kind: "pid" | "net" | "time" | "mnt"): string | null;
  /**
   * Whether what is launched here outlives the command line that this process belongs to: `false` in a sandbox that ends
   * with it; `null` if unknown.
   */
  outlivesCommand(): boolean | null;
  /** In words, why pids cannot be trusted here; `null` if they can. */
  blindness(): string | null;
  /**
   * Claims a name that only one process of the machine can hold, until it is disposed or the process dies; `null` if
   * another process holds it. On a system without such names, every claim succeeds.
   */
  claim(name: string): Disposable | null;
}

/** This process itself. */
export interface Self {
  /** Whether this is its user, named as in {@linkcode ListenerRow.user}. */
  isUser(user: string): boolean;
  /** Whether its stdout is a file, which no terminal interprets. */
  isStdoutFile(): boolean;
  /** Ends it at this moment, as a crash would. */
  kill(): void;
  /** Exit code of a process that this signal has ended, as shells give it. */
  exitCodeOf(name: Deno.Signal): number;
  /** Whether a signal comes from a key of its terminal, which sends it to the whole foreground group. */
  isFromTerminal(name: Deno.Signal): boolean;
  /** Whether all its arguments are valid UTF-8; `true` if unknown. */
  hasTextArguments(): boolean;
  /** Signals that it was started with as ignored (`nohup`, `&` in scripts). */
  ignoredSignals(): Deno.Signal[];
  /**
   * Another path to stdout (1) or stderr (2), on which writes block; `null` if the descriptor itself blocks, or if
   * there is no such path.
   */
  blockingWriter(descriptor: 1 | 2): { writeSync(bytes: Uint8Array): number } | null;
  /** Whether something may still read what is written to stdout (1) or stderr (2); `true` if unknown. */
  hasReader(descriptor: 1 | 2): boolean;
}

/** The operating system, as far as this tool needs it. Each system has one back end, with the same contract. */
export interface System {
  /** Back end. */
  readonly name: "linux" | "posix";
  /** What it cannot do, each in words that complete "this platform ". */
  readonly limits: Limits;
  /** The machine. */
  readonly host: Host;
  /** This process. */
  readonly self: Self;
  /** All processes. */
  readonly processes: Processes;
  /** Launches servers. */
  readonly launcher: Launcher;
  /** The shell of command lines, and the programs that commands name. */
  readonly shell: Shell;
  /** Files. */
  readonly files: Files;
  /** What helps. */
  readonly hints: Hints;
  /** Listening sockets; `null` if the system does not show them. */
  readonly sockets: Sockets | null;
  /** Listens for messages of a server, under an abstract name; `null` if that is not possible. */
  readyChannel(name: string): DatagramSocket | null;
}

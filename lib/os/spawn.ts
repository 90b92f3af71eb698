/**
 * Starting processes: the launcher of servers, the shell, the programs.
 *
 * @module
 */
import type { Identity } from "./rows.ts";

/** What to launch, and the files that the launcher uses. */
export interface LaunchSpec {
  /** Program and arguments, ready to run. */
  command: string[];
  /** Directory to run it in. */
  cwd: string;
  /** Variables on top of the inherited ones. */
  env: Record<string, string>;
  /** Whether it inherits this process's variables. */
  inherit: "all" | "none";
  /** Variables of this process that it must not inherit. */
  drop: string[];
  /** Its stdin: `/dev/null`, or an input that stays open and empty. */
  input: "none" | "open";
  /** Where the launcher records itself, before anything else. */
  record: string;
  /** The file that must begin with this text once the record is written; else the launcher exits and runs nothing. */
  intent: { path: string; begins: string };
  /** The log to which its output is appended. */
  log: string;
  /** A name for a temporary file of the launcher. */
  scratch: string;
}

/** The process just spawned: the launcher, and after that the server in the same process. */
export interface Launching {
  /** Its pid. It leads everything that it starts. */
  pid: number;
  /** Resolves when it exits. */
  status: Promise<Deno.CommandStatus>;
  /** In words, which variables the server does not get, and why; `null` if it gets all. */
  lost: string | null;
}

/**
 * Launches servers. The launcher writes its record, *then* reads the intent; a starter that takes over writes the
 * intent, *then* reads the records. The second of the two sees what the first wrote, so no server ever runs without a
 * record. (Test: "start recovers when its starter is killed …".)
 */
export interface Launcher {
  /**
   * Spawns the launcher detached: without the caller's terminal and pipes.
   *
   * @throws {Error} the system refuses to run it
   */
  launch(spec: LaunchSpec): Launching;
  /** The process that wrote this record; `null` for anything else, and for a process of an earlier boot. */
  parseRecord(text: string): Identity | null;
  /** Meaning of the exit code of a launcher without a record: which file failed, or that the intent was not its own. */
  failureOf(code: number): "input" | "record" | "superseded" | null;
  /** Whether a launcher with this status could not execute the command, by its last line in the log. */
  couldNotExecute(code: number, lastLine: string): "command-not-executable" | "command-not-found" | null;
}

/** Where to look for a command. */
export interface ResolveOptions {
  /** Directory that the command will run in. */
  cwd: string;
  /** Its `PATH`. */
  path: string;
}

/** Result of looking a command up. */
export type Resolved =
  | { kind: "executable"; path: string }
  | { kind: "no-interpreter"; path: string; interpreter: string }
  /** `by`: as a path, or looked up on `PATH`. */
  | { kind: "not-executable" | "missing"; by: "path" | "name" };

/** The shell that command lines are written for, and the programs that commands name. */
export interface Shell {
  /** Its path, for messages. */
  readonly name: string;
  /** Program and arguments that run a line. */
  words(line: string): [string, ...string[]];
  /** Program and arguments that run a line whose output goes to the end of a log. */
  logging(line: string, log: string): [string, ...string[]];
  /** Program and arguments that run a command whose stdout goes to stderr. */
  toStderr(words: string[]): [string, ...string[]];
  /** The line of a command that is made of {@linkcode Shell.words}; `null`: it is another command. */
  lineOf(command: string[]): string | null;
  /** A word, quoted for it where that is needed. */
  quote(word: string): string;
  /** Whether this is a variable that programs can hardly do without: where to find programs, the home, the language. */
  isBasic(variable: string): boolean;
  /** Looks a command up as the system does. */
  resolve(program: string, options: ResolveOptions): Resolved;
  /** The `PATH` if the environment has none. */
  readonly defaultPath: string;
}

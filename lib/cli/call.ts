/**
 * One call of a command, parsed.
 *
 * @module
 */
import { currentDirectory } from "../os/surroundings.ts";
import type { Output } from "./output.ts";
import { ensureStateDir, findStateDir, stateDirPath } from "../state/state_dir.ts";
import { type NodeDir, nodeDir } from "../state/node_dir.ts";
import { currentWorkspace, nodeNameOf, type Workspace } from "../state/workspace.ts";
import type { Source } from "../spec/source.ts";
import { parseDuration } from "../spec/values.ts";
import { flagAt, type Flags, givenBy } from "./start_flags.ts";

/** What a command is called with. */
export class Call {
  /** A call from its parsed parts. */
  constructor(
    /** Nodes named, validated. */
    readonly nodes: string[],
    /** Flags given. */
    readonly flags: Flags,
    /** The server's command, as it came after `--`; `null` without one. */
    readonly serverCommand: string[] | null,
    /** Where to report. */
    readonly output: Output,
  ) {}

  /** Name of the one node that this call starts: the first that is named, else that of the current directory. */
  get node(): string {
    return this.nodes[0] ?? nodeNameOf(currentDirectory());
  }

  /** What the flags ask for, for a server with this command: program and arguments, or a line for the shell. */
  sourceOf(command: string[] | string): Source {
    const given = givenBy(this.flags).set("command", command);
    return { node: this.node, given, base: currentDirectory, place: flagAt };
  }

  /** The workspace that this call is about. */
  workspace(): Promise<Workspace> {
    return this.#workspace ??= currentWorkspace(this.flags.text("workspace"));
  }

  #workspace: Promise<Workspace> | undefined;

  /** The state directory; `null` if there is none yet. */
  findState(): string | null {
    return findStateDir(this.statePath);
  }

  /** Paths of a node in a state directory that may not exist yet. */
  async nodeDir(node: string, state: "find" | "ensure"): Promise<NodeDir> {
    const path = this.statePath;
    const root = state === "ensure" ? ensureStateDir(path) : findStateDir(path) ?? path;
    return nodeDir(root, (await this.workspace()).id, node);
  }

  /** A duration in milliseconds. */
  duration(flag: string, otherwise: number): number {
    const text = this.flags.text(flag);
    return text === undefined ? otherwise : parseDuration(`--${flag}`, text);
  }

  /** How long to wait for a lock, in milliseconds. */
  get lockTimeoutMs(): number {
    return this.duration("lock-timeout", 30_000);
  }

  /** What to do with state of another machine. */
  get foreign(): "refuse" | "force" {
    return this.flags.has("force") ? "force" : "refuse";
  }

  /** Path of the state directory, whether it exists or not. */
  get statePath(): string {
    return stateDirPath(this.flags.text("state-dir"));
  }
}

/** What a command has to say. */
export interface Result {
  /** Exit code of the process. */
  exitCode: number;
  /** The JSON document. */
  document: unknown;
  /** The same for people, lines for stdout. */
  lines: string[];
  /** `file`: the lines are those of a file that the tool has made; default: words for people. */
  form?: "words" | "file";
  /** Whether it has been printed already. */
  isTold?: true;
}

/** The code of a command. */
export type Run = (call: Call) => Promise<Result>;

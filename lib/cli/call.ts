/**
 * One call of a command, parsed.
 *
 * @module
 */
import { currentDirectory } from "../os/surroundings.ts";
import type { Output } from "./output.ts";
import { LOCK_TIMEOUT_MS, type NodeOptions } from "../engine/request.ts";
import { NodeFinder } from "../state/finder.ts";
import { nodeNameOf } from "../state/workspace.ts";
import type { Source } from "../spec/settings.ts";
import { parseDuration } from "../spec/values.ts";
import { flagAt, type Flags, givenBy } from "./start_flags.ts";

/** The arguments of a command. */
export class Call extends NodeFinder {
  /** A call from its parsed parts. */
  constructor(
    /** Named nodes, validated. */
    readonly nodes: string[],
    /** Flags given. */
    readonly flags: Flags,
    /** The server's command, as it came after `--`; `null` without one. */
    readonly serverCommand: string[] | null,
    /** Where to report. */
    readonly output: Output,
  ) {
    super({
      workspace: flags.text("workspace"),
      stateDir: flags.text("state-dir"),
      tell: (text) => output.info(text),
    });
  }

  /** Name of the single node of this call: the first one named, else the name of the current directory. */
  get node(): string {
    return this.nodes[0] ?? nodeNameOf(currentDirectory());
  }

  /** What the flags ask for, for a server with this command: program and arguments, or a line for the shell. */
  sourceOf(command: string[] | string): Source {
    const given = givenBy(this.flags).set("command", command);
    return { node: this.node, given, base: currentDirectory, place: flagAt };
  }

  /** A duration in milliseconds, as a flag says it. */
  duration(flag: string, otherwise: number): number {
    const text = this.flags.text(flag);
    return text === undefined ? otherwise : parseDuration(`--${flag}`, text);
  }

  /** How to work on nodes. */
  get options(): NodeOptions {
    return {
      lockTimeoutMs: this.duration("lock-timeout", LOCK_TIMEOUT_MS),
      foreign: this.flags.has("force") ? "force" : "refuse",
      reporter: this.output,
    };
  }
}

/** The result of a command. */
export interface Result {
  /** Exit code of the process. */
  exitCode: number;
  /** The JSON document. */
  document: unknown;
  /** The same as lines for stdout. */
  lines: string[];
  /** `file`: the lines are the content of a file; default: words for people. */
  form?: "words" | "file";
  /** Whether it has been printed already. */
  isPrinted?: true;
}

/** The function of a command. */
export type Run = (call: Call) => Promise<Result>;

/**
 * Launching a server: its environment, and the files of its node that the launcher uses.
 *
 * @module
 */
import { lstatOrNull } from "../os/stat.ts";
import { tombstoneError } from "../errors.ts";
import { identityOfChild, system } from "../os/system.ts";
import type { Identity } from "../os/rows.ts";
import type { Launching } from "../os/spawn.ts";
import { launchRecordPath } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { SCHEMA } from "../state/record.ts";
import { ATTEMPT_VARIABLE, NODE_DIR_VARIABLE } from "./tree.ts";

/** What to launch. */
export interface Launch {
  /** Attempt that the tombstone names. */
  attempt: string;
  /** Program and arguments, ready to run. */
  command: string[];
  /** Directory to run it in. */
  cwd: string;
  /** Variables on top of the inherited ones. */
  env: Record<string, string>;
  /** Variables of this process that the server must not inherit. */
  drop: string[];
  /** Whether the server inherits this process's environment or only the harmless part of it. */
  inherit: "all" | "basics";
  /** Port for `$PORT`; `null`: none. */
  port: number | null;
  /** Stdin of the server: `/dev/null`, or an input that stays open and empty. */
  input: "none" | "open";
}

/** Exit status of a process. */
export interface ExitStatus {
  /** Exit code; after a signal, the one that shells give it. */
  code: number;
  /** Signal that killed it, or `null`. */
  signal: string | null;
}

/** The process just spawned: the launcher, and after its `exec` the server. */
export interface Launched {
  /** The process, which leads everything that it starts. */
  readonly leader: Identity;
  /** Its exit status; `null` while it runs. */
  exitStatus: ExitStatus | null;
  /** Resolves when it exits. */
  readonly exited: Promise<void>;
  /** In words, which variables the server does not get, and why; `null` if it gets all. */
  readonly lost: string | null;
}

/** Whether a server inherits a variable of this process. */
export function isInherited(name: string, inherit: Launch["inherit"]): boolean {
  return Deno.env.has(name) && (inherit === "all" || system.shell.isBasic(name));
}

/** The environment that the server gets. */
function serverEnv(dir: NodeDir, launch: Launch): Record<string, string> {
  const basics: Record<string, string> = {};
  if (launch.inherit === "basics") {
    for (const [name, value] of Object.entries(Deno.env.toObject())) {
      if (isInherited(name, launch.inherit)) basics[name] = value;
    }
  }
  return {
    ...basics,
    ...(launch.port === null ? {} : { PORT: String(launch.port) }),
    ...launch.env,
    TOMBSTONE_WORKSPACE: dir.workspace,
    TOMBSTONE_NODE: dir.node,
    [NODE_DIR_VARIABLE]: dir.path,
    [ATTEMPT_VARIABLE]: launch.attempt,
  };
}

/**
 * Spawns the launcher detached.
 *
 * @throws {TombstoneError} the system refuses to run it
 */
export function launch(dir: NodeDir, options: Launch): Launched {
  const { attempt, command, cwd, drop, input } = options;
  let launching: Launching;
  try {
    launching = system.launcher.launch({
      command,
      cwd,
      env: serverEnv(dir, options),
      inherit: options.inherit === "all" ? "all" : "none",
      drop,
      input,
      record: launchRecordPath(dir, attempt),
      intent: { path: dir.starting, begins: JSON.stringify({ schema: SCHEMA, attempt }).slice(0, -1) },
      log: dir.log,
      scratch: `${dir.path}/.stdin.${attempt}.tmp`,
    });
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    throw tombstoneError(`Cannot start "${dir.node}": ${error.message}`, {
      kind: "command-not-executable",
      hint: `check the command and --cwd, then try again with tombstone start ${dir.node}`,
      cause: error,
    });
  }
  const launched: Launched = {
    leader: identityOfChild(launching.pid),
    exitStatus: null,
    lost: launching.lost,
    exited: launching.status.then((status) => {
      launched.exitStatus = { code: status.code, signal: status.signal };
    }),
  };
  return launched;
}

/** Whether the launcher of this attempt has recorded itself. */
export function hasRecord(dir: NodeDir, attempt: string): boolean {
  return (lstatOrNull(launchRecordPath(dir, attempt))?.size ?? 0) > 0;
}

/**
 * The launcher: the few lines of POSIX `sh` between the spawn and the server.
 *
 * It writes its record, *then* reads the tombstone; a starter that takes over writes the tombstone, *then*
 * reads the records. Whichever comes second sees the other, so there is no moment in which a server
 * runs and nobody knows. (Test: "start recovers when its starter is killed …".)
 *
 * @module
 */
import { stateError } from "../errno.ts";
import { tombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { variableText } from "../os/surroundings.ts";
import { launchRecordPath } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { SCHEMA } from "../state/record.ts";
import { findProgram } from "./executable.ts";
import { LOG_DESCRIPTOR } from "../os/posix/members.ts";
import { ATTEMPT_VARIABLE, NODE_DIR_VARIABLE } from "./tree.ts";

/**
 * Exit codes of the launcher itself, as of sysexits.h: 73 the server's input could not be made, 74 its record could not be
 * written, 75 not its tombstone. Its record is not there then.
 */
export const LAUNCHER_EXIT = { inputFailed: 73, recordFailed: 74, superseded: 75 } as const;

/** `$0` of the launcher; how the shell signs its own complaints in the log. */
export const LAUNCHER_NAME = "tombstone-launcher";

// The log is opened before the tombstone is read: who finds that nobody has it open, after having taken the tombstone
// over, knows that nobody is on the way, also in pid namespaces that he cannot see.
// $1 attempt, $2 node directory, $3 beginning of the tombstone; then the command.
// The caller's descriptors are closed: a pipe held by the server would keep the caller from returning. POSIX sh
// can name only those up to 9; should there be others, bash closes them on the way. The names of its variables are
// its own, since one that the environment has is exported with its new value. (bash -p does not read BASH_ENV, which is
// meant for the server.)
const script = (drop: string[], { input }: Pick<Launch, "input">) => `
unset ${drop.join(" ")}
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec ${LOG_DESCRIPTOR}>>"$2/server.log"
${system.launcher.recordScript} || exit ${LAUNCHER_EXIT.recordFailed}
printf '%s\\n' "$_tombstone_stamp" >"$2/launch.$1" || exit ${LAUNCHER_EXIT.recordFailed}
_tombstone_line=
IFS= read -r _tombstone_line <"$2/starting"
case $_tombstone_line in
"$3"*) ;;
*) rm -f "$2/launch.$1"; exit ${LAUNCHER_EXIT.superseded} ;;
esac
${INPUTS[input]}
exec >&${LOG_DESCRIPTOR} 2>&${LOG_DESCRIPTOR}
shift 3
_tombstone_close=
for _tombstone_fd in /dev/fd/*; do
case \${_tombstone_fd##*/} in
[0-9] | '*') ;;
*) _tombstone_close="$_tombstone_close \${_tombstone_fd##*/}>&-" ;;
esac
done
if [ -n "$_tombstone_close" ] && command -v bash >/dev/null; then
exec bash -p -c "exec$_tombstone_close"'; exec "$@"' ${LAUNCHER_NAME} "$@"
fi
exec "$@"
`;

// Opened for reading and writing, a FIFO never ends, since its reader could write to it, too. Nobody needs its name: should
// this shell be killed before it is gone, it is swept like every temporary file.
const INPUTS: Record<Launch["input"], string> = {
  none: "exec </dev/null",
  open: `
_tombstone_input=$2/.stdin.$1.tmp
if command -p mkfifo -m 600 "$_tombstone_input"; then
exec <>"$_tombstone_input"
command -p rm -f "$_tombstone_input"
else
rm -f "$2/launch.$1"; exit ${LAUNCHER_EXIT.inputFailed}
fi`,
};

/** Variables that survive `--clear-env`, besides every `LC_*`. */
const KEPT = ["PATH", "HOME", "LANG", "TERM", "TMPDIR"];

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
  /** Variables of this process that the server does not get. */
  drop: string[];
  /** Whether the server inherits this process's environment or only the harmless part of it. */
  inherit: "all" | "basics";
  /** Port for `$PORT`; `null`: none. */
  port: number | null;
  /** What the server reads from: nothing, or an input that stays open and never has anything. */
  input: "none" | "open";
}

/** How the launched process ended. */
export interface ExitStatus {
  /** Exit code; 128 + n after signal n. */
  code: number;
  /** Signal that ended it, or `null`. */
  signal: string | null;
}

/** The process just spawned: the launcher, and after its `exec` the server. */
export interface Launched {
  /** Its pid, at the same time its process group and session. */
  pid: number;
  /** How it ended, once it has; `null` while it runs. */
  ended: ExitStatus | null;
  /** Resolves when it ends. */
  readonly end: Promise<void>;
  /** Names of variables that the server does not get, since the shell that launches it drops them. */
  readonly lost: string[];
}

/** The environment that the server gets. */
function serverEnv(dir: NodeDir, launch: Launch): Record<string, string> {
  const basics: Record<string, string> = {};
  if (launch.inherit === "basics") {
    for (const [name, value] of Object.entries(Deno.env.toObject())) {
      if (KEPT.includes(name) || name.startsWith("LC_")) basics[name] = value;
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

/** The shell for a launcher, and the variables that it keeps from the server. */
interface Shell {
  /** Program and arguments, up to the script. */
  words: [string, ...string[]];
  /** Names of those variables. */
  lost: string[];
}

/**
 * The shell that launches a server with these variables. dash and busybox drop those whose names are none in a shell,
 * like `A.B` or `my-var`; bash hands them on. (With -p it takes neither functions nor options from them.)
 */
function shellFor(names: string[]): Shell {
  const foreign = names.filter((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (foreign.length === 0) return { words: ["/bin/sh", "-c"], lost: [] };
  const path = `${variableText("PATH") ?? ""}:/bin:/usr/bin:/usr/local/bin`;
  const bash = findProgram("bash", { cwd: "/", path });
  return bash === null ? { words: ["/bin/sh", "-c"], lost: foreign } : { words: [bash, "-p", "-c"], lost: [] };
}

/**
 * Spawns the launcher detached: its own session, nothing of the caller's terminal or pipes.
 *
 * @throws {TombstoneError} the system refuses to run it
 */
export function launch(dir: NodeDir, options: Launch): Launched {
  const tombstoneBegins = JSON.stringify({ schema: SCHEMA, attempt: options.attempt }).slice(0, -1);
  const env = serverEnv(dir, options);
  const { words: [shell, ...flags], lost } = shellFor(
    Object.keys(options.inherit === "basics" ? env : { ...Deno.env.toObject(), ...env }),
  );
  const own = [script(options.drop, options), LAUNCHER_NAME, options.attempt, dir.path, tombstoneBegins];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(shell, {
      args: [...flags, ...own, ...options.command],
      cwd: options.cwd,
      env,
      clearEnv: options.inherit === "basics",
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    throw tombstoneError(`Cannot start "${dir.node}": ${error.message}`, {
      kind: "command-not-executable",
      hint: `check the command and --cwd, then try again with tombstone start ${dir.node}`,
      cause: error,
    });
  }
  child.unref();
  const launched: Launched = {
    pid: child.pid,
    ended: null,
    lost,
    end: child.status.then((status) => {
      launched.ended = { code: status.code, signal: status.signal };
    }),
  };
  return launched;
}

/** Whether the record of this attempt is in place, so that the launcher has come past its check or is about to. */
export function hasRecord(dir: NodeDir, attempt: string): boolean {
  try {
    return Deno.lstatSync(launchRecordPath(dir, attempt)).size > 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw stateError("look at", launchRecordPath(dir, attempt), error);
  }
}

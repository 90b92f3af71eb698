/**
 * The launcher of POSIX systems: the few lines of `sh` between the spawn and the server.
 *
 * @module
 */
import type { Identity } from "../rows.ts";
import type { Launcher, LaunchSpec } from "../spawn.ts";
import { findProgram, SH, shell } from "./shell.ts";
import { LOG_DESCRIPTOR } from "./members.ts";

/** Shell code that prints the identity of the shell. */
export interface Stamp {
  /** POSIX `sh` that sets `_tombstone_stamp` to one line about the running shell, without a fork where possible. */
  script: string;
  /** Reads that line back; `null` for anything else, and for a process of an earlier boot. */
  parse(line: string): Identity | null;
}

/**
 * Exit codes of the launcher itself, after sysexits.h: 73, the server's input could not be made; 74, its record could
 * not be written; 75, the tombstone belongs to another attempt. In each case there is no launch record.
 */
const EXIT = { input: 73, record: 74, superseded: 75 } as const;

/** `$0` of the launcher, with which the shell begins its own error messages in the log. */
const NAME = "tombstone-launcher";

// The log is opened before the tombstone is read. So if a command has taken the tombstone over and no process has the
// log open, no launcher is still running, not even in a pid namespace that the command cannot see. $1 record, $2
// tombstone, $3 its beginning, $4 log, $5 name for a temporary file; then the command. The caller's descriptors are
// closed: a pipe held by the server would keep the caller from returning. POSIX sh can name only those up to 9; if
// there are others, bash closes them. The script's variables have unusual names, because a variable of the environment
// would be exported with its new value. (bash -p does not read BASH_ENV, which is meant for the server.)
const scriptOf = (stamp: Stamp, { drop, input }: LaunchSpec) => `
unset ${drop.join(" ")}
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec ${LOG_DESCRIPTOR}>>"$4"
${stamp.script} || exit ${EXIT.record}
printf '%s\\n' "$_tombstone_stamp" >"$1" || exit ${EXIT.record}
_tombstone_line=
IFS= read -r _tombstone_line <"$2"
case $_tombstone_line in
"$3"*) ;;
*) rm -f "$1"; exit ${EXIT.superseded} ;;
esac
${INPUTS[input]}
exec >&${LOG_DESCRIPTOR} 2>&${LOG_DESCRIPTOR}
shift 5
_tombstone_close=
for _tombstone_fd in /dev/fd/*; do
case \${_tombstone_fd##*/} in
[0-9] | '*') ;;
*) _tombstone_close="$_tombstone_close \${_tombstone_fd##*/}>&-" ;;
esac
done
if [ -n "$_tombstone_close" ] && command -v bash >/dev/null; then
exec bash -p -c "exec$_tombstone_close"'; exec "$@"' ${NAME} "$@"
fi
exec "$@"
`;

// A FIFO that is opened for reading and writing never reaches its end. Its name is needed only for that: if this shell is
// killed before it has removed it, it is swept like every temporary file.
const INPUTS: Record<LaunchSpec["input"], string> = {
  none: "exec </dev/null",
  open: `
if command -p mkfifo -m 600 "$5"; then
exec <>"$5"
command -p rm -f "$5"
else
rm -f "$1"; exit ${EXIT.input}
fi`,
};

/** The shell for a launcher, and the variables that it would drop. */
interface LauncherShell {
  /** Program and arguments, up to the script. */
  words: [string, ...string[]];
  /** Names of those variables. */
  lost: string[];
}

/**
 * The shell that launches a server with these variables. dash and busybox drop variables with names that a shell does not
 * allow, like `A.B` or `my-var`; bash passes them on. (With -p it takes neither functions nor options from variables.)
 */
function shellFor(names: string[], path: string): LauncherShell {
  const foreign = names.filter((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (foreign.length === 0) return { words: [SH, "-c"], lost: [] };
  const bash = findProgram("bash", { cwd: "/", path: `${path}:/bin:/usr/bin:/usr/local/bin` });
  return bash === null ? { words: [SH, "-c"], lost: foreign } : { words: [bash, "-p", "-c"], lost: [] };
}

/** The launcher of a system whose shell prints its identity in this way. */
export function launcherWith(stamp: Stamp): Launcher {
  return {
    launch(spec) {
      const own = spec.inherit === "all" ? Deno.env.toObject() : {};
      const path = own.PATH ?? spec.env.PATH ?? shell.defaultPath;
      const { words: [program, ...flags], lost } = shellFor(Object.keys({ ...own, ...spec.env }), path);
      const files = [spec.record, spec.intent.path, spec.intent.begins, spec.log, spec.scratch];
      const child = new Deno.Command(program, {
        args: [...flags, scriptOf(stamp, spec), NAME, ...files, ...spec.command],
        cwd: spec.cwd,
        env: spec.env,
        clearEnv: spec.inherit === "none",
        stdin: "null",
        stdout: "null",
        stderr: "null",
        detached: true,
      }).spawn();
      child.unref();
      return {
        pid: child.pid,
        status: child.status,
        lost: lost.length === 0 ? null : `${lost.join(", ")}: ${SH} drops such names, and there is no bash`,
      };
    },
    parseRecord: (text) => stamp.parse(text),
    failureOf: (code) => (Object.keys(EXIT) as (keyof typeof EXIT)[]).find((name) => EXIT[name] === code) ?? null,
    couldNotExecute(code, lastLine) {
      if (!lastLine.startsWith(NAME)) return null;
      return code === 126 ? "command-not-executable" : code === 127 ? "command-not-found" : null;
    },
  };
}

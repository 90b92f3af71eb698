/**
 * When the pid namespace of this process ends: with its first process, pid_namespaces(7). Sandboxes give each command a
 * namespace of its own.
 *
 * @module
 */
import { readProc, readProcess } from "./proc.ts";

/** The namespace of the whole machine: `PROC_PID_INIT_INO` of linux/proc_ns.h. */
const MACHINE = "pid:[4026531836]";

/** First processes that end with the first command they run. */
const INITS = ["tini", "docker-init", "dumb-init", "catatonit", "krun-init"];
const SHELLS = ["sh", "bash", "dash", "zsh", "ksh", "ash", "busybox"];
/** Programs that run one command and end with it. */
const WRAPPERS = ["env", "timeout", "nice", "stdbuf", "sudo", "time", "npx"];

/** See `Host.outlivesCommand`. */
export function outlivesCommand(namespace: string | null): boolean | null {
  if (namespace === null || namespace === MACHINE) return namespace === null ? null : true;
  const chain: string[][] = [];
  for (let pid = Deno.pid; pid > 0;) {
    const row = readProcess(pid);
    if (row === null) return null;
    chain.push((readProc(`/proc/${pid}/cmdline`) ?? "").split("\0").slice(0, -1));
    if (pid === 1) return chainOutlives(chain);
    pid = row.ppid;
  }
  return null; // it has entered the namespace from outside
}

/**
 * Whether a namespace outlives the command line that this process belongs to; `null`: unknown.
 *
 * @param chain command lines of this process, its parent and so on, up to the first process of the namespace
 */
export function chainOutlives(chain: string[][]): boolean | null {
  const first = chain.at(-1)!;
  if (chain.length === 1) return false;
  const between = chain.slice(1, -1);
  if (programOf(first) === "bwrap") {
    const options = first.includes("--") ? first.slice(0, first.indexOf("--")) : first;
    if (options.includes("--args")) return null; // they come through a descriptor
    // Without this option it stays until all processes in it have ended; bwrap(1).
    if (!options.includes("--die-with-parent")) return true;
    return between.every(endsWithChild) ? false : null;
  }
  const ends = INITS.includes(programOf(first)) || endsWithChild(first);
  return ends && between.every(endsWithChild) ? false : null;
}

const programOf = (words: string[]) => (words[0] ?? "").split("/").at(-1)!.replace(/^-/, "");

/** Whether a process is known to end with the command that it runs. */
function endsWithChild(words: string[]): boolean {
  const program = programOf(words);
  if (SHELLS.includes(program)) return runsLine(words.slice(program === "busybox" ? 2 : 1));
  // The launcher of the npm package; npm has its whole line as its name.
  return WRAPPERS.includes(program) || /^npm (exec|run|test)\b/.test(words[0] ?? "") ||
    program === "node" && /(^|\/)tombstone(\.[cm]?js)?$/.test(words[1] ?? "");
}

/** Whether a shell with these arguments runs a line (`-c`), instead of a file or what it reads. */
function runsLine(args: string[]): boolean {
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (/^-[a-zA-Z]*c[a-zA-Z]*$/.test(word)) return true;
    if (!/^[-+]/.test(word) || word === "--") return false;
    if (/^[-+][a-zA-Z]*[oO]$/.test(word)) at++;
  }
  return false;
}

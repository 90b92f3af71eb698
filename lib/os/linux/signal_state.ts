/**
 * Signal handling of a process, proc_pid_status(5).
 *
 * @module
 */
import type { SignalState } from "../rows.ts";

/** Signals of signal(7) in the order of their numbers from 1 on, the same on x86-64 and AArch64. */
export const SIGNALS: Deno.Signal[] = [
  ...["SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1"] as const,
  ...["SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP"] as const,
  ...["SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH"] as const,
  ...["SIGIO", "SIGPWR", "SIGSYS"] as const,
];

/** Reads `/proc/PID/status`; `null` if the text is not that of a process. */
export function parseSignalState(text: string): SignalState | null {
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? null;
  const mask = (name: string) => {
    const hex = field(name);
    return hex !== null && /^[0-9a-f]+$/.test(hex) ? BigInt(`0x${hex}`) : 0n;
  };
  const state = field("State");
  if (state === null || field("SigCgt") === null) return null;
  const [ignored, caught, blocked] = [mask("SigIgn"), mask("SigCgt"), mask("SigBlk")];
  const pending = mask("SigPnd") | mask("ShdPnd");
  const has = (set: bigint, name: Deno.Signal) => ((set >> BigInt(SIGNALS.indexOf(name))) & 1n) === 1n;
  // The first process of a pid namespace ignores signals that it does not catch, pid_namespaces(7).
  const isInit = field("NSpid")?.split(/\s+/).at(-1) === "1";
  return {
    catches: (name) => has(caught, name),
    ignores: (name) => has(ignored, name) || isInit && !has(caught | blocked, name),
    blocks: (name) => has(blocked, name),
    isPending: (name) => has(pending, name),
    isAsleep: state.startsWith("S"),
    runs: Number(field("voluntary_ctxt_switches") ?? 0) + Number(field("nonvoluntary_ctxt_switches") ?? 0),
  };
}

/**
 * SIGINT, SIGTERM and SIGHUP while a command works.
 *
 * @module
 */
import { END_SIGNALS, type TombstoneError, tombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";

/** A signal that makes a command clean up and exit. */
export type EndSignal = keyof typeof END_SIGNALS;

/** Aborted by SIGINT, SIGTERM or SIGHUP. */
export interface Interrupt extends Disposable {
  /** Aborted when one has come; its reason is the {@linkcode TombstoneError} to end with, exit code 128 + signal. */
  readonly abort: AbortSignal;
}

/** Listens to the signals until disposed. */
export function listenToSignals(action: string, node: string): Interrupt {
  const controller = new AbortController();
  const signals = new Signals((name) => controller.abort(endedBy(name, action, node)));
  return { abort: controller.signal, [Symbol.dispose]: () => signals[Symbol.dispose]() };
}

/** Signals that the caller has set to be ignored, read once: the first listener changes what the system reports. */
let ignored: Deno.Signal[] | undefined;

/** Keeps those signals ignored for the life of this process. */
function keepIgnored(): Deno.Signal[] {
  if (ignored !== undefined) return ignored;
  ignored = system.self.ignoredSignals();
  // From its first listener on, Deno catches every terminating signal, and exits on those that have no listener.
  for (const name of ignored) Deno.addSignalListener(name, () => {});
  return ignored;
}

/**
 * The signals, for a command whose reaction to them changes while it works. One listener stays for the whole time, since
 * between two listeners a signal would kill the process. Signals that the caller ignores (`nohup`) stay ignored.
 */
export class Signals implements Disposable {
  readonly #handlers: (readonly [EndSignal, () => void])[];
  /** Handles a signal; may be replaced at any time. */
  answer: (name: EndSignal) => void;

  /** Listens until disposed. */
  constructor(answer: (name: EndSignal) => void) {
    this.answer = answer;
    const ignored = keepIgnored();
    this.#handlers = (Object.keys(END_SIGNALS) as EndSignal[])
      .filter((name) => !ignored.includes(name))
      .map((name) => [name, () => this.answer(name)] as const);
    for (const [name, handler] of this.#handlers) Deno.addSignalListener(name, handler);
  }

  /** Restores the default behaviour. */
  [Symbol.dispose](): void {
    for (const [name, handler] of this.#handlers) Deno.removeSignalListener(name, handler);
  }
}

/**
 * Within this time, a repeated signal is ignored, in milliseconds: npm passes a Ctrl-C on to its script, which has
 * already got it from the terminal.
 */
const ECHO_MS = 500;

/** Tells a second signal, which means "at once", from an echo of the first. */
export class Echoes {
  #first: { name: EndSignal; at: number } | null = null;

  /** Whether a signal that has just come repeats the first. */
  isEcho(name: EndSignal): boolean {
    const first = this.#first;
    this.#first ??= { name, at: performance.now() };
    return first !== null && first.name === name && performance.now() - first.at < ECHO_MS;
  }
}

/** The error of a command that a signal has ended. */
export function endedBy(name: EndSignal, action: string, node: string): TombstoneError {
  return tombstoneError(`Cannot ${action} "${node}": ended by ${name}`, {
    kind: "signalled",
    hint: `tombstone status ${node}; then run the same command again`,
    details: { signal: name },
  });
}

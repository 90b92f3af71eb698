/**
 * Being told to end while at work.
 *
 * @module
 */
import { END_SIGNALS, type TombstoneError, tombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";

/** A signal that ends a command in good order. */
export type EndSignal = keyof typeof END_SIGNALS;

/** Tells that SIGINT, SIGTERM or SIGHUP has come. */
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

/** Those that the caller had set to be ignored; after the first listener the system no longer tells. */
let ignored: Deno.Signal[] | undefined;

/** The signals that stay ignored, for as long as this process lives. */
function keepIgnored(): Deno.Signal[] {
  if (ignored !== undefined) return ignored;
  ignored = system.self.ignoredSignals();
  // With its first listener Deno catches every signal that it knows how to end by, and ends by those without a listener.
  for (const name of ignored) Deno.addSignalListener(name, () => {});
  return ignored;
}

/**
 * The signals, for a command whose answer to them changes while it works: between one answer and the next there must be
 * no moment in which a signal ends the process. Those that the caller has set to be ignored (`nohup`) stay ignored.
 */
export class Signals implements Disposable {
  readonly #handlers: (readonly [EndSignal, () => void])[];
  /** What is done about a signal, from now on. */
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

  /** Leaves the signals to the system again. */
  [Symbol.dispose](): void {
    for (const [name, handler] of this.#handlers) Deno.removeSignalListener(name, handler);
  }
}

/** The error of a command that a signal has ended. */
export function endedBy(name: EndSignal, action: string, node: string): TombstoneError {
  return tombstoneError(`Cannot ${action} "${node}": ended by ${name}`, {
    kind: "signalled",
    hint: `tombstone status ${node}; the same command begins anew`,
    details: { signal: name },
  });
}

/**
 * Being told to end while at work.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { platform } from "../os/platform.ts";

/** A signal that ends a command in good order. */
export type EndSignal = "SIGHUP" | "SIGINT" | "SIGTERM";

/** Their numbers, of signal(7). */
const NUMBERS: Record<EndSignal, number> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** Tells that SIGINT, SIGTERM or SIGHUP has come. */
export interface Interrupt extends Disposable {
  /** Aborted when one has come; its reason is the {@linkcode TombstoneError} to end with, exit code 128 + signal. */
  readonly abort: AbortSignal;
}

/** Listens to the signals until disposed. */
export function listenToSignals(action: string, node: string): Interrupt {
  const controller = new AbortController();
  const listener = listenToEach((name) => controller.abort(endedBy(name, action, node)));
  return { abort: controller.signal, [Symbol.dispose]: () => listener[Symbol.dispose]() };
}

/** Calls for each signal that comes; those that the caller has set to be ignored (`nohup`) stay ignored. */
export function listenToEach(call: (name: EndSignal) => void): Disposable {
  const ignored = platform.ignoredSignals();
  const handlers = (Object.keys(NUMBERS) as EndSignal[])
    .filter((name) => !ignored.includes(name))
    .map((name) => [name, () => call(name)] as const);
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  return {
    [Symbol.dispose]() {
      for (const [name, handler] of handlers) Deno.removeSignalListener(name, handler);
    },
  };
}

/** The error of a command that a signal has ended. */
export function endedBy(name: EndSignal, action: string, node: string): TombstoneError {
  return new TombstoneError(`Cannot ${action} "${node}": ended by ${name}`, {
    kind: "signalled",
    hint: `tombstone ${action} ${node} begins anew`,
    exitCode: 128 + NUMBERS[name],
    details: { signal: name },
  });
}

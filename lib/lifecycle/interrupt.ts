/**
 * Being told to end while at work.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { platform } from "../os/platform.ts";

/** Signals that end a start in good order; numbers of signal(7). */
const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Tells that SIGINT, SIGTERM or SIGHUP has come. */
export interface Interrupt extends Disposable {
  /** Aborted when one has come; its reason is the {@linkcode TombstoneError} to end with, exit code 128 + signal. */
  readonly abort: AbortSignal;
}

/** Listens to the signals until disposed; those that the caller has set to be ignored (`nohup`) stay ignored. */
export function listenToSignals(action: string, node: string): Interrupt {
  const controller = new AbortController();
  const ignored = platform.ignoredSignals();
  const handlers = (Object.keys(NUMBERS) as (keyof typeof NUMBERS)[])
    .filter((name) => !ignored.includes(name))
    .map((name) => [name, () => controller.abort(endedBy(name, action, node))] as const);
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  return {
    abort: controller.signal,
    [Symbol.dispose]() {
      for (const [name, handler] of handlers) Deno.removeSignalListener(name, handler);
    },
  };
}

function endedBy(name: keyof typeof NUMBERS, action: string, node: string): TombstoneError {
  return new TombstoneError(`Cannot ${action} "${node}": ended by ${name}`, {
    kind: "signalled",
    hint: `tombstone ${action} ${node} begins anew`,
    exitCode: 128 + NUMBERS[name],
    details: { signal: name },
  });
}

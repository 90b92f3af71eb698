/**
 * `tombstone doctor`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT } from "../../errors.ts";
import { runChecks } from "../../engine/doctor.ts";

/** Runs the command. */
export function run(call: Call): Promise<Result> {
  const { good, bad, help } = call.output.paint;
  const checks = runChecks(call.statePath, () => call.findState());
  const lines = checks.flatMap(({ ok, message, hint }) => [
    `${ok ? good("ok   ") : bad("wrong")}  ${message}`,
    ...(hint === null ? [] : [`       ${help("hint:")} ${hint}`]),
  ]);
  const isWell = checks.every(({ ok }) => ok);
  return Promise.resolve({ exitCode: isWell ? EXIT.ok : EXIT.failed, document: { ok: isWell, checks }, lines });
}

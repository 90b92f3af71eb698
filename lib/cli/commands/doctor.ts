/**
 * `tombstone doctor`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT } from "../../errors.ts";
import { withPlace } from "../place.ts";
import { runChecks } from "../../engine/doctor.ts";

/** Runs the command. */
export function run(call: Call): Promise<Result> {
  const { good, bad, help } = call.output.paint;
  const { place } = call.output;
  const checks = runChecks(call.statePath, () => call.findState())
    .map((check) => ({ ...check, hint: check.hint === null ? null : withPlace(check.hint, place) }));
  const lines = checks.flatMap(({ ok, message, hint }) => [
    `${ok ? good("ok   ") : bad("wrong")}  ${message}`,
    ...(hint === null ? [] : [`       ${help("hint:")} ${hint}`]),
  ]);
  const isWell = checks.every(({ ok }) => ok);
  return Promise.resolve({ exitCode: isWell ? EXIT.ok : EXIT.failed, document: { ok: isWell, checks }, lines });
}

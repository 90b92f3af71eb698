/**
 * `tombstone restart`.
 *
 * @module
 */
import type { Call, Result } from "../cli/call.ts";
import { parseEnv } from "../cli/values.ts";
import { EXIT, TombstoneError, usageError } from "../errors.ts";
import { collectEvidence, judge } from "../lifecycle/judge.ts";
import { requireExecutable } from "../process/resolve_command.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { RunOwner } from "../state/records.ts";
import { type Settings, settingsOf } from "../state/settings.ts";
import { pathOf, startAndTell } from "./start.ts";

/**
 * Runs the command. It is one start that replaces what runs, so that a restart killed half-way leaves a tombstone
 * that still knows the command.
 */
export async function run(call: Call): Promise<Result> {
  const given = parseEnv("--env", call.flags.texts("env"));
  const dir = await call.nodeDir(call.node, "find");
  const { settings: recorded, run } = findRecorded(dir);
  const env = completeEnv(dir, recorded, given);
  const settings = {
    ...recorded,
    timeout_ms: call.duration("timeout", recorded.timeout_ms),
    env_names: Object.keys(env),
  };
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: pathOf(env) });
  return await startAndTell(call, { dir, settings, env, running: "replace", lockTimeoutMs: call.lockTimeoutMs, run });
}

/** What the node was last started with, from its commit record or, if it never came that far, from the tombstone. */
function findRecorded(dir: NodeDir): { settings: Settings; run: RunOwner | null } {
  const evidence = collectEvidence(dir);
  const { info, tombstone } = evidence;
  const judgement = judge(evidence);
  // A node that belongs to a run goes on to do so.
  const run = judgement.kind === "running" ? judgement.info.run : null;
  for (const found of [tombstone, info]) {
    if (found.kind === "record" && found.record.command.length > 0) return { settings: settingsOf(found.record), run };
  }
  throw new TombstoneError(`Cannot restart "${dir.node}": no command is recorded for it`, {
    kind: "nothing-there",
    hint: `tombstone start ${dir.node} -- COMMAND [ARG...]`,
    exitCode: EXIT.nothing,
    details: { workspace: dir.workspace, node: dir.node },
  });
}

/** Values of variables are never recorded, so those given with `--env` come from this call or its environment. */
function completeEnv(dir: NodeDir, recorded: Settings, given: Record<string, string>): Record<string, string> {
  const env: Record<string, string> = { ...given };
  const missing: string[] = [];
  for (const name of recorded.env_names) {
    const value = env[name] ?? Deno.env.get(name);
    if (value === undefined) missing.push(name);
    else env[name] = value;
  }
  if (missing.length === 0) return env;
  throw usageError(
    `Cannot restart "${dir.node}": it was started with --env ${missing.join(", ")}, whose value is not recorded`,
    `tombstone restart ${dir.node} ${missing.map((name) => `--env ${name}=VALUE`).join(" ")}`,
  );
}

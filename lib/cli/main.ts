/**
 * From the command line to an exit code: finds the command, parses, runs, prints.
 *
 * @module
 */
import { commandHelp, generalHelp } from "./help.ts";
import { ownThread } from "../os/thread.ts";
import { requireText } from "../os/surroundings.ts";
import { requireSystem } from "../os/system.ts";
import { systemError } from "../os/errno.ts";
import { EXIT, type TombstoneError, tombstoneError } from "../errors.ts";
import { Output, outputMode } from "./output.ts";
import { VERSION } from "../version.ts";
import { Call, type Result, type Run } from "./call.ts";
import { placeOf } from "./place.ts";
import { findCommand, parse, splitAtCommand } from "./parse.ts";

/** The function of each command, loaded when it is called: loading all of them would slow every call down. */
const LOADERS: Record<string, () => Promise<{ run: Run }>> = {
  start: () => import("./commands/start.ts"),
  stop: () => import("./commands/stop.ts"),
  restart: () => import("./commands/restart.ts"),
  status: () => import("./commands/status.ts"),
  list: () => import("./commands/list.ts"),
  logs: () => import("./commands/logs.ts"),
  env: () => import("./commands/env.ts"),
  forget: () => import("./commands/forget.ts"),
  wait: () => import("./commands/wait.ts"),
  run: () => import("./commands/run.ts"),
  up: () => import("./commands/up.ts"),
  sweep: () => import("./commands/sweep.ts"),
  init: () => import("./commands/init.ts"),
  export: () => import("./commands/export.ts"),
  doctor: () => import("./commands/doctor.ts"),
  completions: () => import("./commands/completions.ts"),
};

/** Runs the tool with these arguments; resolves to the exit code. Expected errors are printed, never thrown. */
export async function main(argv: string[]): Promise<number> {
  ownThread();
  const output = new Output(outputMode(argv));
  try {
    const result = await run(argv, output);
    if (!result.isPrinted) output.result(result.document, result.lines, result.form);
    return result.exitCode;
  } catch (error) {
    return output.fail(error instanceof Deno.errors.NotCapable ? notPermitted(error) : systemError(error));
  } finally {
    output.close();
  }
}

function notPermitted(error: Error): TombstoneError {
  return tombstoneError(`Cannot work without Deno's permissions: ${error.message.split(",")[0]}`, {
    kind: "unsupported",
    hint: "run it with deno run -A",
    cause: error,
  });
}

async function run(argv: string[], output: Output): Promise<Result> {
  requireText(argv);
  const { before, name, rest: after } = splitAtCommand(argv);
  const rest = [...before, ...after];
  if (name === "--version" || name === "-V") {
    return { exitCode: EXIT.ok, document: { version: VERSION }, lines: [`tombstone ${VERSION}`] };
  }
  const beforeCommand = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  const isHelp = name === "help" || beforeCommand.includes("--help") || beforeCommand.includes("-h");
  const about = name === "help" ? after.find((word) => !word.startsWith("-")) : name;
  if (about === undefined || isHelp) {
    const lines = about === undefined ? generalHelp() : commandHelp(await findCommand(about));
    return { exitCode: isHelp ? EXIT.ok : EXIT.usage, document: { help: lines.join("\n") }, lines };
  }
  const command = await findCommand(about);
  const parsed = await parse(command, rest);
  output.place = placeOf(parsed.flags);
  requireSystem(about);
  const { run } = await LOADERS[command.name]!();
  const call = new Call(parsed.nodes, parsed.flags, parsed.serverCommand, output);
  const leases = call.flags.has("dry-run") ? "kept" : command.leases;
  let isLeft = leases === "ended after";
  if (leases === "ended before") await endLeases(call, "too");
  if (leases === "ended around") isLeft = await endLeases(call, "to the command");
  const result = await run(call);
  if (isLeft) await endLeases(call, "too");
  return result;
}

/** Loaded only by the commands that do so. */
async function endLeases(call: Call, own: "too" | "to the command"): Promise<boolean> {
  return await (await import("./leases.ts")).endOver(call, own);
}

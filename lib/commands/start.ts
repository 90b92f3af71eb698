/**
 * `tombstone start`.
 *
 * @module
 */
import { resolve } from "@std/path/posix/resolve";
import type { Call, Result } from "../cli/call.ts";
import { parseEnv, parsePort, parseSignal } from "../cli/values.ts";
import { EXIT, usageError } from "../errors.ts";
import { reportOfInfo } from "../lifecycle/inspect.ts";
import { listenToSignals } from "../lifecycle/interrupt.ts";
import type { Started, StartRequest } from "../lifecycle/request.ts";
import { start } from "../lifecycle/start.ts";
import { platform } from "../os/platform.ts";
import { requireExecutable } from "../process/resolve_command.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { DEFAULTS, type Probe, type Settings } from "../state/settings.ts";
import { address } from "./render.ts";

/** Runs the command. */
export async function run(call: Call): Promise<Result> {
  const settings = readFlags(call);
  const env = parseEnv("--env", call.flags.texts("env"));
  requireExecutable(settings.command[0]!, { cwd: settings.cwd, path: pathOf(env) });
  const { lockTimeoutMs } = call;
  const running = call.flags.has("replace") ? "replace" : "keep";
  // The last mistake that a command line can hold is known by now; from here on there is state.
  const dir = await call.nodeDir(call.node, "ensure");
  return await startAndTell(call, { dir, settings, env, running, lockTimeoutMs });
}

/** Starts, and tells of it at the moment of the commit: what remains then is only clean-up. */
export async function startAndTell(
  call: Call,
  request: Pick<StartRequest, "dir" | "settings" | "env" | "running" | "lockTimeoutMs">,
): Promise<Result> {
  const { foreign, output: teller } = call;
  using interrupt = listenToSignals("start", call.node);
  let told: Result | null = null;
  const started = await start({
    ...request,
    workspace: await call.workspace(),
    foreign,
    teller,
    abort: interrupt.abort,
    onCommit: (started) => {
      told = { ...resultOf(request.dir, started), isTold: true };
      call.output.result(told.document, told.lines);
    },
  });
  return told ?? resultOf(request.dir, started);
}

function resultOf(dir: NodeDir, { started, info, recovered }: Started): Result {
  const report = reportOfInfo(dir, info, "running");
  const where = address(report) === null ? "" : ` on ${address(report)}`;
  const line = started
    ? `started "${dir.node}" (pid ${info.pid})${where} in ${info.ready_ms} ms`
    : `"${dir.node}" is already running (pid ${info.pid})${where}`;
  return { exitCode: EXIT.ok, document: { ...report, ready: true, started, recovered }, lines: [line] };
}

/** The `PATH` that the server's command is looked up on. */
export function pathOf(env: Record<string, string>): string {
  return env.PATH ?? Deno.env.get("PATH") ?? "/usr/local/bin:/usr/bin:/bin";
}

/** Largest file that may be a port file or pid file of an earlier run, in bytes. */
const SMALL = 4096;

function readFlags(call: Call): Settings {
  const { flags, serverCommand } = call;
  if (serverCommand.length === 0) {
    throw usageError(
      `Cannot start "${call.node}": no command after --`,
      `tombstone start ${call.node} -- COMMAND [ARG...]`,
    );
  }
  const path = (flag: string) => flags.texts(flag).map((value) => fromHere(value));
  const cwd = fromHere(flags.text("cwd") ?? ".");
  requireDirectory(cwd);
  const host = flags.text("host") ?? DEFAULTS.host;
  const port = flags.text("port");
  const portRequest = port === undefined ? null : parsePort("--port", port);
  const pidFile = path("pid-file")[0] ?? null;
  for (const file of path("sweep-file")) requireSweepable("--sweep-file", file, Infinity);
  for (const file of path("port-file")) requireSweepable("--port-file", file, SMALL);
  for (const file of path("pid-file")) requireSweepable("--pid-file", file, SMALL);
  return {
    command: serverCommand,
    cwd,
    host,
    port_request: portRequest,
    probes: readProbes(call, host, portRequest, path("port-file")[0]),
    timeout_ms: call.duration("timeout", DEFAULTS.timeout_ms),
    stop: {
      signal: parseSignal("--stop-signal", flags.text("stop-signal") ?? DEFAULTS.stop.signal),
      timeout_ms: call.duration("stop-timeout", DEFAULTS.stop.timeout_ms),
      command: flags.text("stop-command") ?? null,
    },
    sweep_files: path("sweep-file"),
    pid_file: pidFile,
    spare: flags.texts("spare"),
    env_names: Object.keys(parseEnv("--env", flags.texts("env"))),
    clear_env: flags.has("clear-env"),
  };
}

function readProbes(call: Call, host: string, port: number | null, portFile: string | undefined): Probe[] {
  const { flags } = call;
  const any_listener = flags.has("any-listener");
  const noProbe = flags.has("no-probe");
  if (noProbe && portFile !== undefined) {
    throw usageError("Cannot use --no-probe with --port-file: the port file is a probe", "leave one of them out");
  }
  const probes: Probe[] = [];
  if (port !== null && !noProbe) probes.push({ type: "tcp", host, port, any_listener });
  if (portFile !== undefined) probes.push({ type: "port-file", host, path: portFile, any_listener });
  if (noProbe || flags.text("alive-for") !== undefined) {
    probes.push({ type: "alive", for_ms: call.duration("alive-for", 200) });
  }
  if (probes.length > 0) return probes;
  if (platform.listeners === null) {
    throw usageError(
      `Cannot start "${call.node}" without a probe: this platform does not tell which ports a process listens on`,
      "say when it is ready with --port N, --port-file PATH or --no-probe",
    );
  }
  return [{ type: "discover" }];
}

/** An absolute path. Left to find the current directory itself, `resolve` loads Node's `process`, some 11 ms. */
function fromHere(path: string): string {
  return resolve(Deno.cwd(), path);
}

function lookAt(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error) return null; // missing, or not to be seen
    throw error;
  }
}

function requireDirectory(path: string): void {
  if (lookAt(path)?.isDirectory) return;
  throw usageError(`Cannot use "${path}" for --cwd: no such directory`, "name an existing directory with --cwd");
}

/** Declared files are removed; a slip of the pen must not cost a directory or a document. */
function requireSweepable(flag: string, path: string, largest: number): void {
  const info = lookAt(path);
  if (info?.isDirectory) {
    throw usageError(`Cannot use "${path}" for ${flag}: it is a directory, and only files are swept`, `${flag} FILE`);
  }
  if (info !== null && info.size > largest) {
    throw usageError(
      `Cannot use "${path}" for ${flag}: it exists and is ${info.size} bytes long, so it is no such file`,
      `name the file that the server writes with ${flag}`,
    );
  }
}

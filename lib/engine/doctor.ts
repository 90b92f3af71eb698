/**
 * Checks for problems of this system, and for leftovers of dead starts and servers.
 *
 * @module
 */
import { errnoOf, stateError } from "../os/errno.ts";
import { TombstoneError } from "../errors.ts";
import { system } from "../os/system.ts";
import { basename, dirname, isAbsolute } from "../paths.ts";
import { ALWAYS_EXCLUDED, ATTEMPT_VARIABLE, NODE_DIR_VARIABLE } from "../process/tree.ts";
import type { Identity } from "../os/rows.ts";
import { allNodes, type NodeDir } from "../state/node_dir.ts";
import { readLaunchRecords } from "../state/launch_record.ts";
import { goneDirectoryOf, stopCommand } from "./gone_directory.ts";
import { lookAt, readNodeFiles } from "./state.ts";

/** One check and its result. */
export interface Check {
  /** What was checked. */
  name: "state-directory" | "locks" | "processes" | "listeners" | "launcher" | "node" | "orphan";
  /** Whether there is no problem. */
  ok: boolean;
  /** What was found. */
  message: string;
  /** The command that fixes it; `null` if there is nothing to fix. */
  hint: string | null;
}

const well = (name: Check["name"], message: string): Check => ({ name, ok: true, message, hint: null });
const wrong = (name: Check["name"], message: string, hint: string): Check => ({ name, ok: false, message, hint });

/**
 * Runs all checks. Changes nothing; it removes the one file that it writes.
 *
 * @param path the state directory, as named
 * @param find finds it; `null` if there is none yet
 */
export function runChecks(path: string, find: () => string | null): Check[] {
  let state: string | null;
  try {
    state = find();
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    return [wrong("state-directory", error.message, error.hint), ...checkSystem()];
  }
  const own = state === null
    ? [well("state-directory", `"${path}" does not exist yet; the first start makes it`)]
    : checkStateDir(state);
  const nodes = state === null ? [] : [...allNodes(state)];
  return [...own, ...checkSystem(), ...nodes.map(checkNode), ...findOrphans(nodes)];
}

function checkStateDir(state: string): Check[] {
  const probe = `${state}/.doctor.${crypto.randomUUID()}.tmp`;
  try {
    using file = Deno.openSync(probe, { read: true, write: true, createNew: true, ...system.files.privateFile });
    file.writeSync(new Uint8Array([10]));
    file.syncSync();
    const written = well("state-directory", `"${state}" can be written`);
    if (!file.tryLockSync(true)) return [written, NO_LOCKS];
    using other = Deno.openSync(probe, { read: true, write: true });
    // A file system without real locks grants both.
    return [written, other.tryLockSync(true) ? NO_LOCKS : well("locks", "file locks work")];
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    const expected = stateError("write", probe, error) as TombstoneError;
    return [wrong("state-directory", expected.message, expected.hint)];
  } finally {
    removeQuietly(probe);
  }
}

const NO_LOCKS = wrong(
  "locks",
  "the file system of the state directory has no locks, so two starts may run at once",
  "choose a local disk with --state-dir or TOMBSTONE_STATE_DIR",
);

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (errnoOf(error) === null) throw error; // it was never made, or the failing disk has been reported already
  }
}

function checkSystem(): Check[] {
  const self = system.processes.read(Deno.pid);
  const limits = Object.values(system.limits);
  const processes = self === null
    ? wrong("processes", "this process cannot see itself in the process table", system.hints.showProcesses)
    : system.processes.read(1) === null
    ? wrong(
      "processes",
      "processes of other users are hidden (hidepid), so a stranger on a port cannot be named",
      system.hints.showOthers,
    )
    : well(
      "processes",
      limits.length === 0 ? "processes and their descendants can be told apart" : `this platform ${limits.join("; ")}`,
    );
  const listeners = system.sockets === null
    ? well("listeners", "this platform does not show the owner of a listening port")
    : well("listeners", "the owner of a listening port can be found");
  return [processes, listeners, checkLauncher()];
}

function checkLauncher(): Check {
  const { name } = system.shell;
  return system.shell.resolve(name, { cwd: "", path: "" }).kind === "executable"
    ? well("launcher", `${name} can be executed`)
    : wrong("launcher", `${name} cannot be executed, and every server is launched by it`, system.hints.installShell);
}

/** Checks one node. */
function checkNode(dir: NodeDir): Check {
  const where = `${dir.node} --workspace ${dir.workspace}`;
  const name = `"${dir.node}" of ${dir.workspace}`;
  const sweep = `tombstone sweep ${where}`;
  try {
    const { nodeState } = lookAt(dir);
    switch (nodeState.kind) {
      case "stopped":
        return well("node", `${name} is stopped`);
      case "running": {
        const gone = goneDirectoryOf(dir, nodeState.info);
        if (gone !== null) {
          const pid = nodeState.info.pid;
          return wrong("node", `${name} runs as pid ${pid}, but its directory ${gone} is gone`, stopCommand(dir));
        }
        return well("node", `${name} runs as pid ${nodeState.info.pid}`);
      }
      case "abandoned":
        return wrong("node", `${name} runs as pid ${nodeState.info.pid}, but its run is gone`, sweep);
      case "died":
        return wrong("node", `${name} has died${nodeState.rebooted ? " in a reboot" : ""}`, sweep);
      case "unfinished":
        if (nodeState.phase === "live") return well("node", `${name} is being started`);
        // A start that failed has cleaned up after itself; only the reason is left to be read.
        if (nodeState.phase === "failed") return well("node", `${name} failed to start, and was cleaned up`);
        return wrong("node", `${name} was interrupted`, sweep);
      case "unrecorded":
        return wrong("node", `${name} still runs, though its state was removed`, sweep);
      case "unreadable":
        return wrong("node", `the node.info of ${name} cannot be used: ${nodeState.reason}`, sweep);
      case "foreign":
        return wrong("node", `${name} cannot be judged, ${nodeState.reason}`, `${sweep} --force`);
    }
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    return wrong("node", error.message, error.hint);
  }
}

/**
 * Processes of attempts that no record here names: they belong to another state directory, or to one that was removed.
 * Nothing here proves that they may be terminated, so the hint names their own directory. Shared daemons are left out.
 */
function findOrphans(nodes: NodeDir[]): Check[] {
  const known = new Set<string>();
  const excluded = new Set(ALWAYS_EXCLUDED);
  for (const dir of nodes) {
    const { tombstone, info, unrecorded } = readNodeFiles(dir);
    for (const attempt of unrecorded) known.add(attempt);
    for (const found of [tombstone, info]) {
      if (found.kind === "record") found.record.exclude.forEach((n) => excluded.add(n));
    }
    if (tombstone.kind === "record") known.add(tombstone.record.attempt);
    if (info.kind === "record" && info.record.attempt !== null) known.add(info.record.attempt);
    if (info.kind === "record" && info.record.run !== null) known.add(info.record.run.id);
    for (const launch of readLaunchRecords(dir)) known.add(launch.attempt);
  }
  return system.processes.list(ATTEMPT_VARIABLE)
    .filter((row) =>
      row.isAlive && row.pid !== Deno.pid && row.value !== null && row.value !== "" && !known.has(row.value) &&
      !excluded.has(row.name)
    )
    .map((row) => ({
      name: "orphan",
      ok: true, // another state directory may know it
      message: `pid ${row.pid} (${
        system.processes.commandLine(row.pid)
      }) was started by tombstone, but not from this directory`,
      hint: hintFor(row),
    }));
}

/** The command that stops a process of another directory, which its environment names. */
function hintFor({ pid }: Identity): string {
  const path = system.processes.environment(pid, NODE_DIR_VARIABLE) ?? "";
  const [node, workspace, state] = [basename(path), basename(dirname(path)), dirname(dirname(path))];
  if (!isAbsolute(path) || node === "" || workspace === "") {
    return "name the state directory that it was started with, with --state-dir";
  }
  return `tombstone stop ${node} --workspace ${workspace} --state-dir ${system.shell.quote(state)}`;
}

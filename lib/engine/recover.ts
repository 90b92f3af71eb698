/**
 * Recovery from a dead start or a dead server: its processes are terminated, then its files swept. Every caller holds the
 * lock; where a launcher may still be on its way, the caller has taken over its tombstone first.
 *
 * @module
 */
import { recordOf } from "../state/record.ts";
import { lstatOrNull } from "../os/stat.ts";
import { live } from "../os/scan.ts";
import { EXIT_SIGNAL, system, UNKNOWN_START } from "../os/system.ts";
import type { Scan } from "../os/types.ts";
import { NOBODY, type Terminated, terminateTree } from "../process/terminate_tree.ts";
import { type Roots, scanForTree } from "../process/tree.ts";
import { type DeclaredFile, distinct } from "../spec/declared.ts";
import { lookAtDeclared } from "../state/declared.ts";
import { readLaunchRecords } from "../state/launch_record.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { type Elsewhere, here } from "../state/origin.ts";
import { type Tombstone, writeTombstone } from "../state/tombstone.ts";
import { declaredFiles, DEFAULTS, type Settings } from "../spec/settings.ts";
import { type Ending, endStopCommands, rememberTree, terminateGracefully } from "./terminate.ts";
import { elsewhereOf, requireGone } from "./liveness.ts";
import { keepBeyondStop } from "./commit.ts";
import { type NodeFiles, type NodeState, progressOf, recordsOf, whyForeign } from "./state.ts";
import { untilLateDaemon } from "./main_process.ts";
import { inWords, requireTerminated, tellWriters } from "./leftovers.ts";
import { rootsOf } from "./roots.ts";
import { reached, type Recovered } from "./reporter.ts";
import { runtimeEntries, sweepFiles } from "./sweep_files.ts";

/** Result of {@linkcode recover}. */
export interface Undone {
  /** What was cleaned up; `null` if nothing. */
  recovered: Recovered | null;
  /** Processes that had to be killed, including those of a running server that was replaced. */
  killed: number[];
}

/** Settings for a tombstone, with what it must remember of attempts that were not recovered yet. */
export type Declarations =
  & Settings
  & Pick<Tombstone, "older_pid_files" | "older_files" | "elsewhere" | "while_process" | "tree">;

/** A tombstone of this process. */
export function newTombstone(attempt: string, settings: Declarations): Tombstone {
  const self = system.processes.read(Deno.pid);
  return {
    attempt,
    starter_pid: Deno.pid,
    starter_start_time: self?.startTime ?? UNKNOWN_START,
    begun_at: new Date().toISOString(),
    failed: null,
    failed_at: null,
    ...here(),
    ...settings,
  };
}

/** Adds the declarations of older records to the settings, so that nothing is lost if this process dies as well. */
export function withOlderDeclarations(settings: Settings, nodeFiles: NodeFiles): Declarations {
  const older = recordsOf(nodeFiles);
  const before = recordOf(nodeFiles.tombstone);
  const pidFiles = [before?.pid_file ?? null, ...before?.older_pid_files ?? []].filter((path) => path !== null);
  return {
    ...settings,
    exclude: [...new Set([...settings.exclude, ...older.flatMap((record) => record.exclude)])],
    older_pid_files: [...new Set(pidFiles)],
    older_files: declaredBy(nodeFiles),
    elsewhere: elsewhereIn(nodeFiles),
    while_process: older[0]?.while_process ?? null,
    tree: rootsOf(nodeFiles.dir, nodeFiles).proven?.byOthers() ?? [],
  };
}

/** The pid namespace of the recorded processes, if that is another one. */
function elsewhereIn({ tombstone, info }: NodeFiles): Elsewhere | null {
  return elsewhereOf(
    recordOf(tombstone),
    recordOf(info),
  );
}

/** Every file that the records declare, those of older attempts included. */
function declaredBy(nodeFiles: NodeFiles): DeclaredFile[] {
  const remembered = recordOf(nodeFiles.tombstone)?.older_files ?? [];
  return distinct([...recordsOf(nodeFiles).flatMap(declaredFiles), ...remembered]);
}

/** The settings that the newest readable record holds. */
function recordedSettings(nodeFiles: NodeFiles): Settings {
  return recordsOf(nodeFiles)[0] ?? DEFAULTS;
}

/**
 * Takes over the tombstone of another start before its leftovers are removed. A late launcher of that start finds the
 * new tombstone and exits.
 */
export async function takeOver(dir: NodeDir, nodeFiles: NodeFiles): Promise<void> {
  const settings = withOlderDeclarations(recordedSettings(nodeFiles), nodeFiles);
  await writeTombstone(dir, newTombstone(crypto.randomUUID(), settings));
}

/**
 * Terminates the processes and removes the files that a node's records name, all but the tombstone. A running main
 * process is stopped by its own stop command or signal. Processes of another machine are not looked for.
 *
 * @throws {TombstoneError} a process could not be terminated, or a file not be removed
 */
export async function recover(
  dir: NodeDir,
  nodeFiles: NodeFiles,
  nodeState: NodeState,
  { lock, reporter, scan = live, patience = "whole" }: Omit<Ending, "marking">,
): Promise<Undone> {
  // Checked after the take-over: before it, a launcher could still have passed its check of the tombstone unseen.
  const isHere = nodeState.kind !== "foreign";
  if (isHere && elsewhereIn(nodeFiles) !== null) await requireGone(dir, () => whyForeign(nodeFiles));
  const progress = progressOf(dir, nodeFiles);
  const isAlive = nodeState.kind === "running" || nodeState.kind === "abandoned";
  // Whoever goes on with a stop must know when that began.
  const how = { lock, reporter, scan, patience, marking: patience === "rest" ? "always" : "if needed" } as const;
  const asked = isAlive ? await terminateGracefully(dir, nodeFiles, nodeState.info, how) : NOBODY;
  const info = recordOf(nodeFiles.info);
  if (info !== null && isHere && !isAlive) await endStopCommands(dir, info, { reporter, scan });
  const endRest = () => endTree(dir, currentRoots(dir, nodeFiles, scan), recordedSettings(nodeFiles), how);
  const terminated = isHere ? await endRest() : NOBODY;
  const late = isHere && await untilLateDaemon(dir, nodeFiles) ? await endRest() : NOBODY;
  const all = [asked, terminated, late];
  const pids = [...new Set(all.flatMap((each) => each.pids))];
  const killed = [...new Set(all.flatMap((each) => each.killed))];
  lock.insist();
  if (isHere && nodeState.kind !== "stopped") tellWriters(dir, recordedSettings(nodeFiles).exclude, reporter);
  if (info !== null || nodeState.kind === "unfinished") {
    await keepBeyondStop(dir, info, reporter);
    lock.insist();
  }
  const onKept = (message: string) => reporter.warn(message);
  const files = await sweepFiles(dir, declaredBy(nodeFiles), { onKept, insist: lock.insist });
  if (nodeFiles.tombstone.kind !== "missing") files.push("starting");
  const isClean = nodeState.kind === "unfinished" && nodeState.phase === "failed" && pids.length === 0;
  const reason = isClean ? null : reasonOf(nodeState);
  if (reason === null) return { recovered: null, killed };
  return { recovered: { reason, ...originOf(nodeFiles), progress, pids, killed, files }, killed };
}

/** What a recovery would do. Changes nothing. */
export async function previewRecovery(
  dir: NodeDir,
  { nodeFiles, nodeState, scan }: { nodeFiles: NodeFiles; nodeState: NodeState; scan: Scan },
): Promise<Recovered | null> {
  const reason = reasonOf(nodeState);
  if (reason === null) return null;
  const present = (path: string) => lstatOrNull(path) !== null;
  const declared = declaredBy(nodeFiles).filter((file) => lookAtDeclared(file).kind === "stale").map(({ path }) =>
    path
  );
  return {
    reason,
    ...originOf(nodeFiles),
    progress: progressOf(dir, nodeFiles),
    killed: [],
    pids: (await scanForTree(currentRoots(dir, nodeFiles, scan))).map((row) => row.pid),
    files: [
      ...runtimeEntries(dir).filter((name) => present(`${dir.path}/${name}`)),
      ...declared,
      ...(present(dir.starting) ? ["starting"] : []),
    ],
  };
}

/** Where to look for processes, with the launch records that have appeared since the files were read. */
function currentRoots(dir: NodeDir, nodeFiles: NodeFiles, scan: Scan): Roots {
  return rootsOf(dir, { ...nodeFiles, launches: readLaunchRecords(dir) }, scan);
}

/**
 * How long what has no main process any more may take to exit, in milliseconds, where a stop is continued by one short
 * command after the other: nothing records when that was asked first.
 */
const REST_MS = 1500;

async function endTree(
  dir: NodeDir,
  roots: Roots,
  settings: Settings,
  { lock, reporter, patience }: Ending,
): Promise<Terminated> {
  const isKnown = roots.proven !== undefined && roots.proven.byOthers().length > 0;
  if (roots.attempts.length === 0 && roots.processes.length === 0 && !isKnown) return NOBODY;
  using waiting = reporter.wait(dir);
  const terminated = await terminateTree(roots, {
    main: null,
    signal: EXIT_SIGNAL,
    graceMs: patience === "rest" ? Math.min(settings.stop.timeout_ms, REST_MS) : settings.stop.timeout_ms,
    onScan: (rows) => waiting.update(inWords(rows)),
    remember: (tree) => rememberTree(dir, tree, () => lock.isLinked()),
    onAsked: () => reached("asked", reporter),
  });
  requireTerminated(dir, terminated.left);
  return terminated;
}

function reasonOf(nodeState: NodeState): Recovered["reason"] | null {
  switch (nodeState.kind) {
    case "unfinished":
      return "interrupted-start";
    case "abandoned":
      return nodeState.over.lease === "run" ? "interrupted-run" : "lease-over";
    case "died":
      return nodeState.rebooted ? "rebooted" : "died";
    case "unrecorded":
      return "removed-state";
    case "unreadable":
      return "unreadable-state";
    case "foreign":
      return "elsewhere";
    case "running":
    case "stopped":
      return null;
  }
}

function originOf(nodeFiles: NodeFiles): Pick<Recovered, "attempt" | "starter" | "begun_at"> {
  if (nodeFiles.tombstone.kind === "record") {
    const { attempt, starter_pid, begun_at } = nodeFiles.tombstone.record;
    return { attempt, starter: starter_pid || null, begun_at: begun_at || null };
  }
  const info = recordOf(nodeFiles.info);
  const attempt = info?.attempt ?? nodeFiles.launches[0]?.attempt ?? nodeFiles.unrecorded[0] ?? null;
  return { attempt, starter: null, begun_at: info?.started_at ?? null };
}

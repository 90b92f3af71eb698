/**
 * Ending a running node in the way that it asks for.
 *
 * @module
 */
import { TombstoneError } from "../errors.ts";
import { findLive, signal } from "../os/system.ts";
import type { Identity } from "../os/types.ts";
import { type Terminated, terminateTree } from "../process/terminate_tree.ts";
import type { Lock } from "../state/lock.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { type NodeInfo, readNodeInfo, readTombstone, writeNodeInfo, writeTombstone } from "../state/records.ts";
import { findMain } from "./identify.ts";
import type { NodeFiles } from "./state.ts";
import { inWords, requireTerminated } from "./leftovers.ts";
import { rootsOf } from "./roots.ts";
import { reached, type Reporter } from "./reporter.ts";
import { endStopCommands, StopCommand } from "./stop_command.ts";

/** Under what a node is ended. */
export interface Ending {
  /** The node's lock, without which no record is written. */
  lock: Lock;
  /** Where to report. */
  reporter: Reporter;
  /** Whether the commit record is to say that the node is being stopped: always, or where the next command must know more. */
  marking: "always" | "if needed";
}

/**
 * Ends a running node as it asks to be: its stop command or signal for the main process, TERM for what
 * the main process leaves behind or does not pass the signal on to, KILL for what is left after the timeout.
 *
 * Notes in the commit record that the node is about to be asked to go, and who belongs to it: should this process be
 * killed meanwhile, the next start does not take a server on its way out for one that runs, and the next command knows
 * whom to end. (Tests: "a stop that is killed half-way", "who was once proven".)
 *
 * @throws {TombstoneError} somebody could not be ended
 */
export async function terminateGracefully(
  dir: NodeDir,
  nodeFiles: NodeFiles,
  info: NodeInfo,
  { lock, reporter, marking }: Ending,
): Promise<Pick<Terminated, "pids" | "killed">> {
  await endStopCommands(dir, info, reporter);
  const main = findMain(dir, info);
  const command = info.stop.command === null ? null : new StopCommand(dir, info, info.stop.command);
  using waiting = reporter.wait(dir);
  const { pids, killed, left } = await terminateTree(rootsOf(dir, nodeFiles), {
    main,
    signal: info.stop.signal,
    graceMs: info.stop.timeout_ms,
    onLook: (rows) => waiting.update(inWords(rows)),
    async remember(lean) {
      if (marking === "if needed" && lean.length === 0 && command === null) return;
      if (lock.isLinked()) await markStopping(dir, info, lean);
      reached("marked", reporter);
    },
    onAsked: () => reached("asked", reporter),
    ...(command === null ? {} : {
      ask: async () => {
        const code = await command.run();
        if (code === 0 || main === null || findLive(main) === null) return;
        reporter.warn(`the stop command of "${dir.node}" exited with ${code}; sending ${info.stop.signal} instead`);
        signal(main, info.stop.signal);
      },
    }),
  });
  if (command !== null) await command.end(reporter);
  requireTerminated(dir, left);
  return { pids, killed };
}

async function markStopping(dir: NodeDir, info: NodeInfo, tree: Identity[]): Promise<void> {
  try {
    await writeNodeInfo(dir, { ...info, stop_began_at: new Date().toISOString(), tree });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error; // a full disk keeps nobody from stopping a server
  }
}

/**
 * Records, before they are asked to end, who has no other proof, in the newest record that there is: should this process be
 * killed meanwhile, the next command knows them. Nothing is written where the state no longer is that of this command.
 */
export async function rememberTree(dir: NodeDir, tree: Identity[], isOurs: () => boolean): Promise<void> {
  if (tree.length === 0 || !isOurs()) return;
  const [tombstone, info] = [readTombstone(dir), readNodeInfo(dir)];
  try {
    if (tombstone.kind === "record") await writeTombstone(dir, { ...tombstone.record, tree });
    else if (info.kind === "record") await writeNodeInfo(dir, { ...info.record, tree });
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error; // a full disk keeps nobody from ending them
  }
}

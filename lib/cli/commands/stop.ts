/**
 * `tombstone stop`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { EXIT, usageError } from "../../errors.ts";
import { type Member, stopGroup } from "../../engine/group.ts";
import { live, scanTogether } from "../../os/scan.ts";
import { describeKilled } from "../describe.ts";
import { NO_NODES, nodesOfSession, noNodesOf, recordedNames, sessionAsked, warnUnknown } from "../nodes.ts";

/** Runs the command. After a failure, it still stops the others; the first error sets the exit code. */
export async function run(call: Call): Promise<Result> {
  const members = await membersOf(call);
  await warnUnknown(call);
  const results = new Map<string, { document: unknown; line: string }>();
  const done = () => members.flatMap(({ dir }) => results.get(dir.path) ?? []);
  const options = { ...call.options, scan: members.length > 1 ? scanTogether() : live };
  try {
    await stopGroup(members, {
      options: () => options,
      onStopped({ workspace, node, path }, stopped) {
        if (stopped.recovered !== null) call.output.recovered(node, stopped.recovered);
        results.set(path, {
          document: { workspace, node, state: "stopped", ...stopped },
          line: stopped.stopped
            ? `stopped "${node}" (pid ${stopped.pids.join(", ")})${describeKilled(stopped.killed)}`
            : `"${node}" is not running`,
        });
      },
    });
  } catch (error) {
    for (const { line } of done()) call.output.info(line);
    throw error;
  }
  const session = call.flags.text("session");
  const none = session === undefined ? NO_NODES : noNodesOf(session);
  const lines = members.length === 0 ? [none] : done().map(({ line }) => line);
  return { exitCode: EXIT.ok, document: { nodes: done().map(({ document }) => document) }, lines };
}

/** The nodes to stop, each with all that it needs. */
async function membersOf(call: Call): Promise<Member[]> {
  const all = call.flags.has("all");
  if (all && call.nodes.length > 0) throw usageError("Cannot use --all with names of nodes", "tombstone stop --all");
  const session = sessionAsked(call);
  if (session !== null && (all || call.nodes.length > 0)) {
    throw usageError(
      `Cannot use --session with ${
        all ? "--all" : "names of nodes"
      }: it stops the nodes of a session in every workspace`,
      `tombstone stop --session ${session}`,
    );
  }
  if (session !== null) {
    return nodesOfSession(call, session).map(({ dir, needs }) => ({ dir, after: needs }));
  }
  // One node needs no order, and must be stoppable even if the file is invalid.
  if (call.nodes.length === 1) return [{ dir: await call.nodeDir(call.node, "find"), after: [] }];
  const { projectIfReadable, needsOf } = await import("../members.ts");
  const project = await projectIfReadable(call);
  const names = call.nodes.length > 0 ? call.nodes : [...project.keys(), ...await recordedNames(call)];
  return await Promise.all([...new Set(names)].map(async (node) => ({
    dir: await call.nodeDir(node, "find"),
    after: needsOf(project, node),
  })));
}

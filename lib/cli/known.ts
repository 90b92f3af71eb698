/**
 * Nodes that are named without a command: each as the project describes it, else as it was last started.
 *
 * @module
 */
import type { Call } from "./call.ts";
import {
  FLAGS_OF_KNOWN,
  type MemberOptions,
  membersOf,
  orderedNames,
  projectIfReadable,
  projectOf,
  refuseFlags,
} from "./members.ts";
import { recordedNames } from "./nodes.ts";
import { type Action, isRecorded, recordedMembersOf } from "./recorded.ts";
import { START_FLAGS } from "./start_flags.ts";
import type { StartMember } from "../engine/group.ts";

/** Nodes that can be started without their commands being named. */
export interface KnownNodes {
  /** Names of all that are to run, each after those that it needs. */
  names: string[];
  /** The same as members of a group. */
  members: (options: MemberOptions) => StartMember[];
}

/**
 * The nodes named; without names, all that the project describes or, where it describes none, all that were ever
 * started. Everything that can be wrong is found here.
 *
 * @returns `null`: there are none
 * @throws {TombstoneError} one is neither described nor recorded, or a flag is given that only a command can have
 */
export async function knownNodes(call: Call, action: Action): Promise<KnownNodes | null> {
  const found = new Set<string>();
  for (const node of call.nodes.length > 0 ? call.nodes : await recordedNames(call)) {
    if (isRecorded(await call.nodeDir(node, "find"))) found.add(node);
  }
  // What is wrong in the file must not keep anybody from a node that is recorded.
  const canDoWithout = action === "restart" || call.nodes.length > 0 && call.nodes.every((node) => found.has(node));
  const project = canDoWithout ? await projectIfReadable(call) : await projectOf(call);
  const named = call.nodes.length > 0 ? [...new Set(call.nodes)] : project.size > 0 ? [...project.keys()] : [...found];
  const recorded = named.filter((node) => !project.has(node) && (found.has(node) || project.size === 0));
  if (named.length === 0 || project.size === 0 && action === "start" && recorded.some((node) => !found.has(node))) {
    return null;
  }
  const described = named.filter((node) => !recorded.includes(node));
  const names = described.length === 0 ? [] : await orderedNames(project, described, action);
  if (action === "start") {
    refuseFlags(
      call,
      START_FLAGS,
      described.length > 0
        ? { allowed: FLAGS_OF_KNOWN, settings: "described" }
        : { allowed: [...FLAGS_OF_KNOWN, "env"], settings: "recorded" },
    );
  }
  const ofRecorded = await recordedMembersOf(call, recorded, action);
  const ofDescribed = await membersOf(call, project, names);
  return {
    names: [...names, ...recorded],
    members: (options) => [...ofDescribed(options), ...ofRecorded(options)],
  };
}

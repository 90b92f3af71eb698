/**
 * `tombstone env`.
 *
 * @module
 */
import type { Call, Result } from "../call.ts";
import { endpointOf } from "../../engine/endpoint.ts";
import { lookAt } from "../../engine/state.ts";
import { EXIT, tombstoneError, usageError } from "../../errors.ts";
import { system } from "../../os/system.ts";
import { chosenFrom } from "../../spec/port_request.ts";
import type { Project } from "../../spec/project_file.ts";
import { type Endpoint, type Settings, settingsFrom } from "../../spec/settings.ts";
import { refuse } from "../../spec/values.ts";
import type { NodeDir } from "../../state/node_dir.ts";
import { findRecorded } from "../known.ts";
import { prefixOf, projectIfReadable } from "../members.ts";
import { nearOrNew, nodesOf, recordedNames } from "../nodes.ts";

/** Forms of the output. */
const FORMATS = ["shell", "dotenv", "json"] as const;

/** A node and its address, now or once it is started. */
interface NodeAddress {
  dir: NodeDir;
  endpoint: Endpoint | null;
}

/** Runs the command. A node that has no port is a failure only if it was named. */
export async function run(call: Call): Promise<Result> {
  const format = formatOf(call);
  const project = await projectIfReadable(call);
  const names = await nodesOf(call);
  requireDistinct(names);
  const workspace = await call.workspace();
  const addressed: NodeAddress[] = [];
  for (const node of names) {
    const settings = await settingsOfNode(call, project, node);
    const chooses = settings !== null && chosenFrom(settings.port_request) !== null;
    const dir = await call.nodeDir(node, chooses ? "ensure" : "find");
    const endpoint = await endpointOf({ dir, workspace, settings }, call.options);
    if (endpoint === null && call.nodes.includes(node)) throw noEndpoint(dir, lookAt(dir).nodeState.kind === "running");
    addressed.push({ dir, endpoint });
  }
  const documents = addressed.map(documentOf);
  const variables = Object.assign(
    {},
    ...(addressed.length === 1 ? addressed.map(own) : []),
    ...addressed.map(prefixed),
  );
  // The form depends on what was typed, not on what exists.
  const document = call.nodes.length === 1 ? documents[0] : { nodes: documents, env: variables };
  const lines = format === "json" ? [JSON.stringify(document, null, 2)] : linesOf(variables, format);
  return { exitCode: EXIT.ok, document, lines, form: "file" };
}

function formatOf(call: Call): (typeof FORMATS)[number] {
  const given = call.flags.text("format") ?? "shell";
  const format = FORMATS.find((format) => format === given);
  if (format === undefined) throw refuse("--format", given, `one of ${FORMATS.join(", ")}`, "dotenv");
  return format;
}

/** Refuses two nodes whose variables would have the same names. */
function requireDistinct(names: string[]): void {
  for (const [at, name] of names.entries()) {
    const other = names.slice(0, at).find((other) => prefixOf(other) === prefixOf(name));
    if (other === undefined) continue;
    throw usageError(
      `Cannot tell "${other}" and "${name}" apart: the variables of both begin with ${prefixOf(name)}_`,
      `tombstone env ${name}`,
    );
  }
}

/** The settings for the next start of a node; `null` if they are unknown. */
async function settingsOfNode(call: Call, project: Project, node: string): Promise<Settings | null> {
  const described = project.get(node);
  if (described !== undefined) return settingsFrom(described.source, system.shell.words);
  const dir = await call.nodeDir(node, "find");
  const recorded = findRecorded(dir);
  if (recorded !== null || !call.nodes.includes(node)) return recorded;
  const known = [...project.keys(), ...await recordedNames(call)];
  throw tombstoneError(`Cannot show the environment of "${node}": there is no such node`, {
    kind: "nothing-there",
    hint: await nearOrNew(call, node, known),
    details: { workspace: dir.workspace, node },
  });
}

function noEndpoint({ workspace, node }: NodeDir, isRunning: boolean) {
  const state = isRunning ? "it runs without a port" : "it does not run, and no port is set for it";
  return tombstoneError(`Cannot show the environment of "${node}": ${state}`, {
    kind: "nothing-there",
    hint: isRunning ? `tombstone start ${node} --replace --port 3000+ -- COMMAND [ARG...]` : `tombstone start ${node}`,
    details: { workspace, node },
  });
}

/** The variables that a node itself gets, with its address. */
function own({ dir, endpoint }: NodeAddress): Record<string, string> {
  return {
    ...(endpoint === null ? {} : {
      PORT: String(endpoint.port),
      TOMBSTONE_HOST: endpoint.host,
      TOMBSTONE_URL: endpoint.url,
    }),
    TOMBSTONE_NODE: dir.node,
    TOMBSTONE_WORKSPACE: dir.workspace,
  };
}

/** The variables about a node that its dependents get. */
function prefixed({ dir, endpoint }: NodeAddress): Record<string, string> {
  const prefix = prefixOf(dir.node);
  return Object.fromEntries(
    Object.entries(endpoint ?? {}).map(([what, value]) => [`${prefix}_${what.toUpperCase()}`, String(value)]),
  );
}

function documentOf(addressed: NodeAddress): unknown {
  const { dir: { workspace, node }, endpoint } = addressed;
  const { host = null, port = null, url = null } = endpoint ?? {};
  return { workspace, node, host, port, url, env: { ...own(addressed), ...prefixed(addressed) } };
}

function linesOf(variables: Record<string, string>, format: "shell" | "dotenv"): string[] {
  const before = format === "shell" ? "export " : "";
  return Object.entries(variables).map(([name, value]) => `${before}${name}=${system.shell.quote(value)}`);
}

/**
 * A described node as an engine gets it.
 *
 * @module
 */
import { chosenFrom, fixedPort } from "../spec/port_request.ts";
import { fillPort, fillReferences } from "../spec/placeholders.ts";
import type { Probe } from "../spec/probes.ts";
import { DEFAULTS, type Settings } from "../spec/settings.ts";

/** A node to hand over. */
export interface ExportedNode {
  /** Its name. */
  name: string;
  /** What was described, with references to other nodes not yet filled in. */
  settings: Settings;
  /** Variables for it. */
  env: Record<string, string>;
  /** Names of the nodes that must be ready before. */
  after: string[];
}

/** A project to hand over. */
export interface ExportedProject {
  /** Name, fit for ids. */
  name: string;
  /** Its directory, absolute. */
  dir: string;
  /** Every described node, by name. */
  nodes: Map<string, ExportedNode>;
}

/** A file for an engine. */
export interface ExportedFile {
  /** Name, without a directory. */
  name: string;
  /** What it holds. */
  text: string;
}

/** First port for nodes whose port tombstone would choose at each start; an engine needs a fixed one. */
const FIRST_PORT = 8080;

/** The port of a node: its own, or a fixed one if tombstone would choose it; `null` if it has none. */
export function portOf({ nodes }: ExportedProject, name: string): number | null {
  const asked = nodes.get(name)?.settings.port_request ?? null;
  const from = chosenFrom(asked);
  if (from !== 0) return from ?? fixedPort(asked);
  const chosen = [...nodes.values()].filter(({ settings }) => settings.port_request === 0).map((node) => node.name);
  return FIRST_PORT + chosen.indexOf(name);
}

/**
 * Fills in `{port}` and references such as `{db.url}`.
 *
 * @param hostOf where another node is found by this engine
 */
export function filler(
  project: ExportedProject,
  node: string,
  hostOf: (name: string) => string,
): (text: string) => string {
  const addresses = Object.fromEntries([...project.nodes.keys()].flatMap((name) => {
    const [host, port] = [hostOf(name), portOf(project, name)];
    return port === null ? [] : [[name, { host, port, url: `${host}:${port}` }]];
  }));
  return (text) => fillReferences(fillPort(text, portOf(project, node)), addresses);
}

/** The variables of a node: what is described, and `PORT`. */
export function variablesOf(
  project: ExportedProject,
  { name, env }: ExportedNode,
  fill: (text: string) => string,
): [string, string][] {
  const port = portOf(project, name);
  const all = port === null ? env : { PORT: String(port), ...env };
  return Object.entries(all).map(([variable, value]) => [variable, fill(value)]);
}

/**
 * A probe as a shell command that succeeds when it passes; `null` where there is none.
 *
 * @param port the node's
 */
export function commandOf(probe: Probe, port: number | null): string | null {
  switch (probe.type) {
    case "tcp":
      return `bash -c ': 2>/dev/null </dev/tcp/127.0.0.1/${port}'`;
    case "http": {
      if (probe.target.startsWith("/") && port === null) return null;
      const url = probe.target.startsWith("/")
        ? `http://127.0.0.1:${port}${probe.target}`
        : fillPort(probe.target, port);
      return `curl -fsS -o /dev/null ${quote(url)}`;
    }
    case "unix":
      return `test -S ${quote(probe.path)}`;
    case "file":
      return `test -e ${quote(probe.path)}`;
    case "exec":
      return fillPort(probe.command, port);
    case "port-file":
    case "discover":
    case "log":
    case "notify":
    case "alive":
    case "exit":
      return null;
  }
}

/** The files with variables of a node, and whether each may be missing. */
export function envFilesOf({ settings }: ExportedNode): { path: string; required: boolean }[] {
  return settings.env_file.map((file) => ({ path: file.replace(/\?$/, ""), required: !file.endsWith("?") }));
}

/** A word for the shell. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Settings that no engine supports, in words. */
export function commonLosses({ settings, name }: ExportedNode, project: ExportedProject): string[] {
  const losses: string[] = [];
  const { probes, stable_for_ms, exclude, log, port_request } = settings;
  if (chosenFrom(port_request) !== null) {
    losses.push(`a free port chosen at its start: here it is always ${portOf(project, name)}`);
  }
  for (const { type } of probes) {
    if (type === "log") losses.push("ready by a line of its output");
    if (type === "port-file") losses.push("ready by a file with its port");
    if (type === "discover") losses.push('the discovery of its port: say which it is with "port"');
    if (type === "alive") losses.push("ready after it has run for a while");
  }
  if (probes.some((probe) => "any_listener" in probe && !probe.any_listener)) {
    losses.push("the check that the listener is this node's own process");
  }
  if (stable_for_ms > 0) losses.push(`ready only when that has held for ${stable_for_ms} ms`);
  if (exclude.length > 0) losses.push(`processes that are never ended: ${exclude.join(", ")}`);
  if (log.keep !== DEFAULTS.log.keep) losses.push(`${log.keep} logs of earlier starts`);
  return losses;
}

/** Comment lines. */
export function comment(lines: string[]): string {
  return lines.map((line) => line === "" ? "#\n" : `# ${line}\n`).join("");
}

/** What does not carry over, as lines of a comment. */
export function lossesOf(losses: string[], indent = ""): string[] {
  return losses.length === 0 ? [] : [`${indent}does not carry over:`, ...losses.map((loss) => `${indent}- ${loss}`)];
}

/** A name as DNS labels allow it. */
export function label(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63) || "node";
}

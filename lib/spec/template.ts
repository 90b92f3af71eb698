/**
 * A first `tombstone.json`, generated from the files of other tools.
 *
 * @module
 */
import { parseObject } from "./json.ts";
import { NAME } from "./names.ts";

/** A node as in `tombstone.json`. */
export type NodeDescription = Record<string, unknown>;

/** Nodes that were found, and where. */
export interface Proposal {
  /** By name. */
  nodes: Record<string, NodeDescription>;
  /** The source of each, in words. */
  from: Record<string, string>;
}

/** Scripts of `package.json` that start a server, in order of preference. */
const SCRIPTS = ["dev", "start", "serve"];

/** Lock files, and the package manager that they belong to. */
const MANAGERS = [["pnpm-lock.yaml", "pnpm"], ["yarn.lock", "yarn"], ["bun.lock", "bun"], [
  "bun.lockb",
  "bun",
]] as const;

/** Files that may describe servers, and their readers. The first one that has a name wins. */
const READERS = { Procfile: readProcfile, "package.json": readPackage, "mix.exs": readMix };

/**
 * Finds servers in `Procfile`, `package.json` and `mix.exs`.
 *
 * @param read the text of a file of the project; `null` if there is none
 */
export function proposeNodes(read: (file: string) => string | null): Proposal {
  const found: Proposal = { nodes: {}, from: {} };
  for (const [file, reader] of Object.entries(READERS)) {
    const text = read(file);
    for (const { name, what, node } of text === null ? [] : reader(text, read)) {
      if (name in found.nodes) continue;
      found.nodes[name] = node;
      found.from[name] = what;
    }
  }
  return found;
}

interface ProposedNode {
  name: string;
  what: string;
  node: NodeDescription;
}

/** Lines `name: command`, as foreman and Heroku read them. */
function readProcfile(text: string): ProposedNode[] {
  return text.split("\n").flatMap((line) => {
    const [, name, command] = /^([A-Za-z0-9_.-]+):\s*(\S.*)$/.exec(line.trim()) ?? [];
    if (name === undefined || command === undefined || !NAME.test(name)) return [];
    // Foreman gives every process a port; certainly listening are only those that use it, and the web server.
    const usesPort = /\$\{?PORT\b/.test(command);
    const node = usesPort ? { command, port: 0 } : name === "web" ? { command } : { command, probes: { none: true } };
    return [{ name, what: `the line "${name}" of Procfile`, node }];
  });
}

function readPackage(text: string, read: (file: string) => string | null): ProposedNode[] {
  const scripts = parseObject(text)?.scripts;
  if (typeof scripts !== "object" || scripts === null) return [];
  const script = SCRIPTS.find((script) => typeof (scripts as Record<string, unknown>)[script] === "string");
  if (script === undefined) return [];
  const manager = MANAGERS.find(([file]) => read(file) !== null)?.[1] ?? "npm";
  return [{ name: "web", what: `the script "${script}" of package.json`, node: { command: [manager, "run", script] } }];
}

function readMix(text: string): ProposedNode[] {
  return /:phoenix\b/.test(text)
    ? [{
      name: "phoenix",
      what: "phoenix in mix.exs",
      node: { command: ["mix", "phx.server"], probes: { http: "/" } },
    }]
    : [{ name: "app", what: "mix.exs", node: { command: ["mix", "run", "--no-halt"], probes: { none: true } } }];
}

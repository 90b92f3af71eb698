/**
 * A first `tombstone.json`, generated from the files of other tools.
 *
 * @module
 */
import { isFields, parseObject } from "./json.ts";
import { NAME } from "./names.ts";
import { portOfScript } from "./script_port.ts";
import { type Files, findScripts, type Script } from "./scripts.ts";

/** A node as in `tombstone.json`. */
export type NodeDescription = Record<string, unknown>;

/** Nodes that were found, and where. */
export interface Proposal {
  /** By name. */
  nodes: Record<string, NodeDescription>;
  /** The source of each, in words. */
  from: Record<string, string>;
}

/** Scripts that start a server, in order of preference; `start:dev` is Nest's. */
const SCRIPTS = ["dev", "start:dev", "start", "serve"];

/** Packages whose development server serves a page at `/`. */
const PAGES = [
  "vite",
  "next",
  "nuxt",
  "astro",
  "gatsby",
  "react-scripts",
  "@angular/cli",
  "@sveltejs/kit",
  "@remix-run/dev",
];

/** Ready when `/` is answered; also by an error of the client's, since not every project has a page there. */
const ANSWERS = { http: "/", http_status: "200-499" };

/** What may describe servers, and its readers. The first one that has a name wins. */
const READERS: ((files: Files) => ProposedNode[])[] = [
  readProcfile,
  readScripts,
  readDjango,
  readRails,
  readMix,
  readRebar,
];

/**
 * Finds servers in the files of a project: `Procfile.dev`, `Procfile`, `package.json`, `deno.json`, `manage.py`, `bin/rails`,
 * `mix.exs` and `rebar.config`.
 *
 * @param files looks at the project; paths are relative to it
 */
export function proposeNodes(files: Files): Proposal {
  const found: Proposal = { nodes: {}, from: {} };
  for (const reader of READERS) {
    for (const { name, what, node } of reader(files)) {
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

/** Lines `name: command`, as foreman and Heroku read them; `release` is Heroku's, and no server. */
function readProcfile({ read }: Files): ProposedNode[] {
  const file = ["Procfile.dev", "Procfile"].find((file) => read(file) !== null);
  return (file === undefined ? "" : read(file)!).split("\n").flatMap((line) => {
    const [, name, command] = /^([A-Za-z0-9_.-]+):\s*(\S.*)$/.exec(line.trim()) ?? [];
    if (name === undefined || command === undefined || !NAME.test(name) || name === "release") return [];
    // Foreman gives every process a port; only the web server and processes that use the port certainly listen.
    const usesPort = /\$\{?PORT\b/.test(command);
    const node = usesPort ? { command, port: 0 } : name === "web" ? { command } : { command, probes: { none: true } };
    return [{ name, what: `the line "${name}" of ${file}`, node }];
  });
}

/** The script that serves; else each script `dev:NAME`, as the node NAME. */
function readScripts(files: Files): ProposedNode[] {
  const { scripts } = findScripts(".", ".", files) ?? { scripts: new Map<string, Script>() };
  const { dependencies, devDependencies } = parseObject(files.read("package.json") ?? "") ?? {};
  const packages = Object.keys({
    ...isFields(dependencies) && dependencies,
    ...isFields(devDependencies) && devDependencies,
  });
  const servesPage = packages.some((name) => PAGES.includes(name));
  const propose = (name: string, script: string): ProposedNode => {
    const { command, file, line } = scripts.get(script)!;
    const node = {
      command,
      ...portOfScript({ command, file, line }, files.read),
      ...(servesPage && file === "package.json" ? { probes: { http: "/" } } : {}),
    };
    return { name, what: `the ${file === "package.json" ? "script" : "task"} "${script}" of ${file}`, node };
  };
  const main = SCRIPTS.find((script) => scripts.has(script) && mayServe(scripts.get(script)!, files));
  if (main !== undefined) return [propose("web", main)];
  return [...scripts.keys()].filter((script) => script.startsWith("dev:") && NAME.test(script.slice(4)))
    .map((script) => propose(script.slice(4), script));
}

/** Whether a script may be a server: neither Deno's own tools, nor a program of one file that listens to nothing. */
function mayServe({ line }: Script, { read }: Files): boolean {
  const text = line?.trim() ?? "";
  if (/^deno (test|check|lint|fmt|bench|doc)\b/.test(text)) return false;
  const [, file] = /^deno run (?:-\S+ )*(?:\.\/)?([\w./-]+\.[jt]sx?)$/.exec(text) ?? [];
  const program = file === undefined ? null : read(file);
  return program === null || /serve|listen|^\s*(?:import|export)\b[^;]*\bfrom\b|\bimport\s*[("']/im.test(program);
}

function readDjango({ read, has }: Files): ProposedNode[] {
  if (!/\bdjango\b/i.test(read("manage.py") ?? "")) return [];
  const python = has("uv.lock")
    ? ["uv", "run", "python"]
    : has("poetry.lock")
    ? ["poetry", "run", "python"]
    : ["python3"]; // that of the virtual environment, where one is active
  const command = [...python, "manage.py", "runserver", "{port}"];
  return [{ name: "web", what: "manage.py of Django", node: { command, port: "8000+", probes: ANSWERS } }];
}

/** A killed server leaves a pid file behind, with which Rails refuses to start. */
function readRails({ has }: Files): ProposedNode[] {
  if (!has("bin/rails") || !has("config/application.rb")) return [];
  const command = ["bin/rails", "server", "--port", "{port}"];
  const node = { command, port: "3000+", probes: ANSWERS, sweep_files: "tmp/pids/server.pid" };
  return [{ name: "web", what: "bin/rails", node }];
}

function readMix({ read }: Files): ProposedNode[] {
  const text = read("mix.exs");
  if (text === null) return [];
  return /:phoenix\b/.test(text)
    ? [{
      name: "phoenix",
      what: "phoenix in mix.exs",
      node: { command: ["mix", "phx.server"], probes: { http: "/" } },
    }]
    : [{ name: "app", what: "mix.exs", node: { command: ["mix", "run", "--no-halt"], probes: { none: true } } }];
}

/** The shell runs the application; it ends with its input. A library has none to run. */
function readRebar({ read }: Files): ProposedNode[] {
  if (!/\{\s*(shell|relx)\s*,/.test(read("rebar.config") ?? "")) return [];
  const node = { command: ["rebar3", "shell"], stdin_open: true, probes: { log: "Booted" } };
  return [{ name: "app", what: "rebar.config", node }];
}

/**
 * Many nodes of every kind, forged after the records of one that was really started.
 *
 * @module
 */
import { readProcess } from "./sandbox.ts";

/** What became of a forged node. */
export type Kind = "running" | "died" | "interrupted" | "failed" | "unknown" | "stopped";

/** Nodes in one workspace. */
const PER_WORKSPACE = 1000;

/** A number that no process has. */
const NOBODY = 4_000_000;

/** The kind of a node, by its number: of ten, a sweep has something to do for six. */
export function kindOf(number: number): Kind {
  const kinds: Kind[] = [
    "running",
    "died",
    "died",
    "died",
    "interrupted",
    "failed",
    "unknown",
    "stopped",
    "stopped",
    "stopped",
  ];
  return kinds[number % kinds.length]!;
}

/** A process that lives, for nodes that look as if they ran. */
export interface Alive {
  pid: number;
  start: number;
}

/** Names of the workspace and the node of a number. */
export function nameOf(number: number): { workspace: string; node: string } {
  const pad = (value: number) => String(value).padStart(4, "0");
  return { workspace: `w${pad(Math.floor(number / PER_WORKSPACE))}`, node: `n${pad(number % PER_WORKSPACE)}` };
}

/**
 * Makes nodes in a state directory.
 *
 * @param info the `node.info` of a node that was really started
 * @param pid the process that running ones name; it must live, and listen nowhere
 */
export function forgeMany(state: string, count: number, info: Record<string, unknown>, pid: number): void {
  const alive: Alive = { pid, start: readProcess(pid)!.start };
  for (let number = 0; number < count; number++) {
    const { workspace, node } = nameOf(number);
    if (number % PER_WORKSPACE === 0) Deno.mkdirSync(`${state}/${workspace}`, { mode: 0o700, recursive: true });
    forge(`${state}/${workspace}/${node}`, kindOf(number), info, alive);
  }
}

function forge(path: string, kind: Kind, info: Record<string, unknown>, alive: Alive): void {
  Deno.mkdirSync(path, { mode: 0o700 });
  const write = (name: string, text: string) => Deno.writeTextFileSync(`${path}/${name}`, text, { mode: 0o600 });
  const attempt = crypto.randomUUID();
  const commit = (pid: number, start: number) => {
    write("node.info", JSON.stringify({ ...info, attempt, pid, leader_pid: pid, start_time: start }));
    write("pid", `${pid}\n`);
  };
  const { pid: _pid, start_time: _start, port: _port, ...settings } = info;
  const starter = { starter_pid: NOBODY, starter_start_time: 1, begun_at: info.started_at };
  const intend = (more: object) =>
    write("starting", JSON.stringify({ schema: 1, ...settings, ...starter, attempt, ...more }));
  write("lock", "");
  write("server.log", "hello\n");
  switch (kind) {
    case "running":
      return commit(alive.pid, alive.start);
    case "died":
      return commit(NOBODY, 1);
    case "interrupted":
      write(`launch.${attempt}`, "");
      return intend({});
    case "failed":
      return intend({ failed: "it failed" });
    case "unknown":
      return write("node.info", "garbage");
    case "stopped":
      return;
  }
}

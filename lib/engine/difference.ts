/**
 * In what a running node differs from a request.
 *
 * @module
 */
import { type TombstoneError, tombstoneError } from "../errors.ts";
import type { NodeDir } from "../state/node_dir.ts";
import type { NodeInfo } from "../state/node_info.ts";
import type { StartRequest } from "./request.ts";

/** One difference. */
export interface Difference {
  /** `command`, `cwd`, `port`, `host`, `env`, or `db.port` of a node that it needs. */
  what: string;
  /** What it has instead, in words. */
  text: string;
}

/** The differences. Values of variables are not recorded, so only their names are compared. */
export function differencesOf(info: NodeInfo, request: StartRequest): Difference[] {
  const { settings, commandAt } = request;
  const differences: Difference[] = [];
  const add = (what: string, text: string) => differences.push({ what, text });
  // A changed address is one difference; the command that contains it is not a second one.
  const command = commandAt?.({ ...settings.needs, ...info.needs }) ?? settings.command;
  if (info.command.length > 0 && JSON.stringify(words(info.command)) !== JSON.stringify(words(command))) {
    add("command", `another command (${info.command.join(" ")})`);
  }
  if (info.command.length > 0 && !isSameDirectory(info.cwd, settings.cwd)) {
    add("cwd", `another directory (${info.cwd})`);
  }
  const port = settings.port_request;
  if (port !== null && port !== 0 && ![info.port, info.port_request].includes(port)) {
    add("port", info.port === 0 ? "no port" : `another port (${info.port})`);
  }
  const { host } = settings;
  if (host !== null && host !== info.host && host !== info.bind_addr) {
    add("host", `another host (${info.bind_addr ?? info.host ?? "any of its own"})`);
  }
  if (request.different === "tell" || commandAt !== undefined) {
    const names = (list: string[]) => list.toSorted().join(" ");
    if (names(info.env_names) !== names(settings.env_names)) add("env", "other variables");
  }
  for (const [node, place] of Object.entries(settings.needs)) {
    const told = info.needs[node];
    if (told !== undefined && told.port !== place.port) add(`${node}.port`, `an old port of "${node}" (${told.port})`);
    if (told !== undefined && told.host !== place.host) add(`${node}.host`, `an old host of "${node}" (${told.host})`);
  }
  return differences;
}

/** A line without special characters, so that a shell splits it at its spaces and does nothing else. */
const PLAIN_LINE = /^[\w@%+:,./-][\w@%+=:,./-]*( [\w@%+=:,./-]+)*$/;

/** Makes `sh -c "npm run dev"` equal to `npm run dev`. */
function words(command: string[]): string[] {
  const [shell, option, line, ...more] = command;
  const isLine = (shell === "/bin/sh" || shell === "sh") && option === "-c" && line !== undefined && more.length === 0;
  if (!isLine) return command;
  return PLAIN_LINE.test(line.trim()) && !/^\S*=/.test(line.trim()) ? line.trim().split(" ") : ["/bin/sh", "-c", line];
}

/** Compares real paths: symbolic links may lead to one directory by several. */
function isSameDirectory(one: string, other: string): boolean {
  if (one === other) return true;
  try {
    return Deno.realPathSync(one) === Deno.realPathSync(other);
  } catch (error) {
    if (error instanceof Error && "code" in error) return false; // one is missing or closed to this user
    throw error;
  }
}

/** The error for a running node that is not what was requested: exit code 1. */
export function differentRunning(
  dir: NodeDir,
  info: NodeInfo,
  request: StartRequest,
  found: Difference[],
): TombstoneError {
  const isDescribed = request.commandAt !== undefined;
  return tombstoneError(
    `Cannot start "${dir.node}": it already runs, pid ${info.pid}, with ${found.map(({ text }) => text).join(" and ")}`,
    {
      kind: "different-running",
      hint: isDescribed
        ? `tombstone restart ${dir.node}, or add --replace`
        : "add --replace to stop that one and start this one, or give this one a name of its own",
      details: {
        differs: found.map(({ what }) => what),
        pid: info.pid,
        command: info.command,
        cwd: info.cwd,
        port: info.port === 0 ? null : info.port,
      },
    },
  );
}

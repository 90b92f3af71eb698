/**
 * Files on POSIX systems: owners and permissions, and the commands for hints.
 *
 * @module
 */
import type { Files, Hints } from "../files.ts";

/** The facts about files that all POSIX systems share, completed by those of one system. */
export function filesWith(rest: Pick<Files, "hasWriter" | "lockHolder" | "isGone">): Files {
  return {
    ...rest,
    privateFile: { mode: 0o600 },
    privateDirectory: { mode: 0o700 },
    ownerIfOther: ({ uid }) => uid === null || uid === Deno.uid() ? null : `user ${uid}, not to you (${Deno.uid()})`,
    isWritableByOthers: ({ mode }) => mode !== null && (mode & 0o022) !== 0,
    modeOf: ({ mode }) => ((mode ?? 0) & 0o7777).toString(8).padStart(4, "0"),
    makeUsable(path, { mode }) {
      if (mode !== null && (mode & 0o600) !== 0o600) Deno.chmodSync(path, 0o600);
    },
    stateHome: () => Deno.build.os === "darwin" ? "Library/Application Support" : ".local/state",
  };
}

/** The commands for hints. */
export const hints: Hints = {
  list: (path) => `ls -la "${path}"`,
  room: (path) => `df "${path}"`,
  makePrivate: (path) => `chmod go-w "${path}"`,
  makeExecutable: (path) => `chmod +x "${path}", or name its interpreter: tombstone start -- sh "${path}"`,
  describeProcess: (pid) => `ps -fp ${pid}`,
  describeStuck: (pids) => `ps -o pid,stat,wchan,args -p ${pids.join(",")}`,
  killAsRoot: (pids) => `sudo kill ${pids.join(" ")}`,
  listenersOf: (port) => `lsof -nP -iTCP:${port} -sTCP:LISTEN`,
  installShell: "install a POSIX shell",
  showProcesses: "ps -A",
  showOthers: "ps -A",
};

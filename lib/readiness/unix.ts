/**
 * A condition about a unix socket.
 *
 * @module
 */
import { connectToUnix, ownershipOfUnixListener } from "../process/listeners.ts";
import type { ProbeTarget, Verdict } from "./types.ts";

/** Whether the node accepts connections on a unix socket. */
export async function checkUnix(path: string, anyListener: boolean, subject: ProbeTarget): Promise<Verdict> {
  if (await connectToUnix(path) !== "accepted") {
    return { kind: "wait", state: `nothing accepts connections on the socket "${path}"` };
  }
  if (anyListener) return { kind: "pass" };
  const ownership = await ownershipOfUnixListener(path, subject.mainPid, subject.roots);
  switch (ownership.kind) {
    case "ours":
      return { kind: "pass" };
    case "none":
      return { kind: "wait", state: `whose socket "${path}" is cannot be told (see --any-listener)` };
    case "foreign":
      return {
        kind: "foreign",
        state: `the listener on the socket "${path}" is not the node's`,
        place: { kind: "socket", path },
        sockets: ownership.sockets,
      };
  }
}

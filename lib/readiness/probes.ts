/**
 * What looks at each kind of condition. The small ones stand here: a file, a unix socket, an age.
 *
 * @module
 */
import { ownershipOfUnixListener } from "../process/listeners.ts";
import { connectToUnix } from "../process/connect.ts";
import type { Probe } from "../spec/probes.ts";
import { modifiedAtMs } from "../state/durable.ts";
import { discoverProber } from "./discover.ts";
import { execProber } from "./exec.ts";
import { httpProber } from "./http.ts";
import { logProber } from "./log.ts";
import { portFileProber, tcpProber } from "./tcp.ts";
import type { Prober, ProbeTarget, Verdict } from "./types.ts";

/**
 * What looks at a condition, for one wait.
 *
 * @param asked HTTP probes by which a discovery is to tell the right port
 */
export function proberOf(probe: Probe, asked: Extract<Probe, { type: "http" }>[]): Prober {
  switch (probe.type) {
    case "tcp":
      return tcpProber(probe);
    case "port-file":
      return portFileProber(probe);
    case "discover":
      return discoverProber(asked);
    case "http":
      return httpProber(probe);
    case "unix":
      return (subject) => checkUnix(probe.path, probe.any_listener, subject);
    case "log":
      return logProber(probe.pattern);
    case "file":
      return (subject) => checkFile(probe.path, subject);
    case "exec":
      return execProber(probe.command);
    case "notify":
      return ({ notifications }) => notifications?.verdict() ?? { kind: "pass" };
    case "alive":
      return ({ ageMs }) =>
        ageMs >= probe.for_ms ? { kind: "pass" } : { kind: "wait", state: `it has not yet run for ${probe.for_ms} ms` };
  }
}

/** Whether a file exists that was written since the attempt began. */
function checkFile(path: string, subject: ProbeTarget): Verdict {
  const written = modifiedAtMs(path);
  if (written === null) return { kind: "wait", state: `"${path}" does not exist` };
  // Both moments are dated by the kernel's own clock for files, which goes in steps of some milliseconds.
  if (subject.sinceMs !== null && written < subject.sinceMs) {
    return { kind: "wait", state: `"${path}" is older than this start` };
  }
  return { kind: "pass" };
}

/** Whether the node accepts connections on a unix socket. */
async function checkUnix(path: string, anyListener: boolean, subject: ProbeTarget): Promise<Verdict> {
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

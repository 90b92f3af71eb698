/**
 * Conditions about a TCP port.
 *
 * @module
 */
import { platform } from "../os/platform.ts";
import type { Probe } from "../state/probes.ts";
import { readPortFile } from "../state/records.ts";
import { connectTo, findOwnListener, judgeListener } from "./listener.ts";
import type { Subject, Verdict } from "./probe.ts";

/** Discovery looks at the whole tree only every so many times; the main process is looked at each time. */
const TREE_EVERY = 25;

/** Whether the node accepts connections there. */
export async function checkTcp(host: string, port: number, anyListener: boolean, subject: Subject): Promise<Verdict> {
  const wait: Verdict = { kind: "wait", state: `nothing accepts connections on ${host}:${port}` };
  // A connect before anybody listens costs the server's log a line at best; in the ephemeral range it can even meet
  // itself, and then keeps the port from the server.
  let elsewhere: string[] = [];
  if (!anyListener && platform.listeners !== null) {
    const rows = (await platform.listeners.list()).filter((row) => row.port === port);
    if (rows.length === 0) return wait;
    elsewhere = rows.map((row) => row.address);
  }
  const answer = await connectTo(host, port);
  if (typeof answer === "string") {
    if (elsewhere.length === 0) return wait;
    // What "localhost" means to a server is often ::1 alone.
    return {
      kind: "wait",
      state: `port ${port} is open on ${elsewhere.join(" and ")}, but not on ${host} (see --host)`,
    };
  }
  if (anyListener) return { kind: "pass", host, port };
  const ownership = await judgeListener(answer.address, port, subject.mainPid, subject.roots);
  switch (ownership.kind) {
    case "ours":
      return { kind: "pass", host, port };
    case "none":
      return wait;
    case "foreign":
      return {
        kind: "foreign",
        state: `the listener on ${host}:${port} is not the node's`,
        place: { kind: "port", port },
        sockets: ownership.sockets,
      };
  }
}

/** Whether the node has written its port, and accepts connections there. */
export async function checkPortFile(probe: Extract<Probe, { type: "port-file" }>, subject: Subject): Promise<Verdict> {
  const before = readPortFile(probe.path);
  if (before === null) return { kind: "wait", state: `"${probe.path}" holds no port yet` };
  const recorded = subject.known?.nonce ?? null;
  if (recorded !== null && before.nonce !== null && before.nonce !== recorded) {
    return { kind: "wait", state: `"${probe.path}" carries the nonce of another server` };
  }
  const verdict = await checkTcp(probe.host, before.port, probe.any_listener, subject);
  if (verdict.kind !== "pass") return verdict;
  const after = readPortFile(probe.path);
  if (after?.port !== before.port || after.nonce !== before.nonce) {
    return { kind: "wait", state: `"${probe.path}" is still being written` };
  }
  return { ...verdict, nonce: after.nonce };
}

/** Whether the node listens on some port. `round` counts the looks of a wait. */
export async function discover(subject: Subject, round: number): Promise<Verdict> {
  if (subject.known !== null) return await checkTcp(subject.known.host, subject.known.port, false, subject);
  const extent = round % TREE_EVERY === TREE_EVERY - 1 ? "tree" : "main";
  const row = await findOwnListener(subject.mainPid, subject.roots, extent);
  if (row === null) return { kind: "wait", state: "it listens on no TCP port" };
  const hosts = row.address === "0.0.0.0" ? ["127.0.0.1"] : row.address === "::" ? ["127.0.0.1", "::1"] : [row.address];
  for (const host of hosts) {
    const verdict = await checkTcp(host, row.port, false, subject);
    if (verdict.kind === "pass") return verdict;
  }
  return { kind: "wait", state: `nothing accepts connections on port ${row.port}` };
}

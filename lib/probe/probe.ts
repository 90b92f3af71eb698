/**
 * One look at one condition for "ready".
 *
 * @module
 */
import { platform } from "../os/platform.ts";
import type { Roots } from "../process/tree.ts";
import { readPortFile } from "../state/records.ts";
import type { Probe } from "../state/settings.ts";
import { connectTo, findOwnListener, judgeListener, type Ownership } from "./listener.ts";

/** The node that a probe looks at. */
export interface Subject {
  /** Its main process. */
  mainPid: number;
  /** Where to find the rest of its processes. */
  roots: Roots;
  /** Milliseconds that it has been running. */
  ageMs: number;
  /** Where it was found before, which spares a discovery; `null` on the first start. */
  known: { host: string; port: number; nonce: string | null } | null;
}

/** What a probe found. */
export type Verdict =
  | { kind: "pass"; host?: string; port?: number; nonce?: string | null }
  | { kind: "wait"; state: string }
  | { kind: "foreign"; state: string; port: number; rows: Extract<Ownership, { kind: "foreign" }>["rows"] };

/** Discovery looks at the whole tree only every so many times; the main process is looked at each time. */
const TREE_EVERY = 25;

/** Looks once. `round` counts the looks of one wait from 0. */
export async function check(probe: Probe, subject: Subject, round: number): Promise<Verdict> {
  switch (probe.type) {
    case "tcp":
      return await checkTcp(probe.host, probe.port, probe.any_listener, subject);
    case "port-file":
      return await checkPortFile(probe, subject);
    case "discover":
      return await discover(subject, round);
    case "alive":
      return subject.ageMs >= probe.for_ms
        ? { kind: "pass" }
        : { kind: "wait", state: `it has not yet run for ${probe.for_ms} ms` };
  }
}

async function checkTcp(host: string, port: number, anyListener: boolean, subject: Subject): Promise<Verdict> {
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
        port,
        rows: ownership.rows,
      };
  }
}

async function checkPortFile(probe: Extract<Probe, { type: "port-file" }>, subject: Subject): Promise<Verdict> {
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

async function discover(subject: Subject, round: number): Promise<Verdict> {
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

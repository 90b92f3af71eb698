/**
 * `tombstone wait --port …`: for servers and files that this tool has not started.
 *
 * @module
 */
import { DEFAULTS } from "../spec/settings.ts";
import type { Call, Result } from "./call.ts";
import { describeOwnerNode, nodeOfProcess } from "../engine/claims.ts";
import { stopCommand } from "../engine/gone_directory.ts";
import { EXIT, type TombstoneError, tombstoneError, usageError } from "../errors.ts";
import { hostOf, isLocal, isLocalhost, portOf } from "../hosts.ts";
import { fromHere } from "../os/surroundings.ts";
import { describeOwner, findOccupant, type Owner } from "../process/listeners.ts";
import { lookAtTarget, NO_ANSWER, type Sight, type Target } from "../readiness/outside.ts";
import { parsePortOf, parseUrl } from "../spec/outside.ts";
import { HTTP_STATUS } from "../spec/probes.ts";
import { parseSocketPath, parseStatuses } from "../spec/values.ts";
import { sleep } from "../async.ts";
import { elapsed } from "./render.ts";

/** Flags that name something to wait for. */
const TARGETS = ["port", "http", "unix", "file"];

/** With `--gone`, any answer shows that the server is still there. */
const ANY_STATUS: [number, number] = [100, 599];

/** Longest single check, in milliseconds; then it is repeated. */
const LONGEST_LOOK_MS = 5000;

/** Shortest limit of a check, in milliseconds. */
const LEAST_LOOK_MS = 500;

/** Whether the call is about something that no node is. */
export function isOutside(call: Call): boolean {
  const { flags } = call;
  const given = TARGETS.find((name) => flags.texts(name).length > 0);
  for (const name of ["http-status", "insecure"]) {
    if ((flags.has(name) || flags.text(name) !== undefined) && flags.texts("http").length === 0) {
      const value = name === "insecure" ? "" : ` ${flags.text(name)}`;
      const help = `tombstone wait --http http://localhost:3000/ --${name}${value}`;
      throw usageError(`Cannot use --${name} without --http`, help);
    }
  }
  if (given === undefined) return false;
  if (call.nodes.length === 0) return true;
  const [other, node] = [`tombstone wait --${given} ${flags.text(given)}`, call.nodes[0]!];
  throw usageError(
    `Cannot wait for "${node}" with --${given}: a node has its own probes`,
    `tombstone wait ${node}; or, for a server that tombstone did not start, ${other}`,
  );
}

/** What the flags name. */
function targetsOf({ flags }: Call, isGone: boolean): Target[] {
  const ports = flags.texts("port").map((name) => ({ type: "port" as const, name, ...parsePortOf("--port", name) }));
  const text = flags.text("http-status");
  const status = text !== undefined ? parseStatuses("--http-status", text) : [isGone ? ANY_STATUS : HTTP_STATUS];
  const trust = flags.has("insecure") ? "proven" : "certificates";
  const urls = flags.texts("http").map((name) => parseUrl("--http", name, ports[0]?.port ?? null));
  return [
    ...ports,
    ...urls.map((url) => ({ type: "http" as const, name: url.href, url, status, trust } as const)),
    ...flags.texts("unix").map((name) => (
      { type: "unix" as const, name, path: parseSocketPath("--unix", fromHere(name)) }
    )),
    ...flags.texts("file").map((name) => ({ type: "file" as const, name, path: fromHere(name) })),
  ];
}

function labelOf(target: Target): string {
  return target.type === "port" && target.host === null ? `port ${target.port}` : target.name;
}

/** A target, and its last known state. */
interface Watched {
  target: Target;
  sight: Sight;
  holds: boolean;
  /** When it was first seen to hold, in milliseconds from the beginning; `null` while it does not. */
  afterMs: number | null;
}

/** Waits until all of it holds at the same time. */
export async function waitOutside(call: Call): Promise<Result> {
  const { flags, output } = call;
  const isGone = flags.has("gone");
  const timeoutMs = call.duration("timeout", DEFAULTS.timeout_ms);
  const watched: Watched[] = targetsOf(call, isGone).map((target) => ({
    target,
    sight: NO_ANSWER,
    holds: false,
    afterMs: null,
  }));
  const names = watched.map(({ target }) => labelOf(target)).join(", ");
  const begun = performance.now();
  using waiting = output.waitFor(isGone ? `until ${names} is gone` : `for ${names}`);
  const look = async (one: Watched) => {
    const left = Math.max(timeoutMs - (performance.now() - begun), LEAST_LOOK_MS);
    const sight = await lookAtTarget(one.target, Math.min(left, LONGEST_LOOK_MS));
    // A check that the end of the wait cuts short shows less than the one before it.
    if (sight !== "expired") one.sight = sight;
    else if (left >= LONGEST_LOOK_MS || one.holds) one.sight = NO_ANSWER;
    one.holds = one.sight.presence === (isGone ? "absent" : "there");
    one.afterMs = one.holds ? one.afterMs ?? Math.round(performance.now() - begun) : null;
  };
  for (;;) {
    // A condition that holds is not checked again while others do not; at the end, all are checked once more.
    const missing = watched.filter(({ holds }) => !holds);
    await Promise.all(missing.map(look));
    const isComplete = () => watched.every(({ holds }) => holds);
    if (isComplete() && missing.length < watched.length) await Promise.all(watched.map(look));
    const waitedMs = performance.now() - begun;
    if (isComplete()) return success(watched, isGone, Math.round(waitedMs));
    if (waitedMs >= timeoutMs) throw await inVain(call, watched.filter(({ holds }) => !holds), isGone, timeoutMs);
    waiting.update(
      watched.filter(({ holds }) => !holds).map(({ target, sight }) => `${labelOf(target)}: ${sight.state}`),
    );
    const pause = Math.min(Math.max(waitedMs * 0.05, 10), 250);
    await sleep(Math.min(pause, timeoutMs - waitedMs + 1));
  }
}

function success(watched: Watched[], isGone: boolean, waitedMs: number): Result {
  const targets = watched.map(({ target, sight, afterMs }) => ({
    type: target.type,
    target: target.name,
    state: sight.state,
    address: sight.address,
    status: sight.status,
    after_ms: afterMs,
  }));
  const lines = watched.map(({ target, sight, afterMs }) =>
    `${labelOf(target)}${isGone ? " is gone" : ""}: ${sight.state}, after ${elapsed(afterMs ?? waitedMs)}`
  );
  return { exitCode: EXIT.ok, document: { gone: isGone, waited_ms: waitedMs, targets }, lines };
}

async function inVain(call: Call, missing: Watched[], isGone: boolean, timeoutMs: number): Promise<TombstoneError> {
  const states: string[] = [];
  let stop: string | null = null;
  for (const { target, sight } of missing) {
    const owner = isGone ? await ownerOf(target, sight) : null;
    const node = owner === null || owner.pid === null ? null : nodeOfProcess(owner.pid, () => call.findState());
    const named = node === null ? "" : `, ${describeOwnerNode(node)}`;
    states.push(`${sight.state}${named}${owner === null ? "" : `, ${describeOwner(owner)}`}`);
    if (node !== null) stop ??= stopCommand(node.dir);
  }
  const after = `after ${elapsed(timeoutMs)}`;
  const one = missing.length === 1;
  const named = missing.map(({ target }, at) => `${quoted(target)}: ${states[at]}`);
  const goal = isGone ? " to go" : "";
  return tombstoneError(
    one
      ? `Cannot wait any longer for ${quoted(missing[0]!.target)}${goal}: ${after}, ${states[0]}`
      : `Cannot wait any longer${isGone ? " until all is gone" : ""}: ${after}, ${named.join("; ")}`,
    {
      kind: "not-ready",
      hint: hintFor(call, missing, isGone, stop),
      details: { timeout_ms: timeoutMs, waiting_for: one ? states : named },
    },
  );
}

function quoted(target: Target): string {
  return target.type === "port" && target.host === null ? labelOf(target) : `"${labelOf(target)}"`;
}

/** Who still listens, where that is known. */
async function ownerOf(target: Target, { presence }: Sight): Promise<Owner | null> {
  if (presence !== "there" || target.type === "unix" || target.type === "file") return null;
  const [host, port] = target.type === "port" ? [target.host, target.port] : [hostOf(target.url), portOf(target.url)];
  if (host !== null && !isLocalhost(host) && !isLocal(host)) return null;
  const owner = await findOccupant(host, port);
  return owner?.pid === null ? null : owner;
}

function hintFor({ flags }: Call, missing: Watched[], isGone: boolean, stop: string | null): string {
  const more = "allow more time with --timeout";
  const areFiles = missing.every(({ target }) => target.type === "file");
  if (isGone) return `${stop ?? (areFiles ? "remove it" : "end it")}, or ${more}`;
  const status = missing.find(({ sight }) => sight.status !== null)?.sight.status;
  if (status !== undefined) {
    return `accept that status with --http-status ${flags.text("http-status") ?? "200-399"},${status}, or ${more}`;
  }
  const isDistrusted = missing.some(({ sight }) => sight.state.includes("certificate"));
  if (isDistrusted) return `accept any certificate with --insecure, or ${more}`;
  return areFiles ? more : `tombstone list shows what tombstone has started; or ${more}`;
}

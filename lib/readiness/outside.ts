/**
 * Waiting for servers and files that this tool has not started: whether they listen, answer or exist. There is no node, no
 * proof of ownership and no state.
 *
 * @module
 */
import { describeErrno, errnoOf } from "../os/errno.ts";
import { lstatOrNull } from "../os/stat.ts";
import { hostOf, hostPort, portOf } from "../hosts.ts";
import { addressesOf } from "../process/connect.ts";
import { type Answer, answerOf } from "./http.ts";

/** Something to check. */
export type Target =
  /** A TCP port accepts connections; without a host, on `localhost`. */
  | { type: "port"; name: string; host: string | null; port: number }
  /** A GET is answered with a status in one of the ranges. */
  | { type: "http"; name: string; url: URL; status: [number, number][]; trust: "proven" | "certificates" }
  /** A unix socket accepts connections. */
  | { type: "unix"; name: string; path: string }
  /** A file, directory or anything else exists at this path. */
  | { type: "file"; name: string; path: string };

/**
 * Result of a check. `absent` is certain: refused, no such file, or an answer with another status. `unclear`: no answer
 * in time, or the check is not possible.
 */
export interface Sight {
  /** Whether it is there. */
  presence: "there" | "absent" | "unclear";
  /** The result in words. */
  state: string;
  /** Address that answered; `null` if none did, or where there is none. */
  address: string | null;
  /** Status of the answer; `null` without one. */
  status: number | null;
}

/** The result if no answer came in time. */
export const NO_ANSWER: Sight = { presence: "unclear", state: "no answer", address: null, status: null };

const seen = (presence: Sight["presence"], state: string): Sight => ({ presence, state, address: null, status: null });

/** Checks once; `"expired"` if there is no result within `limitMs` milliseconds. */
export async function lookAtTarget(target: Target, limitMs: number): Promise<Sight | "expired"> {
  if (target.type === "file") return lookAtFile(target.path);
  const controller = new AbortController();
  const limit = setTimeout(() => controller.abort(), limitMs);
  try {
    const sight = await ask(target, controller.signal);
    return controller.signal.aborted && sight.presence === "unclear" ? "expired" : sight;
  } finally {
    clearTimeout(limit);
  }
}

function ask(target: Exclude<Target, { type: "file" }>, signal: AbortSignal): Promise<Sight> {
  switch (target.type) {
    case "port":
      return anyOf(target.host, (address) => connect({ hostname: address, port: target.port, signal }));
    case "unix":
      return connect({ transport: "unix", path: target.path, signal });
    case "http":
      return anyOf(hostOf(target.url), (address) => get(target, address, signal));
  }
}

/** `localhost` is two addresses, and either counts; it is absent only if it is so at both. */
async function anyOf(host: string | null, check: (address: string) => Promise<Sight>): Promise<Sight> {
  const sights = await Promise.all(addressesOf(host).map(check));
  const worth = ({ presence, status }: Sight) =>
    presence === "there" ? 3 : status !== null ? 2 : presence === "unclear" ? 1 : 0;
  const best = sights.reduce((best, sight) => worth(sight) > worth(best) ? sight : best);
  const isUnclear = best.presence === "absent" && sights.some(({ presence }) => presence === "unclear");
  return isUnclear ? { ...best, presence: "unclear" } : best;
}

async function connect(
  where: Deno.ConnectOptions | (Deno.UnixConnectOptions & { signal: AbortSignal }),
): Promise<Sight> {
  try {
    using connection = await (Deno.connect as (where: Deno.ConnectOptions) => Promise<Deno.Conn>)(
      where as Deno.ConnectOptions,
    );
    const { localAddr: local, remoteAddr: remote } = connection;
    if (remote.transport !== "tcp" || local.transport !== "tcp") return seen("there", "it accepts connections");
    // In the ephemeral range a connect to a free port can meet itself (TCP simultaneous open).
    const isItself = local.port === remote.port && local.hostname === remote.hostname;
    if (isItself) return seen("absent", "connection refused");
    const state = `it accepts connections at ${hostPort(remote.hostname, remote.port)}`;
    return { ...seen("there", state), address: remote.hostname };
  } catch (error) {
    return describeRefusal(error);
  }
}

/** Errors that mean absent; also for an address that this machine does not have, as `::1` without IPv6. */
const ABSENT = ["ECONNREFUSED", "ENOENT", "ENOTDIR", "EADDRNOTAVAIL", "EAFNOSUPPORT"];

const WORDS: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network cannot be reached",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this machine has no such address",
  EPROTOTYPE: "it is a socket of another type",
  EAGAIN: "it takes no more connections now",
  ENOENT: "no such file",
};

/** Why a connect came to nothing. */
function describeRefusal(error: unknown): Sight {
  if (!(error instanceof Error) || error instanceof TypeError) throw error;
  if (error.name === "AbortError") return NO_ANSWER;
  const errno = errnoOf(error);
  // An error of the resolver has no number.
  if (errno === null) return seen("unclear", "its host name cannot be resolved");
  return seen(ABSENT.includes(errno) ? "absent" : "unclear", WORDS[errno] ?? describeErrno(error));
}

async function get(
  { url, status, trust }: Extract<Target, { type: "http" }>,
  address: string,
  signal: AbortSignal,
): Promise<Sight> {
  const answer: Answer = await answerOf({ url, host: hostOf(url), port: portOf(url), address, trust }, signal);
  if (answer.kind === "none") {
    if (signal.aborted) return NO_ANSWER;
    return answer.error === null ? seen("unclear", `it ${answer.state}`) : describeRefusal(answer.error);
  }
  const isWanted = status.some(([low, high]) => answer.status >= low && answer.status <= high);
  return {
    presence: isWanted ? "there" : "absent",
    state: `it answers with status ${answer.status}`,
    address,
    status: answer.status,
  };
}

/** Follows a link; a dangling link is neither there nor gone. */
function lookAtFile(path: string): Sight {
  try {
    Deno.statSync(path);
    return seen("there", "it exists");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === null) throw error;
    if (errno !== "ENOENT" && errno !== "ENOTDIR") return seen("unclear", describeErrno(error));
    return lstatOrNull(path, { place: "elsewhere", unseen: "missing" })?.isSymlink
      ? seen("unclear", "it is a link that leads nowhere")
      : seen("absent", "it does not exist");
  }
}

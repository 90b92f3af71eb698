/**
 * A condition about the answer to an HTTP request, the URL of a node, and recognising such requests in its log.
 *
 * @module
 */
import { errnoOf } from "../os/errno.ts";
import { system } from "../os/system.ts";
import { expiry } from "../async.ts";
import { hostOf, hostPort, portOf } from "../hosts.ts";
import { fillPort, PORT } from "../spec/placeholders.ts";
import type { Probe } from "../spec/probes.ts";
import { Throttle } from "./throttle.ts";
import type { Prober, RoundOptions, Verdict } from "./types.ts";
import { checkTcp } from "./tcp.ts";
import { lastLines, tailOf } from "../state/log_reader.ts";
import type { Endpoint } from "../spec/settings.ts";
import type { NodeInfo } from "../state/node_info.ts";

/** Longest wait for an answer, in milliseconds; then the probe asks again. */
const ANSWER_TIMEOUT_MS = 5000;

/** Longest beginning of an answer that is read for its status, in bytes. */
const MAX_HEAD_BYTES = 64 * 1024;

/**
 * Whether a GET on the node gets the wanted answer. Redirects are answers, and are not followed. This does not use
 * `fetch`, which would go through the proxy of the environment, and choose an address of `localhost` by itself.
 */
export function httpProber(probe: Extract<Probe, { type: "http" }>): Prober {
  const throttle = new Throttle(THROTTLE);
  return async (target, round) => {
    const at = round.found ?? (target.known?.port ? target.known : null);
    if (at === null && isOnOwnPort(probe)) return { kind: "wait", state: NO_PORT_YET };
    const url = urlOf(probe.target, at);
    const host = hostOf(url);
    const port = portOf(url);
    const spot = { host, port, anyListener: probe.any_listener };
    const reached = await checkTcp(spot, target, "none");
    if (reached.kind !== "pass") return reached;
    // A listener that is proven to be the node's needs no trusted certificate.
    const trust = !probe.any_listener && system.sockets !== null ? "proven" : "certificates";
    return await throttle.check((last) =>
      ask(probe, { url, host, port, address: reached.address!, trust }, round, last)
    );
  };
}

/** The state of a node whose port is not known yet; the probe that finds the port says more. */
export const NO_PORT_YET = "its port is not known yet";

/** Time between two requests: short at first, in the end a second. */
const THROTTLE = { shortestMs: 10, longestMs: 1000, part: 0.1 };

/** Whether a probe asks on the node's own port. */
export function isOnOwnPort(probe: Probe): boolean {
  return probe.type === "http" && (probe.target.startsWith("/") || probe.target.includes(PORT));
}

/** Where to ask. */
export interface Destination {
  /** What for. */
  url: URL;
  /** The host that a certificate must name. */
  host: string;
  /** Port. */
  port: number;
  /** The address of the host to connect to. */
  address: string;
  /** How the server is known to be the right one: as the proven owner of the listener, or by its certificate. */
  trust: "proven" | "certificates";
}

/** What came of a GET; `error`: why there was no answer, where an error says so. */
export type Answer = { kind: "status"; status: number } | { kind: "none"; state: string; error: Error | null };

async function ask(
  probe: Extract<Probe, { type: "http" }>,
  address: Destination,
  round: RoundOptions,
  last: Verdict | null,
): Promise<Verdict> {
  const { url, host, port } = address;
  const limit = Math.min(ANSWER_TIMEOUT_MS, round.limitMs);
  const answer = await answerWithin(limit, address, round.signal);
  if (answer === "expired" && limit < ANSWER_TIMEOUT_MS && last !== null) return last;
  if (answer === "expired") return { kind: "wait", state: `${url} did not answer within ${Math.round(limit)} ms` };
  if (answer.kind === "none") return { kind: "wait", state: `${url} ${answer.state}` };
  const { status } = answer;
  const isWanted = probe.status.some(([low, high]) => status >= low && status <= high);
  return isWanted ? { kind: "pass", host, port } : { kind: "wait", state: `${url} answers with status ${status}` };
}

/** The URL of a target, which is a URL or a path on the node. */
function urlOf(target: string, at: { host: string | null; port: number } | null): URL {
  if (!target.startsWith("/")) return new URL(fillPort(target, at?.port ?? null));
  return new URL(`http://${hostPort(at!.host ?? "localhost", at!.port)}${target}`);
}

/** As {@linkcode answerOf}; `"expired"` after `ms` milliseconds, and the connection is closed then. */
async function answerWithin(ms: number, at: Destination, signal: AbortSignal): Promise<Answer | "expired"> {
  const over = new AbortController();
  const abort = () => over.abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([answerOf(at, over.signal), expiry(ms)]);
  } finally {
    signal.removeEventListener("abort", abort);
    abort();
  }
}

/** Status of the answer to a GET, or why there is none. The signal closes the connection. */
export async function answerOf(at: Destination, signal: AbortSignal): Promise<Answer> {
  const isSecure = at.url.protocol === "https:";
  try {
    using connection = isSecure ? await connectSecurely(at, signal) : await connectPlainly(at, signal);
    signal.throwIfAborted();
    signal.addEventListener("abort", () => connection[Symbol.dispose](), { once: true });
    const head = `GET ${at.url.pathname}${at.url.search} HTTP/1.1\r\nHost: ${at.url.host}\r\n` +
      "User-Agent: tombstone\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    await write(connection, new TextEncoder().encode(head));
    const status = await readStatus(connection);
    if (status !== null) return { kind: "status", status };
    return { kind: "none", state: "does not answer in HTTP", error: null };
  } catch (error) {
    // Refused, reset, closed, an untrusted certificate: no answer.
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    if (errnoOf(error) === "ECONNREFUSED") return { kind: "none", state: "cannot be reached", error };
    return isSecure && error instanceof Deno.errors.InvalidData
      ? { kind: "none", state: describeDistrust(error), error: null }
      : { kind: "none", state: "does not answer", error };
  }
}

/** TLS has failed: over the certificate, or since the other side speaks something else. */
function describeDistrust({ message }: Error): string {
  if (/corrupt message/i.test(message)) return "does not speak TLS";
  return `has a certificate that is not trusted (${message}; see DENO_CERT)`;
}

/** A connection, with or without TLS. */
type Stream = Pick<Deno.Conn, "read" | "write"> & Disposable;

function connectPlainly({ address, port }: Destination, signal: AbortSignal): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: address, port, signal });
}

async function connectSecurely(at: Destination, signal: AbortSignal): Promise<Stream> {
  if (at.trust === "certificates") return await Deno.startTls(await connectPlainly(at, signal), { hostname: at.host });
  // Loaded only here: it needs Deno's code for Node, which takes some 100 ms.
  const { connectUnverified } = await import("./tls.ts");
  return await connectUnverified({ hostname: at.address, port: at.port, name: at.host, signal });
}

async function write(connection: Stream, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/**
 * Reads until the status is known; `null` if this is not HTTP. Informational answers (1xx) come before the real one.
 */
async function readStatus(connection: Stream): Promise<number | null> {
  const decoder = new TextDecoder("latin1");
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let length: number | null; (length = await connection.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, length));
    text = text.replace(/^(HTTP\/\d(?:\.\d)? 1\d\d[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\n)+/, "");
    const status = /^HTTP\/\d(?:\.\d)? ([2-9]\d\d)\b/.exec(text)?.[1];
    if (status !== undefined) return Number(status);
    if (text.length > MAX_HEAD_BYTES || (text.length >= 5 && !text.startsWith("HTTP/"))) return null;
  }
  return null;
}

/** Number of last lines in which to look for lines other than those of the access log. */
const SEARCHED_LINES = 2000;

/** The last lines of a log without the requests of these probes, which would hide more useful lines. */
export function lastLinesOfItsOwn(log: string, probes: Probe[], count: number): string[] {
  const paths = probes.flatMap((probe) => probe.type === "http" ? [pathOf(probe.target)] : []);
  const lines = lastLines(log, SEARCHED_LINES);
  const own = lines.filter((line) => !isAboutRequest(line, paths));
  return tailOf(own.length > 0 ? own : lines, count);
}

function pathOf(target: string): string {
  const { pathname, search } = urlOf(target, { host: null, port: 1 });
  return pathname + search;
}

/** Whether a line of an access log is about a probe: by its `User-Agent`, or by method and path. */
function isAboutRequest(line: string, paths: string[]): boolean {
  if (/"tombstone"|\bOPTIONS \*/.test(line)) return true;
  return paths.some((path) => {
    const at = line.indexOf(`GET ${path}`);
    return at >= 0 && /^($|[\s"'])/.test(line.slice(at + 4 + path.length));
  });
}

/** The parts of a commit record that make the address. */
export type Reached = Pick<NodeInfo, "port" | "probes" | "bind_addr" | "host" | "protocol">;

/** Where a node is reached; `null` where it has no port. */
export function addressOf(info: Reached): Endpoint | null {
  const { port } = info;
  if (port === 0) return null;
  const host = info.bind_addr ?? info.host ?? "127.0.0.1";
  const scheme = schemeOf(info);
  const where = hostPort(host, port);
  return { host, port, url: scheme === null ? where : `${scheme}://${where}` };
}

function schemeOf({ probes, port, bind_addr, host, protocol }: Reached): "http" | "https" | null {
  for (const probe of probes) {
    if (probe.type !== "http") continue;
    const url = urlOf(probe.target, { host: bind_addr ?? host, port });
    const isHere = portOf(url) === port;
    if (isHere) return url.protocol === "https:" ? "https" : "http";
  }
  return protocol;
}

/**
 * Connecting to a server, and finding out its protocol.
 *
 * @module
 */
import { errnoOf } from "../os/errno.ts";
import { isLocalhost, LOOPBACK } from "../hosts.ts";
import { expiry } from "../async.ts";

/** Longest wait for an answer to a connect, in milliseconds; a full backlog gives none. */
const CONNECT_TIMEOUT_MS = 1000;

/** Addresses to try for a host name; for `localhost`, or without a host, the loopback addresses. */
export function addressesOf(host: string | null): string[] {
  return host === null || isLocalhost(host) ? [...LOOPBACK] : [host];
}

/**
 * Connects, and closes the connection again.
 *
 * @param contact `ask`: also detects the protocol
 * @returns the address that accepted, an IP literal; `"refused"` if none did; `"silent"` if there was no answer
 */
export async function connectTo(
  host: string | null,
  port: number,
  contact: "none" | "connect" | "ask" = "connect",
): Promise<{ address: string; protocol: Protocol } | "refused" | "silent"> {
  let isSilent = false;
  for (const hostname of addressesOf(host)) {
    const answer = await Promise.race([connectOnce(hostname, port, contact === "ask"), expiry(CONNECT_TIMEOUT_MS)]);
    if (answer === "expired") isSilent = true;
    else if (answer !== null) return answer;
  }
  return isSilent ? "silent" : "refused";
}

async function connectOnce(
  hostname: string,
  port: number,
  asks: boolean,
): Promise<{ address: string; protocol: Protocol } | null> {
  try {
    using connection = await Deno.connect({ hostname, port });
    const local = connection.localAddr as Deno.NetAddr;
    const remote = connection.remoteAddr as Deno.NetAddr;
    // In the ephemeral range a connect to a free port can meet itself (TCP simultaneous open).
    if (local.port === port && local.hostname === remote.hostname) return null;
    return { address: remote.hostname, protocol: asks ? await protocolOf(connection) : null };
  } catch (error) {
    // Refused, unreachable, reset, no such host, permission: no server answers.
    if (error instanceof Error && !(error instanceof TypeError)) return null;
    throw error;
  }
}

/** Whether a server could listen there, on each address of the host. `refused`: this user may not. */
export function tryToListen(host: string | null, port: number): "free" | "taken" | "refused" {
  for (const hostname of addressesOf(host)) {
    try {
      Deno.listen({ hostname, port }).close();
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return "taken";
      if (error instanceof Deno.errors.PermissionDenied) return "refused";
      const isNoAddressHere = error instanceof Deno.errors.AddrNotAvailable || errnoOf(error) === "EAFNOSUPPORT";
      if (!isNoAddressHere) throw error;
    }
  }
  return "free";
}

/** Connects to a unix socket, and closes the connection again. */
export async function connectToUnix(path: string): Promise<"accepted" | "refused" | "silent"> {
  try {
    const connection = Deno.connect({ transport: "unix", path });
    const answer = await Promise.race([connection, expiry(CONNECT_TIMEOUT_MS)]);
    if (answer === "expired") return "silent";
    answer.close();
    return "accepted";
  } catch (error) {
    // EAGAIN: the backlog is full. A socket of another type, or closed to this user, may have a listener. After any other
    // error, no server answers.
    if (["EAGAIN", "EPROTOTYPE", "EACCES", "EPERM"].includes(errnoOf(error) ?? "")) return "silent";
    if (error instanceof Error && !(error instanceof TypeError)) return "refused";
    throw error;
  }
}

/** Protocol of a server; `null`: another one, or unknown. */
export type Protocol = "http" | "https" | null;

/** How long to wait for a server that sends first, as databases and mail servers do, before it gets a request; ms. */
const GREETING_MS = 4;

/** Longest wait for its answer, from the connect, in milliseconds. */
const ANSWER_TIMEOUT_MS = 100;

/**
 * A request that HTTP servers refuse before the user's code sees it: HTTP/1.1 without a host. It avoids `POST` and
 * `Host:`, which redis treats as an attack.
 */
const QUESTION = new TextEncoder().encode("OPTIONS * HTTP/1.1\r\nUser-Agent: tombstone\r\n\r\n");

/**
 * The shortest ClientHello of TLS (RFC 5246, 7.4.1.2), with one suite and no extension. A TLS server answers with a
 * handshake record (22) or an alert (21).
 */
const CLIENT_HELLO = new Uint8Array([
  ...[22, 3, 1, 0, 45], // record: handshake, version, length
  ...[1, 0, 0, 41, 3, 3], // ClientHello, length, version
  ...new Uint8Array(32).fill(116), // random
  ...[0, 0, 2, 0xc0, 0x2f, 1, 0], // no session, one suite, no compression
]);

/** Longest answer that is read, in bytes. */
const MAX_ANSWER_BYTES = 4096;

/**
 * Finds out, on a new connection, whether the server speaks HTTP. It writes nothing to a server that sends first, and takes
 * a tenth of a second at most.
 */
export async function protocolOf(connection: Deno.Conn): Promise<Protocol> {
  const answer = await ask(connection, QUESTION);
  if (!answer.startsWith("HTTP/")) return null;
  if (/HTTPS|SSL|TLS/.test(answer)) return "https";
  // nginx complains about the missing host before it says that the port expects HTTPS.
  if (!/^HTTP\/\S+ 400\b/.test(answer) || !/^server: *(nginx|openresty)/im.test(answer)) return "http";
  const { hostname, port } = connection.remoteAddr as Deno.NetAddr;
  try {
    using second = await Deno.connect({ hostname, port });
    const kind = (await ask(second, CLIENT_HELLO)).charCodeAt(0);
    return kind === 21 || kind === 22 ? "https" : "http";
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return null;
    throw error;
  }
}

/** The answer, as far as it comes in time; empty if there is none, or if the server sent something first. */
async function ask(connection: Deno.Conn, question: Uint8Array): Promise<string> {
  const answer = { text: "" };
  const reading = read(connection, answer);
  const end = expiry(ANSWER_TIMEOUT_MS);
  if (await Promise.race([reading, expiry(GREETING_MS)]) !== "expired") return ""; // it sent first, or closed
  const sent = connection.write(question).catch(ignoreLoss);
  await Promise.race([Promise.all([reading, sent]), end]);
  return answer.text;
}

/** Reads the head and the bytes that come with it, until that is enough or the server closes the connection. */
async function read(connection: Deno.Conn, answer: { text: string }): Promise<void> {
  const decoder = new TextDecoder("latin1");
  const buffer = new Uint8Array(MAX_ANSWER_BYTES);
  while (answer.text.length < MAX_ANSWER_BYTES) {
    const length = await connection.read(buffer).catch(ignoreLoss);
    if (length === null) break;
    answer.text += decoder.decode(buffer.subarray(0, length));
    // After an error, the explanation in the body may matter; else the first line is enough.
    if (!/^HTTP\/\S+ 400\b/.test(answer.text) || /\r?\n\r?\n[^]*\S/.test(answer.text)) break;
  }
}

/** Refused, reset or closed: there is no answer. */
function ignoreLoss(error: unknown): null {
  if (error instanceof Error && !(error instanceof TypeError)) return null;
  throw error;
}

/**
 * Connecting to a server, and finding out what it speaks.
 *
 * @module
 */
import { errnoOf } from "../errno.ts";
import { isLocalhost, LOOPBACK } from "../hosts.ts";
import { expiry } from "../timers.ts";

/** Longest wait for an answer to a connect, in milliseconds; a full backlog gives none. */
const CONNECT_TIMEOUT_MS = 1000;

/** Addresses to try for a host name; `null`, where none was asked for, is this machine to itself, as `localhost` is. */
export function addressesOf(host: string | null): string[] {
  return host === null || isLocalhost(host) ? [...LOOPBACK] : [host];
}

/**
 * Connects, and closes again.
 *
 * @param contact `ask`: finds out what it speaks, too
 * @returns the address that accepted, an IP literal; `"refused"` if nobody did; `"silent"` if there was no answer
 */
export async function connectTo(
  host: string | null,
  port: number,
  contact: "connect" | "look" | "ask" = "connect",
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
    // Refused, unreachable, reset, no such host, permission: each time nobody of use answers.
    if (error instanceof Error && !(error instanceof TypeError)) return null;
    throw error;
  }
}

/** Connects to a unix socket, and closes again. */
export async function connectToUnix(path: string): Promise<"accepted" | "refused" | "silent"> {
  try {
    const connection = Deno.connect({ transport: "unix", path });
    const answer = await Promise.race([connection, expiry(CONNECT_TIMEOUT_MS)]);
    if (answer === "expired") return "silent";
    answer.close();
    return "accepted";
  } catch (error) {
    // A full backlog refuses with EAGAIN; somebody may be behind a socket of another type, or one that is closed to this
    // user; what else there may be, nobody of use answers.
    if (["EAGAIN", "EPROTOTYPE", "EACCES", "EPERM"].includes(errnoOf(error) ?? "")) return "silent";
    if (error instanceof Error && !(error instanceof TypeError)) return "refused";
    throw error;
  }
}

/** What a server has shown to speak; `null`: nothing of these. */
export type Protocol = "http" | "https" | null;

/** How long a server may take to speak first, as databases and mail servers do; then it is spoken to. Milliseconds. */
const GREETING_MS = 4;

/** Longest wait for its answer, from the connect, in milliseconds. */
const ANSWER_TIMEOUT_MS = 100;

/**
 * A request that servers refuse by themselves, before it comes to what the user wrote: HTTP/1.1 without a host. Nor is
 * it the kind of request that redis takes for an attack (`POST`, `Host:`).
 */
const QUESTION = new TextEncoder().encode("OPTIONS * HTTP/1.1\r\nUser-Agent: tombstone\r\n\r\n");

/**
 * The least that TLS begins with: a ClientHello of RFC 5246, 7.4.1.2, with one suite and no extension. Whoever speaks TLS
 * answers with a record of the handshake (22) or an alert (21).
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
 * Finds out, on a connection that has just been made, whether the other side speaks HTTP. Never writes to who speaks
 * first, and never takes longer than a tenth of a second.
 */
export async function protocolOf(connection: Deno.Conn): Promise<Protocol> {
  const answer = await ask(connection, QUESTION);
  if (!answer.startsWith("HTTP/")) return null;
  if (/HTTPS|SSL|TLS/.test(answer)) return "https";
  // nginx asks for a host before it tells that its port is one for HTTPS.
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

/** What it answers, as far as it comes in time; empty if that is nothing, or if it said something by itself. */
async function ask(connection: Deno.Conn, question: Uint8Array): Promise<string> {
  const answer = { text: "" };
  const reading = read(connection, answer);
  const end = expiry(ANSWER_TIMEOUT_MS);
  if (await Promise.race([reading, expiry(GREETING_MS)]) !== "expired") return ""; // it spoke first, or hung up
  const sent = connection.write(question).catch(forget);
  await Promise.race([Promise.all([reading, sent]), end]);
  return answer.text;
}

/** Reads the head and what comes with it, until there is enough to tell, or the other side has finished. */
async function read(connection: Deno.Conn, answer: { text: string }): Promise<void> {
  const decoder = new TextDecoder("latin1");
  const buffer = new Uint8Array(MAX_ANSWER_BYTES);
  while (answer.text.length < MAX_ANSWER_BYTES) {
    const length = await connection.read(buffer).catch(forget);
    if (length === null) break;
    answer.text += decoder.decode(buffer.subarray(0, length));
    // An error's explanation may follow its head; of other answers, the first line is enough.
    if (!/^HTTP\/\S+ 400\b/.test(answer.text) || /\r?\n\r?\n[^]*\S/.test(answer.text)) break;
  }
}

/** Refused, reset or closed: there is no answer. */
function forget(error: unknown): null {
  if (error instanceof Error && !(error instanceof TypeError)) return null;
  throw error;
}

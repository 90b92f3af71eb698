/**
 * What a server speaks.
 *
 * @module
 */
import { expiry } from "../timers.ts";

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

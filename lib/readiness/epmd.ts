/**
 * Ports at which nodes of Erlang reach each other.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { expiry } from "../timers.ts";
import type { OwnPort } from "../process/own_ports.ts";

/** Longest wait for epmd, in milliseconds. */
const ANSWER_TIMEOUT_MS = 500;

/** NAMES_REQ of the distribution protocol: length, 110. */
const NAMES_REQUEST = new Uint8Array([0, 1, 110]);

/**
 * The ports that nodes of this machine have told epmd(1), so that other nodes find them; nobody else means them. Asked for
 * only where a port belongs to an Erlang system, and nothing names it.
 */
export async function distributionPorts({ claim, holder }: OwnPort): Promise<number[]> {
  if (claim !== "any" && claim !== "stays") return [];
  if (!system.processes.read(holder)?.name.startsWith("beam")) return [];
  const port = Number(system.processes.environment(holder, "ERL_EPMD_PORT") ?? 4369) || 4369;
  const names = await Promise.race([readNames(port), expiry(ANSWER_TIMEOUT_MS)]);
  return Array.from(
    names === "expired" ? [] : names.matchAll(/^name \S+ at port (\d+)$/gm),
    ([, port]) => Number(port),
  );
}

async function readNames(port: number): Promise<string> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(NAMES_REQUEST);
    const answer = await new Response(connection.readable).bytes();
    return new TextDecoder().decode(answer.subarray(4)); // epmd's own port comes first
  } catch (error) {
    if (error instanceof Error && !(error instanceof TypeError)) return ""; // there is none
    throw error;
  }
}

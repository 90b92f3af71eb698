/**
 * Where a node is reached.
 *
 * @module
 */
import { hostPort } from "../hosts.ts";
import { urlOf } from "../readiness/http.ts";
import type { Endpoint } from "../spec/settings.ts";
import type { NodeInfo } from "../state/node_info.ts";

/** What of a node tells where it is reached. */
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
    const isHere = (Number(url.port) || (url.protocol === "https:" ? 443 : 80)) === port;
    if (isHere) return url.protocol === "https:" ? "https" : "http";
  }
  return protocol;
}

/**
 * How hosts and addresses are written: names of this machine, IPv6 in brackets, IPv4 within IPv6.
 *
 * @module
 */

/** The addresses that `localhost` may stand for; which one is up to each server. */
export const LOOPBACK: readonly string[] = ["127.0.0.1", "::1"];

/** Whether a name is `localhost` or below it (RFC 6761). */
export function isLocalhost(host: string): boolean {
  return /^(.+\.)?localhost$/i.test(host);
}

/** Whether an address is a loopback address. */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** Whether this is an address, and not a name that must be resolved. */
export function isAddress(host: string): boolean {
  return /^[\d.]+$|:/.test(host);
}

/** Whether a listener at this address is reached at every address of the machine. */
export function isAnyAddress(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** Whether a listener at this address is reached from this machine without a name: loopback, or any address. */
export function isLocal(address: string): boolean {
  return isAnyAddress(address) || isLoopback(address);
}

/** `host:port`, an IPv6 address in brackets. */
export function hostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The host of a URL without the brackets of an IPv6 address. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** The port that a URL names, or that of its scheme. */
export function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === "https:" ? 443 : 80);
}

/** The text of an address of 4 or 16 bytes, in network order; IPv4-mapped IPv6 as IPv4. */
export function addressText(bytes: number[]): string {
  if (bytes.length === 4) return bytes.join(".");
  const isMapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (isMapped) return bytes.slice(12).join(".");
  const groups = [];
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at]! << 8) | bytes[at + 1]!).toString(16));
  return hostOf(new URL(`http://[${groups.join(":")}]`));
}

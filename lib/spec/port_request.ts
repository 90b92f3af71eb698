/**
 * A port as a node asks for it: `3000` is that one, `0` any, `3000+` that or the next free one above it.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import { refuse } from "./values.ts";

/** What a node asks for: a number, or text such as `3000+`. */
export type PortRequest = number | `${number}+`;

/** Text such as `3000+`, from 1 to 65535. */
export const PORT_AND_ABOVE = /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])\+$/;

/** Whether a value of a description or of a record is one. */
export function isPortRequest(value: unknown): value is PortRequest {
  if (typeof value === "number") return Number.isInteger(value) && value >= 0 && value <= 65535;
  return typeof value === "string" && PORT_AND_ABOVE.test(value);
}

/** This machine before a port, as in `:3000` or `localhost:3000`: it adds nothing. */
const HERE = /^(?:localhost|127\.0\.0\.1|\[::1\])?:/i;

/**
 * The port that a text or a number asks for. `:3000` and `localhost:3000` are `3000`.
 *
 * @param place name of the place in messages
 * @throws {TombstoneError} it is of another form
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parsePortRequest } from "./port_request.ts";
 *
 * assertEquals(parsePortRequest("--port", "3000"), 3000);
 * assertEquals(parsePortRequest("--port", "3000+"), "3000+");
 * assertEquals(parsePortRequest("--port", "localhost:3000"), 3000);
 * ```
 */
export function parsePortRequest(place: string, value: string | number): PortRequest {
  const text = String(value).replace(HERE, "");
  const port = /^\d{1,5}$/.test(text) ? Number(text) : text;
  if (isPortRequest(port)) return port;
  const url = typeof value === "string" ? URL.parse(value.replace(/^(https?)-get:/i, "$1:")) : null;
  if (url?.protocol === "http:" || url?.protocol === "https:") {
    throw usageError(`Cannot use "${value}" for ${place}: it is a URL`, exampleFor(place, url));
  }
  const other = /^([a-z][a-z-]*):(?:\/\/)?([^/]*:)?(\d{1,5})\/?$/i.exec(text);
  if (other !== null && PREFIXES.has(other[1]!.toLowerCase()) && isPortRequest(Number(other[3]))) {
    throw usageError(
      `Cannot use "${value}" for ${place}: it has a prefix`,
      place.startsWith("--") ? `${place} ${other[3]}` : `write ${other[3]} for ${place}`,
    );
  }
  const [, host, number] = /^([^:/]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === "*" && isPortRequest(Number(number))) {
    throw usageError(
      `Cannot use "${value}" for ${place}: expected the port alone`,
      place.startsWith("--") ? `${place} ${number}` : `write ${number} for ${place}`,
    );
  }
  if (place.startsWith("--") && host !== undefined && isPortRequest(Number(number))) {
    throw usageError(`Cannot use "${value}" for ${place}: it names a host`, `${place} ${number} --host ${host}`);
  }
  throw refuse(
    place,
    value,
    "a port from 0 to 65535 (0 picks a free one), or 3000+ for 3000 or the next free one",
    "3000",
  );
}

/** What other tools write before a port, as in `tcp:3000`: it is no host. */
const PREFIXES = new Set(["tcp", "tcp4", "tcp6", "udp", "port"]);

/** The flags for a URL. */
function exampleFor(place: string, { href, port, protocol }: URL): string {
  const number = port !== "" ? port : protocol === "https:" ? "443" : "80";
  return place.startsWith("--") ? `${place} ${number} --http ${href}` : `write ${number} for ${place}`;
}

/** The lowest port that may be chosen for a request, 0: any; `null`: there is nothing to choose. */
export function chosenFrom(request: PortRequest | null): number | null {
  if (typeof request === "string") return Number(request.slice(0, -1));
  return request === 0 ? 0 : null;
}

/** The one port that a request names; `null`: it leaves the choice, or there is no port. */
export function fixedPort(request: PortRequest | null): number | null {
  return typeof request === "number" && request !== 0 ? request : null;
}

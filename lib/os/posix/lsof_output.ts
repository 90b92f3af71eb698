/**
 * The text of `lsof -F`, lsof(8) "OUTPUT FOR OTHER PROGRAMS": one field a line, the first letter says which. A line `p…`
 * begins a process, a line `f…` one of its files.
 *
 * @module
 */

/** A file that a process has open. */
export interface OpenFile {
  /** Process that has it. */
  pid: number;
  /** Its user; `null` if that was not requested. */
  user: string | null;
  /** Descriptor, or `cwd`, `txt`, `mem` … */
  descriptor: string;
  /** Whether it may be read, written, or both (`u`); empty if it is not a descriptor. */
  access: string;
  /** `IPv4`, `IPv6`, `unix`, `REG`, `DIR` …; macOS and Linux differ in some. */
  type: string;
  /** Inode of a socket on Linux, its address in the kernel on macOS: the same for all processes that hold it. */
  device: string;
  /** Path or address. */
  name: string;
  /** State of a TCP socket, such as `LISTEN`; empty if lsof does not show it. */
  state: string;
}

/**
 * The open files that lsof has listed. Skips lines of another form.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseOpenFiles } from "./lsof_output.ts";
 *
 * const [file] = parseOpenFiles("p4312\nu501\nf22\nau\ntIPv6\nd0x8b2c6f2a1ca8e7d1\nn*:3000\nTST=LISTEN\n");
 * assertEquals([file?.pid, file?.descriptor, file?.name, file?.state], [4312, "22", "*:3000", "LISTEN"]);
 * ```
 */
export function parseOpenFiles(text: string): OpenFile[] {
  const files: OpenFile[] = [];
  let owner: Pick<OpenFile, "pid" | "user"> | null = null;
  let file: OpenFile | null = null;
  for (const line of text.split("\n")) {
    const value = line.slice(1);
    switch (line.charAt(0)) {
      case "p":
        owner = /^\d+$/.test(value) ? { pid: Number(value), user: null } : null;
        file = null;
        break;
      case "u":
        if (owner !== null && /^\d+$/.test(value)) owner.user = value;
        break;
      case "f":
        file = owner === null
          ? null
          : { ...owner, descriptor: value, access: "", type: "", device: "", name: "", state: "" };
        if (file !== null) files.push(file);
        break;
      case "a":
        if (file !== null) file.access = value.trim();
        break;
      case "t":
        if (file !== null) file.type = value;
        break;
      case "d":
        if (file !== null) file.device = value;
        break;
      case "n":
        if (file !== null) file.name = unescape(value);
        break;
      case "T":
        if (file !== null && value.startsWith("ST=")) file.state = value.slice(3);
        break;
    }
  }
  return files;
}

/** Whether a file is open for writing. */
export function isWritten({ access }: OpenFile): boolean {
  return access === "w" || access === "u";
}

/** What lsof puts for bytes that cannot be printed, by its man page under "OUTPUT": `\n`, `^A`, `\xc3`. */
function unescape(text: string): string {
  if (!text.includes("\\")) return text;
  const bytes: number[] = [];
  const letters: Record<string, number> = { b: 8, f: 12, n: 10, r: 13, t: 9, "\\": 92 };
  for (const [part, hex, letter] of text.matchAll(/\\x([0-9a-f]{2})|\\([bfnrt\\])|[^\\]+|\\/g)) {
    if (hex !== undefined) bytes.push(parseInt(hex, 16));
    else if (letter !== undefined) bytes.push(letters[letter]!);
    else bytes.push(...new TextEncoder().encode(part));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** A listener and its descriptor. */
export interface ListeningFile extends OpenFile {
  /** An IPv4 or IPv6 literal; IPv4-mapped IPv6 as IPv4. */
  address: string;
  /** Port. */
  port: number;
}

/** The listening TCP sockets among open files: once for each process that holds one. */
export function listeningFiles(files: OpenFile[]): ListeningFile[] {
  return files.flatMap((file) => {
    const place = /^IPv[46]$/.test(file.type) && ["LISTEN", ""].includes(file.state) ? placeOf(file) : null;
    return place === null ? [] : [{ ...file, ...place }];
  });
}

/** `127.0.0.1:80`, `[::1]:80`, `*:80`; `null` for a connection or a socket without a port. */
function placeOf({ type, name }: OpenFile): { address: string; port: number } | null {
  const form = /^(?:\*|\[([0-9a-fA-F:.%\w]+)\]|([\d.]+)):(\d+)(?: \(LISTEN\))?$/.exec(name);
  if (form === null) return null;
  const [, six, four, port] = form;
  const any = type === "IPv6" ? "::" : "0.0.0.0";
  return { address: four ?? (six === undefined ? any : canonicalText(six)), port: Number(port) };
}

function canonicalText(address: string): string {
  try {
    const text = new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
    const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text);
    if (mapped === null) return text;
    const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
    return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  } catch (error) {
    if (error instanceof TypeError) return address;
    throw error;
  }
}

/** A unix socket with the name that it was bound to. */
export interface UnixFile extends OpenFile {
  /** As the server gave it, perhaps a relative one. */
  path: string;
}

/**
 * The unix sockets among open files that may listen. macOS does not show which do: there, a server's connections also
 * have the name of its listener. Linux cuts a name at its first blank.
 */
export function unixFiles(files: OpenFile[]): UnixFile[] {
  return files.flatMap((file) => {
    if (file.type !== "unix" || !["LISTEN", ""].includes(file.state)) return [];
    const path = file.name.replace(/ ?\btype=[A-Z]+.*$/, "");
    return path === "" || path.startsWith("->") ? [] : [{ ...file, path: path.replace(/^@/, "\0") }];
  });
}

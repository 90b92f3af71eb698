/**
 * The text of `/proc/net/tcp`, `/proc/net/tcp6` and `/proc/net/unix` (proc_pid_net(5)).
 *
 * @module
 */
import { addressText } from "../../hosts.ts";
import type { ListenerRow, UnixListenerRow } from "../rows.ts";

/** `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`. */
const LISTEN = "0A";

/**
 * The listening sockets of one table.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseListeners } from "./socket_table.ts";
 *
 * const line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1";
 * assertEquals(parseListeners(line), [{ address: "127.0.0.1", port: 8080, user: "1000", inode: 4711 }]);
 * ```
 */
export function parseListeners(text: string): ListenerRow[] {
  const rows: ListenerRow[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] !== LISTEN) continue;
    const [address, port] = (fields[1] ?? "").split(":");
    rows.push({
      address: decodeAddress(address ?? ""),
      port: parseInt(port ?? "", 16),
      user: fields[7] ?? null,
      inode: Number(fields[9]),
    });
  }
  return rows;
}

/** The kernel prints each 32-bit word in the byte order of the machine; all that Deno runs on are little-endian. */
function decodeAddress(hex: string): string {
  const bytes: number[] = [];
  for (let word = 0; word + 8 <= hex.length; word += 8) {
    for (let at = 6; at >= 0; at -= 2) bytes.push(parseInt(hex.slice(word + at, word + at + 2), 16));
  }
  return addressText(bytes);
}

/** `__SO_ACCEPTCON` of the kernel's `include/uapi/linux/net.h`. */
const ACCEPTS = 0x10000;

/**
 * The listening unix sockets.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseUnixListeners } from "./socket_table.ts";
 *
 * const line = "00000000a0a95bce: 00000002 00000000 00010000 0001 01 4711 /run/app with blank.sock";
 * assertEquals(parseUnixListeners(line), [{ inode: 4711, path: "/run/app with blank.sock", fileInode: null }]);
 * ```
 */
export function parseUnixListeners(text: string): UnixListenerRow[] {
  const rows: UnixListenerRow[] = [];
  for (const line of text.split("\n")) {
    // Num RefCount Protocol Flags Type St Inode Path; "@" stands for the NUL of an abstract name.
    const form = /^[0-9a-f]+: \S+ \S+ ([0-9a-f]+) \S+ \S+ +(\d+) (.+)$/i.exec(line);
    if (form === null || (parseInt(form[1]!, 16) & ACCEPTS) === 0) continue;
    rows.push({ inode: Number(form[2]), path: form[3]!.replace(/^@/, "\0"), fileInode: null });
  }
  return rows;
}

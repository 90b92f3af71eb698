/** Samples of the output of ps and lsof, in the forms of Linux and macOS, by their man pages. */
import { assertEquals } from "@std/assert";
import { isWritten, listeningFiles, parseOpenFiles, unixFiles } from "../lib/os/posix/lsof_output.ts";
import { pidsThatName, variableByPid } from "../lib/os/posix/ps_output.ts";

/** The device of a socket is its inode, and unix sockets show their state. Two processes share the first listener. */
const LINUX = `p4312
u1000
fcwd
tDIR
n/home/me/caf\\xc3\\xa9
f3
au
tIPv4
d4584916
n127.0.0.1:8080
TST=LISTEN
TQR=0
TQS=0
f4
au
tIPv6
d4584918
n*:8081
TST=LISTEN
f5
au
tIPv4
d4584920
n127.0.0.1:51892->127.0.0.1:8080
TST=ESTABLISHED
f7
au
tunix
d0x000000009cb8837d
nrel.sock type=STREAM
TST=LISTEN
f8
ar
tCHR
n/dev/null
f9
aw
tREG
n/state/server.log
p4399
u1000
f3
au
tIPv4
d4584916
n127.0.0.1:8080
TST=LISTEN
`;

/** The device is an address in the kernel, unix sockets have no state, and an arrow precedes their peer. */
const MACOS = `p501
u501
fcwd
tDIR
n/Users/me/shop
f22
au
tIPv6
d0x8b2c6f2a1ca8e7d1
n[::1]:3000
TST=LISTEN
f23
au
tIPv4
d0x8b2c6f2a1ca8e7d9
n*:3001
TST=LISTEN
f24
tIPv6
d0x8b2c6f2a1ca8e7e1
n[::ffff:127.0.0.1]:3002
TST=LISTEN
f25
tunix
d0x8b2c6f2a1cb00001
n/Users/me/Library/Application Support/shop/s.sock
f26
tunix
d0x8b2c6f2a1cb00002
n->0x8b2c6f2a1cb00003
`;

Deno.test("lsof of Linux: listeners with their addresses and sockets, and files open for writing", () => {
  const files = parseOpenFiles(LINUX);
  assertEquals(files[0]!.name, "/home/me/café");
  assertEquals(listeningFiles(files).map(({ pid, address, port, device }) => [pid, address, port, device]), [
    [4312, "127.0.0.1", 8080, "4584916"],
    [4312, "::", 8081, "4584918"],
    [4399, "127.0.0.1", 8080, "4584916"],
  ]);
  assertEquals(unixFiles(files).map(({ path }) => path), ["rel.sock"]);
  assertEquals(files.filter(isWritten).map(({ descriptor }) => descriptor), ["3", "4", "5", "7", "9", "3"]);
});

Deno.test("lsof of macOS: IPv6, every address, IPv4 in IPv6, and a unix socket whose path has a blank", () => {
  const files = parseOpenFiles(MACOS);
  assertEquals(listeningFiles(files).map(({ address, port, user }) => [address, port, user]), [
    ["::1", 3000, "501"],
    ["0.0.0.0", 3001, "501"],
    ["127.0.0.1", 3002, "501"],
  ]);
  assertEquals(unixFiles(files).map(({ path }) => path), ["/Users/me/Library/Application Support/shop/s.sock"]);
});

Deno.test("lines that lsof does not print are skipped", () => {
  assertEquals(parseOpenFiles("garbage\npx\nf3\nn/x\n\nf4\n"), []);
  assertEquals(parseOpenFiles("lsof: status error\np7\n"), []);
});

Deno.test("a variable of another process is read only behind its arguments, and not if the value is ambiguous", () => {
  const plain = `    7 node server.js
    8 sh -c A=wrong; sleep 1
    9 sleep 60
   10 changed
   11 sleep 61
`;
  const full = `    7 node server.js PATH=/bin:/usr/bin A=/Users/me/Library/Application Support/x HOME=/Users/me
    8 sh -c A=wrong; sleep 1 PATH=/bin A=right
    9 sleep 60 PATH=/bin B=x A=one A=two
   10 changes A=lost
   11 sleep 61
`;
  assertEquals([...variableByPid(plain, full, "A")], [[7, "/Users/me/Library/Application Support/x"], [8, "right"]]);
  assertEquals(pidsThatName(full, "A"), [7, 8, 9, 10]);
});

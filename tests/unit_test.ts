/** The parts that can be tested without a process. */
import { JobText } from "../lib/cli/write.ts";
import { assert, assertEquals } from "@std/assert";
import { duration, PLAIN, size, StatusTable } from "../lib/cli/render.ts";
import {
  AbortedError,
  type ErrorKind,
  EXIT,
  KINDS,
  retold,
  StateError,
  TombstoneError,
  tombstoneError,
} from "../lib/errors.ts";
import { stateError, systemError } from "../lib/os/errno.ts";
import { lstatOrNull, statOrNull } from "../lib/os/stat.ts";
import { hostOf, hostPort, isLocal, isLocalhost, isLoopback } from "../lib/hosts.ts";
import { fillPort, fillReferences } from "../lib/spec/placeholders.ts";
import { parseStat } from "../lib/os/linux/proc.ts";
import { queryListeners, readListeners } from "../lib/os/linux/sockets.ts";
import { parseListeners } from "../lib/os/linux/socket_table.ts";
import { takePort } from "../lib/process/free_port.ts";
import { describeOwner, listenersFor } from "../lib/process/listeners.ts";
import { LogReader } from "../lib/state/log_reader.ts";
import { linesFrom } from "../lib/state/log_tail.ts";
import { DEFAULTS } from "../lib/spec/settings.ts";
import { strayHint } from "../lib/engine/stray_port.ts";
import { findProject } from "../lib/state/workspace.ts";
import { exitCodeOf } from "../lib/cli/commands/status.ts";
import { VERSION } from "../lib/version.ts";
import { freePort, ROOT } from "./support/sandbox.ts";

Deno.test("a listener of this user that is out of sight is not called another user's", () => {
  const owner = { pid: null, command: "" };
  assertEquals(describeOwner({ ...owner, user: String(Deno.uid()) }).includes("that this user cannot see"), false);
  assertEquals(describeOwner({ ...owner, user: "70000" }), "a process of user 70000 that this user cannot see");
});

Deno.test("a server on another port is told its port where its command names it, else as its program takes it", () => {
  const told: [string[], string | null][] = [
    [["php", "-S", "localhost:8090"], "php -S localhost:{port}"],
    [["sh", "-c", "PORT=8090 node a.js"], "sh -c 'PORT={port} node a.js'"],
    [["node", "/srv/v8090/a.js", "--listen=8090"], "node /srv/v8090/a.js --listen={port}"],
    [["setpriv", "--reuid=5", "/usr/lib/postgresql/15/bin/postgres", "-D", "data"], "postgres -D data -p {port}"],
    [["python3", "manage.py", "runserver"], "python3 manage.py runserver {port}"],
    [["npm", "run", "dev"], "npm run dev -- --port {port}"],
    [["vite"], "vite --port {port}"],
    [["vite", "--port", "{port}"], null],
    [["sh", "-c", "./serve"], null],
    [["nginx", "-c", "a.conf"], null],
  ];
  for (const [command, expected] of told) {
    const hint = strayHint("web", { ...DEFAULTS, command }, 8090);
    assert(hint.startsWith("tombstone start web --port 8090 -- "), hint);
    assertEquals(hint.includes("; or tell it its port: -- "), expected !== null, hint);
    assert(hint.endsWith(expected ?? command.at(-1)!) || expected === null, hint);
  }
});

Deno.test("exit codes are those that scripts rely on", () => {
  assertEquals(EXIT, {
    ok: 0,
    failed: 1,
    usage: 2,
    nothing: 3,
    state: 4,
    portInUse: 5,
    lockTimeout: 6,
    notReady: 124,
    notExecutable: 126,
    notFound: 127,
  });
  const codes = ["running", "starting", "interrupted", "failed", "died", "stale", "stopped", "unknown"] as const;
  assertEquals(codes.map(exitCodeOf), [0, 3, 1, 1, 1, 1, 3, 4]);
});

Deno.test("each kind of error has its exit code and its class", () => {
  const kinds: Record<ErrorKind, [number, string]> = {
    "server-exited": [1, "ServerExitedError"],
    "failed-log": [1, "FailedLogError"],
    "different-running": [1, "DifferentRunningError"],
    "stop-failed": [1, "StopFailedError"],
    "unsupported": [1, "UnsupportedError"],
    "usage": [2, "UsageError"],
    "nothing-there": [3, "NothingThereError"],
    "state": [4, "StateError"],
    "foreign-state": [4, "StateError"],
    "port-in-use": [5, "PortInUseError"],
    "lock-timeout": [6, "LockTimeoutError"],
    "not-ready": [124, "NotReadyError"],
    "command-not-executable": [126, "CommandError"],
    "command-not-found": [127, "CommandError"],
    "signalled": [130, "AbortedError"],
  };
  const found = Object.fromEntries(
    Object.keys(KINDS).map((kind) => {
      const error = tombstoneError("Cannot do it", { kind: kind as ErrorKind, hint: "help" });
      assert(error instanceof TombstoneError && error instanceof KINDS[error.kind].class);
      assertEquals(error.name, error.constructor.name);
      return [kind, [error.exitCode, error.name]];
    }),
  );
  assertEquals(found, kinds);
  const signalled = (signal: string) => tombstoneError("", { kind: "signalled", hint: "", details: { signal } });
  assertEquals(["SIGHUP", "SIGINT", "SIGTERM"].map((signal) => signalled(signal).exitCode), [129, 130, 143]);
});

Deno.test("a reworded error keeps its kind and its facts", () => {
  const cause = new Error("why");
  const first = tombstoneError("Cannot do it", {
    kind: "signalled",
    hint: "help",
    details: { signal: "SIGTERM" },
    cause,
  });
  const again = retold(first, { message: "Cannot do more", logTail: ["last"] });
  assert(again instanceof AbortedError);
  const { message, hint, exitCode, details, logTail, logPath } = again;
  assertEquals({ message, hint, exitCode, details, logTail, logPath, cause: again.cause }, {
    message: "Cannot do more",
    hint: "help",
    exitCode: 143,
    details: { signal: "SIGTERM" },
    logTail: ["last"],
    logPath: null,
    cause,
  });
});

Deno.test("the version is that of deno.json", () => {
  assertEquals(VERSION, JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`)).version);
});

Deno.test("parseStat() counts the fields from the last parenthesis", () => {
  const rest = "S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1000 1";
  for (const name of ["sh", "a) R 1 (b", "new\nline", ")))", "("]) {
    assertEquals(parseStat(`42 (${name}) ${rest}`), {
      pid: 42,
      ppid: 1,
      pgid: 42,
      sid: 42,
      startTime: 123456,
      isAlive: true,
      isStopped: false,
      name,
    });
  }
  for (const text of ["", "42", "42 (sh", "42 (sh) S 1", "x (sh) " + rest]) assertEquals(parseStat(text), null);
});

Deno.test("a zombie is dead once its last thread is", () => {
  const row = (state: string, threads: number) =>
    parseStat(`42 (node) ${state} 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 ${threads} 0 123456 1000 1`)!;
  assertEquals(
    [row("Z", 1), row("Z", 0), row("X", 1), row("Z", 11), row("S", 1), row("T", 1)].map(({ isAlive }) => isAlive),
    [
      false,
      false,
      false,
      true,
      true,
      true,
    ],
  );
});

Deno.test("parseListeners() decodes IPv4, IPv6 and IPv4-mapped addresses and keeps listeners only", () => {
  const row = (address: string, state = "0A") =>
    `   0: ${address}:0BB8 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 77 1`;
  const text = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    row("0100007F"),
    row("00000000"),
    row("00000000000000000000000001000000"),
    row("00000000000000000000000000000000"),
    row("0000000000000000FFFF00000100007F"),
    row("B80D0120000000000000000001000000"),
    row("0100007F", "01"),
    "",
  ].join("\n");
  assertEquals(parseListeners(text).map((row) => row.address), [
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "127.0.0.1",
    "2001:db8::1",
  ]);
  assertEquals(parseListeners(text)[0], { address: "127.0.0.1", port: 3000, inode: 77, user: "1000" });
});

Deno.test("hosts: localhost, loopback, any address, IPv6 in brackets", () => {
  const forms: [string, string][] = [
    ["127.0.0.1", "loopback, local"],
    ["127.8.9.10", "loopback, local"],
    ["::1", "loopback, local"],
    ["0.0.0.0", "local"],
    ["::", "local"],
    ["192.168.1.2", ""],
    ["fe80::1", ""],
    ["127.example.org", ""],
    ["localhost", "localhost"],
    ["web.LocalHost", "localhost"],
    ["localhost.example.org", ""],
  ];
  const kinds = { localhost: isLocalhost, loopback: isLoopback, local: isLocal };
  const told = forms.map(([host]) =>
    [host, Object.entries(kinds).filter(([, is]) => is(host)).map(([kind]) => kind).join(", ")] as [string, string]
  );
  assertEquals(told, forms);
  assertEquals(["::1", "127.0.0.1", "web"].map((host) => hostPort(host, 80)), ["[::1]:80", "127.0.0.1:80", "web:80"]);
  assertEquals(["http://[::1]:80/", "http://web/"].map((url) => hostOf(new URL(url))), ["::1", "web"]);
});

Deno.test("the entry at a path: nothing, a link or its target, or an error that names the file", () => {
  const root = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${root}/file`, "text");
    Deno.symlinkSync("nowhere", `${root}/link`);
    Deno.symlinkSync("loop", `${root}/loop`);
    const missing = ["nothing", "file/below", "n".repeat(300)].map((name) => `${root}/${name}`);
    for (const path of missing) assertEquals([lstatOrNull(path), statOrNull(path)], [null, null], path);
    assertEquals([lstatOrNull(`${root}/link`)?.isSymlink, statOrNull(`${root}/link`)], [true, null]);
    assertEquals([lstatOrNull(`${root}/loop`)?.isSymlink, statOrNull(`${root}/loop`)], [true, null]);
    assertEquals([lstatOrNull(`${root}/file`)?.size, statOrNull(`${root}/file`)?.size], [4, 4]);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("errors of the system: only those of state files suggest --state-dir", () => {
  const refused = (code: string) => Object.assign(new Error(code), { code });
  const hints = (["EACCES", "ENOSPC", "EFBIG", "EMFILE"] as const).map((code) =>
    (["state", "elsewhere"] as const).map((place) =>
      (stateError("read", "/a/b", refused(code), place) as Error & { hint: string }).hint
    )
  );
  assertEquals(hints, [
    ["make the path usable for this user, or choose another place with --state-dir", 'ls -ld "/a/b"'],
    ["make room on that disk, or choose another place with --state-dir", "make room on that disk"],
    [
      "raise the limit of file sizes with ulimit -f, or choose another place with --state-dir",
      "raise the limit of file sizes with ulimit -f",
    ],
    ["raise the limit of open files: ulimit -n 4096", "raise the limit of open files: ulimit -n 4096"],
  ]);
  const unexpected = systemError(refused("EIO"));
  assert(unexpected instanceof StateError);
  assertEquals((unexpected as StateError).hint, "tombstone doctor");
});

Deno.test("of an endless line of a log, the last megabyte is kept", async () => {
  const path = Deno.makeTempFileSync();
  try {
    const pieces = 20;
    Deno.writeTextFileSync(path, "x".repeat(pieces * 64 * 1024 - 5) + "y\nlast");
    const reader = new LogReader(path);
    const lines: string[] = [];
    for (let piece = 0; piece <= pieces; piece++) lines.push(...(await reader.read()).lines);
    const [line, ...others] = lines;
    assertEquals(others, []);
    assert(line!.endsWith("xy"));
    assert(line!.length >= 1024 * 1024 && line!.length <= 1024 * 1024 + 64 * 1024, `${line!.length} characters`);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("placeholders: the own port, and addresses of nodes that are known", () => {
  assertEquals(fillPort("a {port} {port} {db.port}", 80), "a 80 80 {db.port}");
  assertEquals(fillPort("a {port}", null), "a {port}");
  const addresses = { db: { host: "::1", port: 5432, url: "[::1]:5432" } };
  assertEquals(
    fillReferences("{db.host} {db.port} {db.url} {web.url} {toString.url} {port}", addresses),
    "::1 5432 [::1]:5432 {web.url} {toString.url} {port}",
  );
});

Deno.test("netlink and /proc/net tell the same of listeners", async () => {
  const held = [
    Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    Deno.listen({ hostname: "::1", port: 0 }),
    Deno.listen({ hostname: "0.0.0.0", port: 0 }),
    Deno.listen({ hostname: "::", port: 0 }),
  ];
  try {
    const ports = held.map((listener) => (listener.addr as Deno.NetAddr).port);
    const ours = (rows: { port: number; inode: number }[]) =>
      rows.filter(({ port }) => ports.includes(port)).toSorted((a, b) => a.inode - b.inode);
    const queried = queryListeners();
    if (queried === null) return console.log("skipped: this kernel or C library offers no sock_diag");
    const read = ours(await readListeners());
    assertEquals(read.length, 4);
    assertEquals(ours(queried), read);
  } finally {
    for (const listener of held) listener.close();
  }
});

Deno.test("listenersFor() takes the most specific listeners, as the kernel does", () => {
  const row = (address: string, inode: number, port = 80) => ({ address, inode, port, user: "0" });
  const rows = [row("::", 1), row("0.0.0.0", 2), row("127.0.0.1", 3), row("::1", 4), row("127.0.0.1", 5, 81)];
  const inodes = (address: string, from = rows) => listenersFor(from, address, 80).map(({ inode }) => inode);
  assertEquals(inodes("127.0.0.1"), [3]);
  assertEquals(inodes("127.0.0.2"), [2]);
  assertEquals(inodes("127.0.0.2", rows.filter(({ inode }) => inode !== 2)), [1]);
  assertEquals(inodes("::1"), [4]);
  assertEquals(inodes("fe80::1"), [1]);
  assertEquals(inodes("127.0.0.1", [...rows, row("127.0.0.1", 6)]), [3, 6]);
});

Deno.test("takePort() gives a port to one starter at a time", async () => {
  let again = false;
  // Another test may take the port meanwhile; five times in a row it does not.
  for (let tries = 0; tries < 5 && !again; tries++) {
    const port = freePort();
    {
      using first = await takePort("127.0.0.1", port);
      if (first === null) continue;
      assertEquals(await takePort("127.0.0.1", port), null);
    }
    using third = await takePort("127.0.0.1", port);
    again = third?.port === port;
  }
  assert(again, "a port that was given back is given again");
});

Deno.test("the project is the nearest ancestor with tombstone.json or .git", () => {
  const root = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    Deno.mkdirSync(`${root}/a/b/c`, { recursive: true });
    assertEquals(findProject(`${root}/a/b/c`), `${root}/a/b/c`);
    Deno.mkdirSync(`${root}/a/.git`);
    assertEquals(findProject(`${root}/a/b/c`), `${root}/a`);
    Deno.writeTextFileSync(`${root}/a/b/tombstone.json`, "{}");
    assertEquals(findProject(`${root}/a/b/c`), `${root}/a/b`);
    assertEquals(findProject(`${root}/a/b`), `${root}/a/b`);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("linesFrom() finds the last lines across the pieces that it reads", () => {
  const path = Deno.makeTempFileSync();
  try {
    const lines = Array.from({ length: 20_000 }, (_, number) => `line ${number}`);
    for (const end of ["", "\n"]) {
      const text = lines.join("\n") + end;
      Deno.writeTextFileSync(path, text);
      using file = Deno.openSync(path);
      for (const count of [1, 2, 7000, 19_999, 20_000, 99_999]) {
        const expected = lines.slice(-count).join("\n") + end;
        assertEquals(text.slice(linesFrom(file, count)), expected);
      }
      assertEquals(linesFrom(file, 0), text.length);
    }
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("durations for people, and tables that line up", () => {
  assertEquals([0, 59_000, 60_000, 3_600_000, 90_000_000].map(duration), ["0s", "59s", "1m 0s", "1h 0m", "1d 1h"]);
  assertEquals([0, 999, 1000, 1234, 99_400, 999_500, 50_000_000, 2e15].map(size), [
    "0 B",
    "999 B",
    "1 kB",
    "1.2 kB",
    "99 kB",
    "1 MB",
    "50 MB",
    "2000 TB",
  ]);
  assertEquals(new StatusTable([], "node", PLAIN).head(), "NODE  STATE  PID  ADDRESS  UPTIME  LOG");
});

Deno.test("a command for a CI runner is taken out of a text that comes in pieces, wherever they end", () => {
  const text = "::a::\nb:: c\n  ::d\n##[e]\nf";
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size <= bytes.length; size++) {
    const job = new JobText();
    let got = "";
    for (let at = 0; at < bytes.length; at += size) {
      got += new TextDecoder().decode(job.clean(bytes.subarray(at, at + size)));
    }
    assert(!/^\s*::|##\[/m.test(got), `pieces of ${size}: ${got}`);
    assertEquals(got.replaceAll(" ", ""), text.replaceAll(" ", ""), `pieces of ${size}`);
  }
});

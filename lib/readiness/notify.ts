/**
 * Notifications of a server by the protocol of sd_notify(3): a datagram of `NAME=VALUE` lines to the socket that
 * `NOTIFY_SOCKET` names.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { DatagramSocket } from "../os/rows.ts";
import { type Roots, scanForTree, scanOf } from "../process/tree.ts";
import type { Verdict } from "./types.ts";

/** Most messages that are read at a time: a process that sends without end must not hold up the start. */
const MAX_MESSAGES = 256;

/** The messages of one attempt. */
export class Notifications implements Disposable {
  readonly #socket: DatagramSocket;
  /** The processes whose messages are accepted. */
  #roots: Roots | null = null;
  #isReady = false;
  #status: string | null = null;
  #extendedUntil = -Infinity;

  private constructor(socket: DatagramSocket) {
    this.#socket = socket;
  }

  /** Listens for an attempt; `null` if the platform cannot. The socket has an abstract name, so no file can be left. */
  static open(attempt: string): Notifications | null {
    const socket = system.readyChannel(`tombstone-notify-${attempt}`);
    return socket === null ? null : new Notifications(socket);
  }

  /** Value of `NOTIFY_SOCKET` for the server. */
  get address(): string {
    return `@${this.#socket.name}`;
  }

  /** Sets the processes whose messages are accepted; others are ignored. */
  expect(roots: Roots): void {
    this.#roots = roots;
  }

  /** The end of the extra time that the server has asked for, by `performance.now()`; `-Infinity` if it has not. */
  get extendedUntil(): number {
    return this.#extendedUntil;
  }

  /** Whether the server has said `READY=1`. */
  verdict(): Verdict {
    if (this.#isReady) return { kind: "pass" };
    return {
      kind: "wait",
      state: this.#status === null ? "it has not said READY=1" : `it has not said READY=1, but "${this.#status}"`,
    };
  }

  /** Reads the messages since the last call. One scan of the processes covers all senders. */
  async receive(): Promise<void> {
    const messages = this.#socket.receive(MAX_MESSAGES);
    const roots = this.#roots;
    if (messages.length === 0 || roots === null) return;
    const own = new Set(
      roots.processes.filter((process) => scanOf(roots).find(process) !== null).map(({ pid }) => pid),
    );
    if (messages.some(({ pid }) => !own.has(pid))) { for (const { pid } of await scanForTree(roots)) own.add(pid); }
    const isOurs = new Map<number, boolean>();
    for (const { pid, user, text } of messages) {
      if (!isOurs.has(pid)) isOurs.set(pid, own.has(pid) || user !== null && hasEnded(pid) && system.self.isUser(user));
      if (isOurs.get(pid)) { for (const line of text.split("\n")) this.#take(line); }
    }
  }

  #take(line: string): void {
    const at = line.indexOf("=");
    const value = line.slice(at + 1);
    switch (line.slice(0, at)) {
      case "READY":
        this.#isReady ||= value === "1";
        break;
      case "STATUS":
        this.#status = value;
        break;
      case "EXTEND_TIMEOUT_USEC":
        if (/^\d{1,15}$/.test(value)) this.#extendedUntil = performance.now() + Number(value) / 1000;
        break;
    }
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** A helper like systemd-notify(1) has often exited before its message is read: then its user decides. */
function hasEnded(pid: number): boolean {
  const row = system.processes.read(pid);
  return row === null || !row.isAlive;
}

/**
 * Which ports are listened on, read from `/proc/net` without any of the tool's code.
 *
 * @module
 */

/** Inodes of the sockets that listen on a port, on any address. */
export function socketsOn(port: number): string[] {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["tcp", "tcp6"].flatMap((table) =>
    Deno.readTextFileSync(`/proc/net/${table}`).split("\n").map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === "0A" && local?.endsWith(hex)).map((fields) => fields[9]!)
  );
}

/** Whether anybody listens on a port. */
export function isTaken(port: number): boolean {
  return socketsOn(port).length > 0;
}

/** Sees when a listener shows; in a thread of its own, so that it looks every millisecond or two whatever this one does. */
export class ListenWatch implements Disposable {
  /** The last such moment, in milliseconds since the epoch; what an orphan does before it is ended does not count. */
  at: number | null = null;

  private constructor(private readonly worker: Worker) {}

  /** Resolves when it looks. */
  static async begin(port: number): Promise<ListenWatch> {
    const watch = new ListenWatch(new Worker(new URL("listen_worker.ts", import.meta.url), { type: "module" }));
    await new Promise<void>((resolve) => {
      watch.worker.onmessage = ({ data }) => data === "looks" ? resolve() : watch.at = data;
      watch.worker.postMessage(port);
    });
    return watch;
  }

  [Symbol.dispose](): void {
    this.worker.terminate();
  }
}

/**
 * A node that is ready.
 *
 * @module
 */
import { inspect } from "../engine/inspect.ts";
import { type NodeReport, reportOfInfo } from "../engine/report.ts";
import { tellKilled } from "../engine/leftovers.ts";
import type { Recovered } from "../engine/reporter.ts";
import type { Started } from "../engine/request.ts";
import { stop } from "../engine/stop.ts";
import { lastLines } from "../state/log_reader.ts";
import type { ResolvedNode } from "./where.ts";

/** A node that is ready. Disposing stops it, if it was started here. */
export class RunningNode implements AsyncDisposable {
  /** Its name. */
  readonly name: string;
  /** Main process. */
  readonly pid: number;
  /** Address that it was reached at; `null` without a port. */
  readonly host: string | null;
  /** Port; `null` if it has none. */
  readonly port: number | null;
  /** Both as a URL if it has an HTTP probe or speaks HTTP, else `host:port`; `null` without a port. */
  readonly url: string | null;
  /** Whether it was started here; `false`: it was running already. */
  readonly started: boolean;
  /** Milliseconds from the spawn until it was ready. */
  readonly readyMs: number;
  /** What was cleaned up after an earlier start or server; `null` if nothing. */
  readonly recovered: Recovered | null;
  /** Path of its log. */
  readonly log: string;
  readonly #found: ResolvedNode;
  readonly #attempt: string | null;

  /** A node that has been started or found. */
  constructor(found: ResolvedNode, { started, info, recovered }: Started) {
    const { host, port, url, log } = reportOfInfo(found.dir, info, "running");
    this.name = found.dir.node;
    this.pid = info.pid;
    this.host = host;
    this.port = port;
    this.url = url;
    this.started = started;
    this.readyMs = info.ready_ms ?? 0;
    this.recovered = recovered;
    this.log = log;
    this.#found = found;
    this.#attempt = info.attempt;
  }

  /** Its state, as reported by `tombstone status NODE --json`. */
  async status(): Promise<NodeReport> {
    return await inspect(this.#found.dir);
  }

  /** The last lines of its log, without colours. */
  lastLines(count = 20): string[] {
    return lastLines(this.log, count);
  }

  /**
   * Stops it, and waits until its whole process tree is gone. If it was restarted meanwhile, the new one is left alone.
   *
   * @returns whether it ran
   * @throws {TombstoneError} it could not be stopped
   */
  async stop(): Promise<boolean> {
    const { dir, options } = this.#found;
    const { stopped, killed } = await stop(dir, { ...options, ofAttempt: this.#attempt });
    tellKilled(dir, killed, options.reporter);
    return stopped;
  }

  /** Stops it, if it was started here. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.started) await this.stop();
  }
}

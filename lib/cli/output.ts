/**
 * The only module that prints. Results go to stdout; messages, progress and errors to stderr. With `--json`, stdout is
 * exactly one JSON document: the result, or the error.
 *
 * @module
 */
import { errnoOf } from "../os/errno.ts";
import { EXIT, retold, TombstoneError } from "../errors.ts";
import type { EndedLease } from "../engine/end_leases.ts";
import type { Checkpoint, Recovered, Reporter, Waiting } from "../engine/reporter.ts";
import { lastLines } from "../state/log_reader.ts";
import type { NodeDir } from "../state/node_dir.ts";
import { describeRecovery } from "./describe.ts";
import { LogStream } from "./log_stream.ts";
import { cleanLine, write } from "./write.ts";
import { annotation, isGithub, writeOutputs } from "./github.ts";
import { type Paint, paintFor, PLAIN } from "./render.ts";
import { type Place, withPlace } from "./place.ts";
import { Line, plainLines, SILENT, Trace } from "./progress.ts";

/** How much to print, and in which form. */
export interface OutputMode {
  /** Form of the result. */
  form: "text" | "json";
  /** Volume of the messages. */
  volume: "quiet" | "normal" | "verbose";
  /** Whether to print at the end where the time went. */
  trace: "on" | "off";
}

/** Reads the mode from a command line, even an invalid one, so that its error has the right form. */
export function outputMode(argv: string[]): OutputMode {
  const own = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const has = (...names: string[]) => own.some((arg) => names.includes(arg));
  return {
    form: has("--json") ? "json" : "text",
    volume: has("--quiet", "-q") ? "quiet" : has("--verbose", "-v") ? "verbose" : "normal",
    trace: has("--trace") ? "on" : "off",
  };
}

/** A node that was ended because its lease was over, in JSON documents. */
export type LeaseEnd = Omit<EndedLease, "dir"> & Pick<NodeDir, "workspace" | "node">;

/** Prints for one run of the tool. */
export class Output implements Reporter {
  /** Colours of stdout. */
  readonly paint: Paint = paintFor(Deno.stdout);
  readonly #paint: Paint = paintFor(Deno.stderr);
  readonly #trace: Trace | null;
  /** Where the output of servers goes. */
  readonly logs: LogStream;
  #line: Line | null = null;
  /** Where the nodes of this call are, as typed: the commands in messages get it, too. */
  place: Place = [];
  /** Nodes that were ended before the command's own work, for its JSON document. */
  readonly #leasesEnded: LeaseEnd[] = [];

  /** Prints in this mode. */
  constructor(readonly mode: OutputMode) {
    this.#trace = mode.trace === "on" ? new Trace(performance.now()) : null;
    this.logs = new LogStream(mode.form === "json" ? Deno.stderr : Deno.stdout);
  }

  /** Prints the result of a command; `file`: its lines are the content of a file, and are printed unchanged. */
  result(document: unknown, lines: string[], form: "words" | "file" = "words"): void {
    if (this.mode.form === "json") {
      write(Deno.stdout, JSON.stringify(this.#whole(document), null, 2) + "\n");
    } else if (this.mode.volume !== "quiet") {
      for (const line of lines) write(Deno.stdout, (form === "file" ? line : this.clean(line)) + "\n");
    }
  }

  /** Tells of a node that was ended because its lease was over. */
  leaseEnded(ended: LeaseEnd, line: string): void {
    this.#leasesEnded.push(ended);
    this.info(line);
  }

  #whole(document: unknown): unknown {
    return this.#leasesEnded.length === 0 ? document : { ...document as object, ...this.more };
  }

  /** What every JSON document has besides: the nodes that were ended because their lease was over, if there are any. */
  get more(): { leases_ended?: LeaseEnd[] } {
    return this.#leasesEnded.length === 0 ? {} : { leases_ended: this.#leasesEnded };
  }

  /** A line for stdout without control characters. */
  clean(line: string): string {
    return cleanLine(line, this.paint === PLAIN ? "drop" : "keep");
  }

  /** Writes a piece of server output; returns whether it still has a reader. */
  log(bytes: Uint8Array): "written" | "closed" {
    this.#line?.wipe();
    return this.logs.write(bytes);
  }

  /** Writes a piece of a long result; returns whether stdout still has a reader. */
  stream(bytes: Uint8Array): "written" | "closed" {
    return write(Deno.stdout, bytes);
  }

  /** Sets outputs for later steps of a CI job; with the name of the node, if it is one of several. */
  outputs(values: Record<string, string | number | null>, node?: string): void {
    if (!isGithub()) return;
    const prefix = node === undefined ? "" : `${node.replace(/[^A-Za-z0-9_-]/g, "_")}_`;
    try {
      writeOutputs(Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value])));
    } catch (error) {
      if (errnoOf(error) === null) throw error;
      this.warn(`the outputs of this step could not be written: ${(error as Error).message}`);
    }
  }

  /** Prints the error that ends the command; returns its exit code. */
  fail(error: unknown): number {
    const expected = error instanceof TombstoneError ? error : null;
    const exitCode = expected?.exitCode ?? EXIT.failed;
    const message = error instanceof Error ? error.message : String(error);
    const hint = expected !== null
      ? withPlace(expected.hint, this.place)
      : "this is a bug in tombstone, please report it in its issue tracker with the stack above";
    if (this.mode.form === "json") {
      const document = {
        error: {
          kind: expected?.kind ?? "bug",
          message,
          hint,
          exit_code: exitCode,
          ...(expected?.details ?? {}),
          ...(expected !== null && expected.logTail.length > 0 ? { log_tail: expected.logTail } : {}),
        },
        ...this.more,
      };
      write(Deno.stdout, JSON.stringify(document, null, 2) + "\n");
    }
    if (expected === null) {
      this.#err(...(error instanceof Error ? error.stack ?? message : message).split("\n"), `hint: ${hint}`);
    } else if (isGithub()) this.error(expected);
    else if (this.mode.form === "text") this.#err(...this.#describe(expected, expected.logTail));
    return exitCode;
  }

  /** Prints an error that does not end the command. */
  error(error: TombstoneError): void {
    if (!isGithub()) return this.#err(...this.#describe(error, error.logTail));
    this.#err(...this.#describe(error, []));
    this.#errRaw(...annotation(retold(error, { hint: withPlace(error.hint, this.place) })));
  }

  /** Prints a warning. */
  warn(text: string): void {
    if (this.mode.volume !== "quiet") this.#err(`${this.#paint.unsure("warning:")} ${withPlace(text, this.place)}`);
  }

  /** Prints a message about progress. */
  info(text: string): void {
    if (this.mode.volume !== "quiet") this.#err(withPlace(text, this.place));
  }

  /** Prints the end of a server's log below a title. */
  tail(title: string, lines: string[]): void {
    if (lines.length === 0 || this.mode.form !== "text" || this.mode.volume === "quiet") return;
    this.#err(...this.#tail(title, lines));
  }

  /** Prints a detail with `--verbose`. */
  debug(text: string): void {
    if (this.mode.volume === "verbose") this.#err(text);
  }

  /** Notes a checkpoint of the protocol. */
  reached(checkpoint: Checkpoint, detail: string): void {
    this.#trace?.reached(checkpoint);
    this.debug(detail === "" ? checkpoint : `${checkpoint}: ${detail}`);
  }

  /** Shows the wait for a node. */
  wait(dir: NodeDir): Waiting {
    return this.#wait(dir.node, `waiting for "${dir.node}"`, () => lastLines(dir.log, 1)[0]);
  }

  /** Shows a wait for something other than a node. */
  waitFor(what: string): Waiting {
    return this.#wait(`waiting ${what}`, `waiting ${what}`, () => undefined);
  }

  /** Shows the work on many nodes. */
  count(action: string): Waiting {
    return this.#wait(action, `at work on the ${action}`, () => undefined);
  }

  #wait(title: string, sentence: string, log: () => string | undefined): Waiting {
    if (this.mode.volume === "quiet") return SILENT;
    if (!Deno.stderr.isTerminal()) return plainLines(sentence, (line) => this.info(line));
    if (this.#line?.isOpen) return SILENT; // of several at once, the first has the line
    // A line of a server that has no end yet would be wiped with it.
    return this.#line = new Line(title, log, this.#paint, (text) => this.logs.isLineOpen || write(Deno.stderr, text));
  }

  /** Reports a recovery. */
  recovered(node: string, what: Recovered): void {
    this.info(describeRecovery(node, what));
  }

  /** Prints the trace, with `--trace`. */
  close(): void {
    for (const line of this.#trace?.lines() ?? []) this.#err(line);
  }

  /** Prints cleaned lines to stderr. */
  #err(...lines: string[]): void {
    const colours = this.#paint === PLAIN ? "drop" : "keep";
    this.#errRaw(...lines.map((line) => cleanLine(line, colours)));
  }

  #errRaw(...lines: string[]): void {
    this.#line?.wipe();
    this.logs.endLine();
    write(Deno.stderr, `${lines.join("\n")}\n`);
  }

  /** Lines of an expected error: message, end of the log, hint. */
  #describe({ message, hint }: TombstoneError, logTail: string[]): string[] {
    const { bad, help } = this.#paint;
    return [
      bad(message),
      ...this.#tail("the last lines of its log:", logTail),
      `${help("hint:")} ${withPlace(hint, this.place)}`,
    ];
  }

  #tail(title: string, lines: string[]): string[] {
    return lines.length === 0 ? [] : [title, ...lines.map((line) => this.#paint.quiet(`  | ${line}`))];
  }
}

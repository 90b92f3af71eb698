/**
 * The only place that prints. Results go to stdout; messages, progress and errors to stderr. With `--json`, stdout is
 * exactly one JSON document, the error's if there is one.
 *
 * @module
 */
import { EXIT, TombstoneError } from "./errors.ts";
import type { Recovered } from "./lifecycle/recover.ts";
import type { Teller } from "./lifecycle/teller.ts";

/** How much to print, and in which form. */
export interface OutputMode {
  /** Form of the result. */
  form: "text" | "json";
  /** Volume of the messages. */
  volume: "quiet" | "normal" | "verbose";
}

/** Reads the mode off a command line, even one that is wrong elsewhere, so that its error has the right form. */
export function outputMode(argv: string[]): OutputMode {
  const own = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const has = (...names: string[]) => own.some((arg) => names.includes(arg));
  return {
    form: has("--json") ? "json" : "text",
    volume: has("--quiet", "-q") ? "quiet" : has("--verbose", "-v") ? "verbose" : "normal",
  };
}

/** What to do when the reader has gone away: the work is done, and its exit code still counts. */
function write(stream: { writeSync(bytes: Uint8Array): number }, text: string | Uint8Array): "written" | "closed" {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
    return "written";
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource) return "closed";
    if (error instanceof Error && "code" in error) return "closed"; // a full disk behind stdout, a closed descriptor
    throw error;
  }
}

/** Prints for one run of the tool. */
export class Output implements Teller {
  /** Prints in this mode. */
  constructor(readonly mode: OutputMode) {}

  /** The result of a command. */
  result(document: unknown, lines: string[]): void {
    if (this.mode.form === "json") write(Deno.stdout, JSON.stringify(document, null, 2) + "\n");
    else if (this.mode.volume !== "quiet") { for (const line of lines) write(Deno.stdout, line + "\n"); }
  }

  /** A piece of a result that is too long to hold; tells whether anybody still reads. */
  stream(bytes: Uint8Array): "written" | "closed" {
    return write(Deno.stdout, bytes);
  }

  /** An error; returns the exit code that goes with it. */
  error(error: unknown): number {
    const expected = error instanceof TombstoneError ? error : null;
    const exitCode = expected?.exitCode ?? EXIT.failed;
    const message = error instanceof Error ? error.message : String(error);
    const hint = expected?.hint ??
      "this is a bug in tombstone, please report it in its issue tracker with the stack above";
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
      };
      write(Deno.stdout, JSON.stringify(document, null, 2) + "\n");
      if (expected !== null) return exitCode;
    }
    if (expected !== null) write(Deno.stderr, describeError(expected));
    else write(Deno.stderr, `${error instanceof Error ? error.stack ?? message : message}\nhint: ${hint}\n`);
    return exitCode;
  }

  /** A failure that does not end the command. */
  alarm(error: TombstoneError): void {
    write(Deno.stderr, describeError(error));
  }

  /** Something that people should know. */
  warn(text: string): void {
    if (this.mode.volume !== "quiet") write(Deno.stderr, `warning: ${text}\n`);
  }

  /** What it does now, or waits for. */
  tell(text: string): void {
    if (this.mode.volume !== "quiet") write(Deno.stderr, `${text}\n`);
  }

  /** A step of the protocol. */
  step(text: string): void {
    if (this.mode.volume === "verbose") write(Deno.stderr, `${text}\n`);
  }

  /** What was found and undone. */
  recovered(node: string, what: Recovered): void {
    this.tell(describeRecovery(node, what));
  }
}

/** An expected error in lines, the end of the log between the message and the hint. */
function describeError({ message, hint, logTail }: TombstoneError): string {
  const log = logTail.length === 0 ? [] : ["the last lines of its log:", ...logTail.map((line) => `  | ${line}`)];
  return [message, ...log, `hint: ${hint}`, ""].join("\n");
}

const REASONS: Record<Recovered["reason"], string> = {
  "interrupted-start": "an interrupted start",
  "interrupted-run": "an interrupted run",
  "died": "a server that died",
  "rebooted": "a server of before the reboot",
  "unreadable-state": "state that could not be read",
};

const PROGRESS: Record<Recovered["progress"], string> = {
  "before-spawn": "nothing spawned yet",
  "spawned": "server spawned",
  "committed": "committed",
};

/** A recovery in one line. */
export function describeRecovery(node: string, what: Recovered): string {
  const about = [
    what.attempt === null ? null : `attempt ${what.attempt}`,
    what.starter === null ? null : `by pid ${what.starter}`,
    what.begun_at === null ? null : `begun ${what.begun_at}`,
    PROGRESS[what.progress],
  ].filter((part) => part !== null).join(", ");
  const ended = what.pids.length === 0 ? "no process left" : `ended pid ${what.pids.join(", ")}`;
  const removed = what.files.length === 0 ? "no file left" : `removed ${what.files.join(", ")}`;
  return `recovered "${node}" from ${REASONS[what.reason]} (${about}): ${ended}; ${removed}`;
}

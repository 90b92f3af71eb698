/**
 * Runs of the tool in a trial.
 *
 * @module
 */
import { COMMAND, type Document, type Ran } from "../../tests/support/sandbox.ts";
import { PATH } from "./install.ts";
import { kill, type Watch } from "./watch.ts";

/** A run that takes longer hangs; in milliseconds. */
const LONGEST_RUN = 120_000;

/** A step of a trial that cannot go on. */
export class Failure extends Error {}

/** Runs the tool in one directory, with a state directory and a mark of its own; the trial's watch looks on. */
export class Tool {
  constructor(readonly watch: Watch, readonly state: string) {}

  /** Spawns it without waiting for it. */
  spawn(args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
    const own = { PATH, TOMBSTONE_STATE_DIR: this.state, NO_COLOR: "1", GITHUB_ACTIONS: "", TRIED_BY: this.watch.mark };
    return new Deno.Command(COMMAND[0]!, {
      args: [...COMMAND.slice(1), ...args],
      cwd: this.watch.dir,
      env: { ...own, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Runs it to its end. */
  async run(args: string[]): Promise<Ran> {
    const child = this.spawn(args);
    const looks = setInterval(() => this.watch.look(), 100);
    const limit = setTimeout(() => kill(child.pid), LONGEST_RUN);
    const { code, stdout, stderr } = await child.output();
    clearInterval(looks);
    clearTimeout(limit);
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** The attempt whose start has begun and not finished. */
  attempt(node: string): string | null {
    const [workspace] = [...Deno.readDirSync(this.state)].filter(({ isDirectory, name }) =>
      isDirectory && !name.startsWith(".")
    );
    return readAttempt(`${this.state}/${workspace?.name}/${node}/starting`);
  }

  /**
   * Runs it with `--json`.
   *
   * @throws {Failure} it says that it failed
   */
  async json(args: string[]): Promise<Document> {
    const at = args.indexOf("--");
    const { code, stdout, stderr } = await this.run(args.toSpliced(at < 0 ? args.length : at, 0, "--json"));
    if (!stdout.trim().startsWith("{")) throw new Failure(`exit code ${code}: ${mainLine(stderr) || "nothing said"}`);
    const document = JSON.parse(stdout);
    if (document.error !== undefined) throw new Failure(`exit code ${code}: ${mainLine(document.error.message)}`);
    return document;
  }
}

/** The attempt that a tombstone names. */
function readAttempt(path: string): string | null {
  try {
    return JSON.parse(Deno.readTextFileSync(path)).attempt ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The line of an output that says what is wrong; the first one, if none does. */
export function mainLine(text: string): string {
  const lines = text.trim().split("\n");
  return lines.find((line) => /\bCannot\b/.test(line)) ?? lines[0]!;
}

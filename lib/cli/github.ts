/**
 * GitHub Actions: workflow commands on stderr, and outputs of the step in a file.
 *
 * @module
 */
import { variable, variableText } from "../os/surroundings.ts";
import type { TombstoneError } from "../errors.ts";
import { lastLines } from "../state/log_reader.ts";
import { cleanLine, withoutControls } from "./write.ts";

/** Most lines of a server's log that are copied into the log of the job. */
const LOG_LINES = 1000;

/** Whether this is a step of GitHub Actions. */
export function isGithub(): boolean {
  return variableText("GITHUB_ACTIONS") === "true";
}

/** Escapes of workflow commands: data, and properties besides. */
const data = (text: string) => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const property = (text: string) => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

/**
 * An error as an annotation of the run, with the server's log in a collapsed group. The log is not the tool's own text, so
 * workflow commands are disabled in it.
 */
export function annotation({ message, hint, logPath }: TombstoneError): string[] {
  const token = crypto.randomUUID();
  const log = logPath === null ? [] : lastLines(logPath, LOG_LINES);
  const group = log.length === 0 ? [] : [
    "::group::the server's log",
    `::stop-commands::${token}`,
    ...log.map((line) => withoutControls(line)),
    `::${token}::`,
    "::endgroup::",
  ];
  return [
    ...group,
    `::error title=${property("tombstone")}::${data(`${cleanLine(message)}\nhint: ${cleanLine(hint)}`)}`,
  ];
}

/** Adds outputs of the step, for `${{ steps.ID.outputs.NAME }}`; none without `GITHUB_OUTPUT`. */
export function writeOutputs(outputs: Record<string, string | number | null>): void {
  const path = variable("GITHUB_OUTPUT");
  if (path === undefined || path === "") return;
  const lines = Object.entries(outputs).map(([name, value]) => `${name}=${withoutControls(String(value ?? ""))}\n`);
  Deno.writeTextFileSync(path, lines.join(""), { append: true });
}

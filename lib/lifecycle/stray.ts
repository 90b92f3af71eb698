/**
 * A server that listens on a port of its own choice.
 *
 * @module
 */
import type { Settings } from "../state/settings.ts";
import type { StartRequest } from "./request.ts";

/** What tells of the port, once, as soon as it is known and not only when time is up. */
export function strayTeller(
  { dir, settings, teller }: StartRequest,
  asked: number | null,
): (stray: number | null) => void {
  let told: number | null = null;
  return (stray) => {
    if (stray === null || stray === told) return;
    told = stray;
    const way = strayHint(dir.node, settings, stray);
    teller.warn(`"${dir.node}" was to listen on port ${asked}, it listens on port ${stray} instead: ${way}`);
  };
}

/** What to type then: the port that it has, or the one that it was to have, told to it in the way that most take it. */
export function strayHint(node: string, { command }: Settings, stray: number): string {
  const typed = command.map(quoted).join(" ");
  const isTold = command.some((word) => word.includes("{port}"));
  const [program, verb] = [command[0]!.replace(/^.*\//, ""), command[1]];
  const passOn = program === "npm" && verb !== "exec" && !command.includes("--") ? " --" : "";
  return `tombstone start ${node} --port ${stray} -- ${typed}` +
    (isTold || program === "sh" ? "" : `; or tell it its port: -- ${typed}${passOn} --port {port}`);
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

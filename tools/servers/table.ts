/**
 * What was tried, as one table in Markdown.
 *
 * @module
 */
import type { Server } from "./server.ts";
import { type Question, QUESTIONS, type Shown } from "./shown.ts";

/** A line of the table. */
export interface Row {
  server: Server;
  version: string;
  /** Why it could not be had here. */
  absent: string | null;
  shown: Shown | null;
}

const HEADS: Record<Question, string> = {
  start: "start",
  port: "port found",
  http: "by HTTP",
  recover: "recover",
  died: "died",
  asked: "stop asked",
  gone: "tree gone",
  files: "files",
  run: "run",
};

/** The head of the table. */
export function head(): string {
  const names = ["server", "version", ...QUESTIONS.map((question) => HEADS[question]), "boot ms", "lag ms"];
  return `| ${names.join(" | ")} |\n|${" --- |".repeat(names.length)}`;
}

/** One line of it. */
export function line({ server, version, absent, shown }: Row): string {
  if (shown === null) return cells([title(server), version, absent ?? "?", ...QUESTIONS.map(() => "")]);
  const answers = QUESTIONS.map((question) => {
    const failure = shown.failures.find((failure) => failure.question === question);
    return failure !== undefined ? `FAILED: ${failure.reason}` : shown.asked.has(question) ? "ok" : "–";
  });
  const ms = (value: number | null) => value === null ? "–" : String(Math.round(value));
  return cells([title(server), version, ...answers, ms(shown.bootMs), ms(shown.lagMs)]);
}

function title({ name, note }: Server): string {
  return note === undefined ? name : `${name} (${note})`;
}

function cells(texts: string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

/** Whether everything about a server was right. */
export function isRight({ shown }: Row): boolean {
  return shown !== null && shown.failures.length === 0;
}

/** A row for a program. */
export function plain({ server, version, absent, shown }: Row): Record<string, unknown> {
  return { server: server.name, version, absent, ...shown, ...(shown !== null && { asked: [...shown.asked] }) };
}

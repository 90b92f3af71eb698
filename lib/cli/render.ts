/**
 * Reports as text, with colours on a terminal.
 *
 * @module
 */
import { hostPort, LOOPBACK } from "../hosts.ts";
import type { NodeReport } from "../engine/report.ts";
import { atHome, variableText } from "../os/surroundings.ts";
import { blue, bold, cyan, dim, green, magenta, red, yellow } from "@std/fmt/colors";

/** Styles of text by their meaning. */
export interface Paint {
  /** All is well. */
  good(text: string): string;
  /** Something is wrong. */
  bad(text: string): string;
  /** Something is in progress, or needs attention. */
  unsure(text: string): string;
  /** A hint. */
  help(text: string): string;
  /** Emphasis. */
  strong(text: string): string;
  /** Less important. */
  quiet(text: string): string;
  /** What belongs to one of several nodes, by their number. */
  node(at: number, text: string): string;
}

const same = (text: string) => text;

/** No colours. */
export const PLAIN: Paint = {
  good: same,
  bad: same,
  unsure: same,
  help: same,
  strong: same,
  quiet: same,
  node: (_at, text) => text,
};

/** Colours of nodes; red is for errors. */
const OF_NODES = [cyan, yellow, green, magenta, blue];

const COLOURS: Paint = {
  good: green,
  bad: red,
  unsure: yellow,
  help: cyan,
  strong: bold,
  quiet: dim,
  node: (at, text) => OF_NODES[at % OF_NODES.length]!(text),
};

/** What stands before each line of the logs of several nodes, for each of them. */
export function logPrefixes(nodes: string[], paint: Paint): string[] {
  const width = Math.max(...nodes.map((node) => node.length));
  return nodes.map((node, at) => `${paint.node(at, `${node.padEnd(width)} |`)} `);
}

/** Colours for a stream: on a terminal that has them, unless `NO_COLOR` (no-color.org) is set to anything. */
export function paintFor(stream: { isTerminal(): boolean }): Paint {
  return stream.isTerminal() && !Deno.noColor && variableText("TERM") !== "dumb" ? COLOURS : PLAIN;
}

/** `host:port`, or `unix:` and the path of a socket; `null` without either. */
export function address({ host, port, url }: Pick<NodeReport, "host" | "port" | "url">): string | null {
  if (port !== null) return hostPort(host ?? LOOPBACK[0]!, port);
  return url?.startsWith("unix:") ? `unix:${atHome(url.slice("unix:".length))}` : null;
}

/** A duration in its two largest units. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [d, h, m, s] = [
    Math.floor(seconds / 86400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (d > 0) return `${d}d ${h}h`;
  if (h > 0) return `${h}h ${m}m`;
  return m > 0 ? `${m}m ${s}s` : `${s}s`;
}

/** A short duration, as it is measured: `340 ms`, `6.1 s`. */
export function elapsed(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${Number((ms / 1000).toFixed(1))} s` : duration(ms);
}

/** A size in bytes, in the largest decimal unit. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(2))} ${units[unit]}`;
}

/** Colours a text by the state of a node. */
function paintState({ state, ready }: NodeReport, text: string, paint: Paint): string {
  switch (state) {
    case "running":
      return ready ? paint.good(text) : paint.unsure(text);
    case "starting":
      return paint.unsure(text);
    case "stopped":
      return paint.quiet(text);
    default:
      return paint.bad(text);
  }
}

/** How long it has been ready; `null` if it is not running. */
function uptime(report: NodeReport): string | null {
  if (report.state !== "running" || report.ready_at === null) return null;
  return duration(Date.now() - Date.parse(report.ready_at));
}

/** A node in one line, as `status NODE` shows it. */
export function statusLine(report: NodeReport, paint: Paint): string {
  const parts = [`${report.node}: ${paintState(report, report.state, paint)}`];
  const [where, up] = [address(report), uptime(report)];
  if (report.pid !== null) parts.push(`pid ${report.pid}`);
  if (where !== null && report.state === "running") parts.push(where);
  if (up !== null) parts.push(`up ${up}`);
  if (report.log_size !== null && report.state === "running") parts.push(`log ${size(report.log_size)}`);
  const isUnready = report.state === "running" && !report.ready;
  if (report.reason !== null) parts.splice(isUnready ? 1 : parts.length, 0, report.reason);
  if (report.last_log_at !== null) {
    parts.push(`last output ${duration(Date.now() - Date.parse(report.last_log_at))} ago`);
  }
  return parts.join(", ");
}

/** Columns of the table. */
const HEAD = ["WORKSPACE", "NODE", "STATE", "PID", "ADDRESS", "UPTIME", "LOG", "PROJECT", ""];

/** Those of them that name the workspace; a table of one workspace has neither. */
const OF_WORKSPACE = ["WORKSPACE", "PROJECT"];

/** Cells of a node's row. */
function cellsOf(report: NodeReport): string[] {
  return [
    report.workspace,
    report.node,
    report.state,
    report.pid === null ? "-" : String(report.pid),
    (report.state === "running" ? address(report) : null) ?? "-",
    uptime(report) ?? "-",
    report.log_size === null ? "-" : size(report.log_size),
    report.project === null ? "-" : atHome(report.project),
    report.reason ?? "",
  ];
}

/** A table of nodes, written row by row. */
export class StatusTable {
  readonly #columns: "node" | "workspace and node";
  readonly #paint: Paint;
  readonly #widths: number[];

  /** A table whose columns are as wide as these nodes need. */
  constructor(reports: NodeReport[], columns: "node" | "workspace and node", paint: Paint) {
    this.#columns = columns;
    this.#paint = paint;
    this.#widths = HEAD.map((head) => head.length);
    for (const report of reports) {
      cellsOf(report).forEach((cell, at) => this.#widths[at] = Math.max(this.#widths[at]!, cell.length));
    }
  }

  /** The line above the nodes. */
  head(): string {
    return this.#paint.quiet(this.#line(HEAD));
  }

  /** The line of a node. */
  row(report: NodeReport): string {
    return this.#line(cellsOf(report), report);
  }

  #line(cells: string[], report?: NodeReport): string {
    return cells.map((cell, at) => {
      const padded = cell.padEnd(this.#widths[at]!);
      if (HEAD[at] !== "STATE" || report === undefined) return padded;
      return paintState(report, cell, this.#paint) + padded.slice(cell.length);
    }).filter((_, at) => this.#columns !== "node" || !OF_WORKSPACE.includes(HEAD[at]!)).join("  ").trimEnd();
  }
}

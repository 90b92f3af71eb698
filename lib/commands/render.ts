/**
 * Reports as text.
 *
 * @module
 */
import type { NodeReport } from "../lifecycle/inspect.ts";

/** `host:port`, or `null` where there is no port. */
export function address(report: Pick<NodeReport, "host" | "port">): string | null {
  if (report.port === null) return null;
  const host = report.host ?? "127.0.0.1";
  return host.includes(":") ? `[${host}]:${report.port}` : `${host}:${report.port}`;
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

/** A node in one line, as `status NODE` shows it. */
export function statusLine(report: NodeReport): string {
  const parts = [`${report.node}: ${report.state}`];
  if (report.pid !== null) parts.push(`pid ${report.pid}`);
  const where = address(report);
  if (where !== null && report.state === "running") parts.push(where);
  if (report.state === "running" && report.ready_at !== null) {
    parts.push(`up ${duration(Date.now() - Date.parse(report.ready_at))}`);
  }
  if (report.reason !== null) parts.push(report.reason);
  return parts.join(", ");
}

/** Nodes as a table. */
export function statusTable(reports: NodeReport[], columns: "node" | "workspace and node"): string[] {
  const rows = [
    ["WORKSPACE", "NODE", "STATE", "PID", "ADDRESS", "UPTIME", ""],
    ...reports.map((report) => {
      const up = report.state === "running" && report.ready_at !== null
        ? duration(Date.now() - Date.parse(report.ready_at))
        : "-";
      const where = report.state === "running" ? address(report) : null;
      return [
        report.workspace,
        report.node,
        report.state,
        report.pid === null ? "-" : String(report.pid),
        where ?? "-",
        up,
        report.reason ?? "",
      ];
    }),
  ].map((row) => columns === "node" ? row.slice(1) : row);
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
}

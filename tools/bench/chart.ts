/**
 * The chart of the benchmark: a dot for each server, on a logarithmic scale.
 *
 * @module
 */
import type { Results } from "../bench.ts";
import { statistics } from "./statistics.ts";

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"];
const ROW = 22;
const LABELS = 220;
const PANEL = 340;
const GAP = 30;
const TOP = 62;

/** Two panels, readiness lag and overhead, with a row for each contender. Follows the reader's light or dark scheme. */
export function chart(results: Results, servers: string[]): string {
  const names = results.contenders.map(({ name }) => name);
  const height = TOP + ROW * names.length + 30;
  const width = LABELS + 2 * PANEL + GAP + 20;
  const own = new Set(results.contenders.filter((contender) => contender.own).map(({ name }) => name));
  const labels = names.map((name, row) =>
    text(LABELS - 12, middle(row) + 4, name, `text-anchor="end"${own.has(name) ? ' font-weight="bold"' : ""}`)
  );
  const legend = servers.map((server, index) => {
    const x = LABELS + index * 110;
    return dot(x, 18, COLOURS[index]!, server) + text(x + 9, 22, server);
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>Readiness lag and overhead of a start, medians of ${results.runs} runs, ${results.date}</title>`,
    "<style>text{fill:#1f2328}line{stroke:#d0d7de}@media(prefers-color-scheme:dark){text{fill:#e6edf3}line{stroke:#3d444d}}</style>",
    ...legend,
    ...labels,
    panel(results, servers, names, LABELS, "lag", "readiness lag, ms"),
    panel(results, servers, names, LABELS + PANEL + GAP, "overhead", "overhead of a start, ms"),
    "</svg>",
    "",
  ].join("\n");
}

/** Decades from 1 to 10,000 ms. */
function panel(
  results: Results,
  servers: string[],
  names: string[],
  left: number,
  figure: string,
  title: string,
): string {
  const x = (value: number) => left + (Math.log10(Math.max(value, 1)) / 4) * PANEL;
  const bottom = TOP + ROW * names.length;
  const grid = [1, 10, 100, 1000, 10_000].map((value) =>
    `<line x1="${x(value)}" x2="${x(value)}" y1="${TOP - 4}" y2="${bottom}"/>` +
    text(x(value), bottom + 16, String(value), 'text-anchor="middle"')
  );
  const dots = names.flatMap((name, row) =>
    servers.flatMap((server, index) => {
      const { median } = statistics(results, name, `${figure}: ${server}`);
      if (median === null) return [];
      return [dot(x(median), middle(row), COLOURS[index]!, `${name}, ${server}: ${median.toFixed(1)} ms`)];
    })
  );
  return [text(left, TOP - 14, title, 'font-weight="bold"'), ...grid, ...dots].join("\n");
}

function middle(row: number): number {
  return TOP + ROW * row + ROW / 2;
}

function dot(x: number, y: number, colour: string, title: string): string {
  return `<circle cx="${
    x.toFixed(1)
  }" cy="${y}" r="4.5" fill="${colour}" fill-opacity="0.85"><title>${title}</title></circle>`;
}

function text(x: number, y: number, content: string, more = ""): string {
  return `<text x="${x}" y="${y}"${more === "" ? "" : ` ${more}`}>${content}</text>`;
}

/**
 * The tables and the chart of the benchmark, and where they are published.
 *
 * @module
 */
import type { Results } from "../bench.ts";
import { ROOT } from "../standard_library.ts";
import { chart } from "./chart.ts";
import { type Statistics, statistics } from "./statistics.ts";

const SERVERS = ["instant", "Node http", "python3", "redis", "after 1 s"];

/** Titles of the figures that there is one of for each contender. */
const SINGLE = {
  crash: "crash reported",
  stop: "stop",
  "stop after the tree": "returns after the tree",
  resident: "MB",
};

/** The form that the others are compared with. */
const REFERENCE = "tombstone start (bundle)";

/** Everything, as Markdown. */
export function table(results: Results): string {
  const base = statistics(results, "empty script", "whole");
  return [
    `${results.date}, ${results.machine}; ${results.runs} runs each, interleaved; \`${results.command}\`.`,
    "",
    `An empty script under \`deno run\`: ${number(base.median)} ms (p95 ${number(base.p95)}).`,
    "",
    "Readiness lag in ms, median / p95: from the first connection that an independent observer got to the first",
    "instruction of what runs next.",
    "",
    byServer(results, "lag"),
    "",
    "Overhead of a start in ms, median / p95: from the call to the first instruction of what runs next, minus the",
    "server's own boot.",
    "",
    byServer(results, "overhead"),
    "",
    "The end in ms, median / p95: the report of a server that exits at once, the stop of `sh` → `node` → worker, how long",
    "after the end of these three it returns; and MB that stay resident while the server runs.",
    "",
    single(results),
    "",
    ratios(results),
  ].join("\n");
}

function byServer(results: Results, figure: string): string {
  return markdown([
    ["", ...SERVERS],
    ...results.contenders.map(({ name }) => [
      name,
      ...SERVERS.map((server) => both(statistics(results, name, `${figure}: ${server}`))),
    ]),
  ]);
}

function single(results: Results): string {
  return markdown([
    ["", ...Object.values(SINGLE)],
    ...results.contenders.map(({ name }) => [
      name,
      ...Object.keys(SINGLE).map((figure) => {
        const found = statistics(results, name, figure);
        return figure === "resident" ? number(found.median) : both(found);
      }),
    ]),
  ]);
}

/** What the goals are given in. */
function ratios(results: Results): string {
  const base = statistics(results, "empty script", "whole").median!;
  const own = results.contenders.filter(({ name, own }) => own && name.includes("start"));
  const limit = (server: string) => statistics(results, "the limit (C)", `lag: ${server}`).median;
  return markdown([
    ["", "overhead / empty script", "status / empty script", "stop / empty script", "lag above the limit, ms"],
    ...own.map(({ name }) => {
      const overheads = SERVERS.flatMap((server) => statistics(results, name, `overhead: ${server}`).median ?? []);
      const lags = SERVERS.flatMap((server) => {
        const [mine, least] = [statistics(results, name, `lag: ${server}`).median, limit(server)];
        return mine === null || least === null ? [] : [mine - least];
      });
      const ratio = (figure: string) => {
        const { median } = statistics(results, name, figure);
        return median === null ? "" : (median / base).toFixed(2);
      };
      return [
        name,
        range(overheads.map((value) => value / base), 2),
        ratio("status"),
        ratio("stop"),
        range(lags, 1),
      ];
    }),
  ]);
}

/** Where other tools are faster, and why. */
function ahead(results: Results): string {
  const figures = [
    ...SERVERS.flatMap((server) => [`lag: ${server}`, `overhead: ${server}`]),
    ...Object.keys(SINGLE).filter((figure) => figure !== "resident"),
  ];
  const lines = results.contenders.filter(({ own }) => !own).flatMap(({ name, because }) => {
    const where = figures.filter((figure) => {
      const [theirs, ours] = [statistics(results, name, figure), statistics(results, REFERENCE, figure)];
      return theirs.median !== null && ours.median !== null && theirs.median < ours.median &&
        (figure !== "stop" || theirs.remark === null);
    });
    if (where.length === 0) return [];
    const told = where.map((figure) => `${figure} (${number(statistics(results, name, figure).median)})`).join(", ");
    return [`- **${name}**: ${told}.${because === null ? "" : ` Why: ${because}.`}`];
  });
  return lines.length === 0 ? "No tool is faster anywhere." : lines.join("\n");
}

function range(values: number[], digits: number): string {
  if (values.length === 0) return "";
  const [least, most] = [Math.min(...values).toFixed(digits), Math.max(...values).toFixed(digits)];
  return least === most ? least : `${least}–${most}`;
}

function both(found: Statistics): string {
  const text = found.median === null ? "" : `${number(found.median)} / ${number(found.p95)}`;
  return [text, found.remark].filter((part) => part).join("; ");
}

function number(value: number | null): string {
  if (value === null) return "";
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** A table with aligned columns, as the formatter wants it. */
function markdown(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(rows[0]!), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.slice(1).map(line)]
    .join("\n");
}

/** Writes `docs/benchmarks.md`, its chart, and the part of the README between its two marks. */
export function publish(results: Results): void {
  Deno.writeTextFileSync(`${ROOT}/docs/benchmarks.svg`, chart(results, SERVERS));
  const compared = results.contenders.map(({ name, what, version }) =>
    `- **${name}**${version ? ` ${version}` : ""}: ${what}`
  );
  const missing = results.missing.length === 0
    ? []
    : ["", `Not installed when this was measured: ${results.missing.join(", ")}.`];
  const page = [
    "# Benchmarks",
    "",
    "![Readiness lag and overhead of a start, on a logarithmic scale](benchmarks.svg)",
    "",
    table(results),
    "",
    "## Where other tools are faster, and why",
    "",
    `Faster than ${REFERENCE}:`,
    "",
    ahead(results),
    "",
    "## What was compared",
    "",
    ...compared,
    ...missing,
    "",
    "`deno task bench --publish` writes this page. It needs a C compiler, and npm for the tools from npm; it leaves out and",
    "lists tools that are not installed. `deno task bench --check` measures only tombstone, and fails if a ratio to the",
    "empty script is more than 1.5 times the ratio in `tools/bench/saved.json`.",
    "",
  ].join("\n");
  Deno.writeTextFileSync(`${ROOT}/docs/benchmarks.md`, page);
  const readme = Deno.readTextFileSync(`${ROOT}/README.md`);
  const [begin, end] = ["<!-- benchmark -->", "<!-- /benchmark -->"];
  const at = [readme.indexOf(begin), readme.indexOf(end)] as const;
  if (at[0] < 0 || at[1] < 0) throw new Error(`Cannot publish: README.md has no ${begin} … ${end}`);
  Deno.writeTextFileSync(
    `${ROOT}/README.md`,
    `${readme.slice(0, at[0] + begin.length)}\n\n${summary(results)}\n\n${readme.slice(at[1])}`,
  );
}

/** The chart and the table of the README: medians only. */
function summary(results: Results): string {
  const lag = (name: string, server: string) => number(statistics(results, name, `lag: ${server}`).median);
  const cell = (name: string, figure: string) => {
    const found = statistics(results, name, figure);
    return [number(found.median), found.remark?.replace(/, \d+ of \d+$/, "")].filter((part) => part).join("; ");
  };
  return [
    "![Readiness lag and overhead of a start, on a logarithmic scale](docs/benchmarks.svg)",
    "",
    markdown([
      ["", "lag: Node http", "lag: redis", "lag: after 1 s", "crash reported", "stop of a tree"],
      ...results.contenders.filter(({ name }) => !name.includes("sources")).map(({ name }) => [
        name,
        lag(name, "Node http"),
        lag(name, "redis"),
        lag(name, "after 1 s"),
        cell(name, "crash"),
        cell(name, "stop"),
      ]),
    ]),
    "",
    `Medians of ${results.runs} interleaved runs in ms, ${results.date}, ${results.machine}; \`${results.command}\`.`,
  ].join("\n");
}

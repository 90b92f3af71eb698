/**
 * The benchmark: `deno task bench [options] [RUNS]`.
 *
 * In one interleaved run it measures this tool, as sources and as a bundle, and the tools that it is compared with: those
 * that are installed, or that npm brings; the others are named. What is measured stands in `bench/measure.ts`.
 *
 * - `--only NAME,…`: contenders whose name contains one of these
 * - `--publish`: writes `docs/benchmarks.md`, its chart, and the table of the README
 * - `--from FILE`: shows or publishes the samples of an earlier run, instead of measuring
 * - `--check`: measures this tool alone, and fails if a ratio to an empty script is above 1.5 times of what is saved
 * - `--save`: measures this tool alone, and saves the ratios in `tools/bench/saved.json`
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Bed } from "./bench/bed.ts";
import { type Contender, contenders } from "./bench/contenders.ts";
import { compare, ratiosOf, save } from "./bench/guard.ts";
import { measureCrash, measureEmpty, measureStart, measureStop, type Sample, servers } from "./bench/measure.ts";
import { publish, table } from "./bench/report.ts";
import { findStandardLibrary, ROOT } from "./standard_library.ts";

/** The samples of a benchmark, and where they come from. */
export interface Results {
  /** Day, as `YYYY-MM-DD`. */
  date: string;
  /** Processor, kernel, and what else matters. */
  machine: string;
  /** What was typed. */
  command: string;
  /** Runs of each. */
  runs: number;
  /** Names and versions of what was compared. */
  contenders: { name: string; what: string; version: string | null; own: boolean; because: string | null }[];
  /** Names of what is not installed. */
  missing: string[];
  /** Everything that was measured. */
  samples: Sample[];
}

/** Rounds after which a tool that never reports a crash, or leaves processes at a stop, is not asked again. */
const ENOUGH = 3;

const TOOLS = `${ROOT}/dist/bench`;
const RESULTS = `${TOOLS}/results.json`;

const flags = parseArgs(Deno.args, { string: ["_", "only", "from"], boolean: ["check", "save", "publish"] });
const alone = flags.check || flags.save;

if (flags.from === undefined && Deno.env.get("BENCH_REAPED") === undefined) Deno.exitCode = await underReaper();
else await main();

async function main(): Promise<void> {
  const results: Results = flags.from === undefined ? await measure() : JSON.parse(Deno.readTextFileSync(flags.from));
  console.log(table(results));
  if (flags.publish) publish(results);
  if (flags.save) save(ratiosOf(results));
  if (flags.check) Deno.exitCode = compare(ratiosOf(results));
}

/** Runs this script below a process that waits for orphans at once, as an init does; not every pid 1 does. */
async function underReaper(): Promise<number> {
  const { flags } = await findStandardLibrary();
  const self = [Deno.execPath(), "run", "-A", ...flags, new URL(import.meta.url).pathname, ...Deno.args];
  const { helper } = new Bed(TOOLS, "");
  const command = new Deno.Command(helper, { args: ["reaper", ...self], env: { BENCH_REAPED: "1" } });
  return (await command.spawn().status).code;
}

async function measure(): Promise<Results> {
  const dir = Deno.makeTempDirSync({ prefix: "tombstone-bench-" });
  const bed = new Bed(TOOLS, dir);
  try {
    const forms = await prepareForms(dir);
    const wanted = contenders(forms).filter(isWanted);
    const missing = wanted.filter(({ needs }) => needs !== undefined && !isInstalled(needs));
    const chosen = wanted.filter((contender) => !missing.includes(contender));
    for (const { name, needs } of missing) console.error(`not installed: ${name} (${needs})`);
    bed.install(chosen);
    bed.open(chosen);
    const runs = Number(flags._[0] ?? 12);
    const samples: Sample[] = [];
    for (let round = 0; round <= runs; round++) {
      const taken = await once(bed, chosen, `${Deno.execPath()} run -A ${dir}/empty.ts`, samples);
      if (round > 0) samples.push(...taken); // the first is a warm-up
      console.error(`round ${round} of ${runs}`);
    }
    const results = { ...about(runs), ...names(chosen, missing), samples };
    Deno.writeTextFileSync(RESULTS, JSON.stringify(results));
    return results;
  } finally {
    await bed.close();
    Deno.removeSync(dir, { recursive: true });
  }
}

/** The forms of this tool, each with its command. */
async function prepareForms(dir: string): Promise<Record<string, string>> {
  const { flags: std } = await findStandardLibrary();
  Deno.writeTextFileSync(`${dir}/empty.ts`, "");
  const bundle = `${TOOLS}/tombstone.js`;
  const args = ["run", "-A", `${ROOT}/tools/task.ts`, "bundle", bundle];
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "null" }).output();
  if (!success) throw new Error("Cannot prepare the benchmark: deno bundle failed");
  const binary = `${ROOT}/dist/tombstone`;
  return {
    sources: [Deno.execPath(), "run", "--quiet", "-A", ...std, `${ROOT}/main.ts`].join(" "),
    bundle: `${Deno.execPath()} run -A ${bundle}`,
    ...isInstalled(binary) ? { binary } : {},
  };
}

/** Whether it was asked for. */
function isWanted({ name, own }: Contender): boolean {
  if (alone) return own === true;
  return flags.only === undefined || flags.only.split(",").some((part: string) => name.includes(part));
}

/** Every figure of every contender once, one after the other. */
async function once(bed: Bed, chosen: Contender[], empty: string, before: Sample[]): Promise<Sample[]> {
  const taken: Sample[] = [];
  for (const server of servers(bed.helper).filter(({ command }) => isInstalled(command.split(" ")[0]!))) {
    taken.push(...await measureEmpty(bed, empty));
    for (const contender of chosen) taken.push(...await measureStart(bed, contender, server));
  }
  for (const contender of chosen) {
    const tried = before.filter((sample) => sample.contender === contender.name && sample.figure === "crash");
    if (tried.length < ENOUGH || tried.some(({ value }) => value !== null)) {
      taken.push(await measureCrash(bed, contender));
    }
    taken.push(...await measureStop(bed, contender));
  }
  return taken;
}

function about(runs: number): Pick<Results, "date" | "machine" | "command" | "runs"> {
  const model = /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const gigabytes = Math.round(Deno.systemMemoryInfo().total / 1e9);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${model}, ${navigator.hardwareConcurrency} cores, ${gigabytes} GB, Linux ${Deno.osRelease()}, ` +
      `Deno ${Deno.version.deno}, ${output("node --version").replace(/^v/, "Node ")}`,
    command: ["deno task bench", ...Deno.args].join(" "),
    runs,
  };
}

function names(chosen: Contender[], missing: Contender[]): Pick<Results, "contenders" | "missing"> {
  return {
    contenders: chosen.map(({ name, what, npm, version, own, because }) => ({
      name,
      what,
      version: npm?.slice(npm.lastIndexOf("@") + 1) ?? (version === undefined ? null : output(version)),
      own: own === true,
      because: because ?? null,
    })),
    missing: missing.map(({ name }) => name),
  };
}

function output(script: string): string {
  return new TextDecoder().decode(new Deno.Command("bash", { args: ["-c", script] }).outputSync().stdout).trim();
}

function isInstalled(program: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `PATH=$PATH:/usr/sbin command -v ${program}`], stdout: "null" })
    .outputSync().success;
}

/**
 * The tasks of `deno.json`. Run them as `deno task NAME`.
 *
 * @module
 */
import { findStandardLibrary, ROOT } from "./standard_library.ts";

const SOURCES = ["main.ts", "lib", "tests", "tools"];
const BUNDLE = `${ROOT}/dist/tombstone.js`;
const BINARY = `${ROOT}/dist/tombstone`;

const [task, ...rest] = Deno.args;
const std = await findStandardLibrary();
console.error(std.message);

/** Runs Deno; resolves to its exit code. */
async function deno(args: string[], env: Record<string, string> = {}): Promise<number> {
  const command = new Deno.Command(Deno.execPath(), { args, env, cwd: ROOT });
  return (await command.spawn().status).code;
}

/** Runs a module of this project, with the standard library found. */
function run(module: string, args: string[]): Promise<number> {
  return deno(["run", "--quiet", "-A", ...std.flags, module, ...args], commandUnderTest());
}

/** The command that black-box tests and benchmarks run, unless `TOMBSTONE_CMD` names another. */
function commandUnderTest(): Record<string, string> {
  // To a test that sets the clock a year back, every dependency is too young.
  const flags = ["--quiet", "-A", "--minimum-dependency-age=0", ...std.flags];
  const own = [Deno.execPath(), "run", ...flags, `${ROOT}/main.ts`].join(" ");
  return { TOMBSTONE_CMD: Deno.env.get("TOMBSTONE_CMD") ?? own, TOMBSTONE_API_FLAGS: std.flags.join(" ") };
}

/**
 * Runs the tests, and ends with one line that counts them. The fast ones run the sources as one file, made here:
 * a command of theirs that loads its 150 modules takes half as much time again.
 */
async function test(args: string[], tier: "fast" | "full" = "fast"): Promise<number> {
  const isWhole = args.every((arg) => arg.startsWith("-"));
  const temporary = Deno.makeTempDirSync({ prefix: "tombstone-" });
  try {
    if (tier === "fast" && !Deno.env.has("TOMBSTONE_CMD")) {
      const file = `${temporary}/tombstone.js`;
      const code = await deno(["bundle", "--quiet", ...std.flags, "-o", file, "main.ts"]);
      if (code !== 0) return code;
      Deno.env.set("TOMBSTONE_CMD", `${Deno.execPath()} run -A ${file}`);
    }
    // The types, also those of the documentation's examples, are checked by the full tier.
    const more = [...(tier === "fast" ? ["--no-check"] : []), ...(isWhole ? ["lib", "tests"] : [])];
    return await runTests([...args, ...more], {
      // The examples of the documentation run as tests, and shall not use the state of the user.
      TOMBSTONE_STATE_DIR: `${temporary}/state`,
      ...(tier === "full" ? { TOMBSTONE_FULL: "1" } : {}),
    });
  } finally {
    Deno.removeSync(temporary, { recursive: true });
  }
}

/** The words before a command whose orphans are to be reaped, where that is needed and can be done. */
function reaper(): string[] {
  try {
    new Deno.Command("perl", { args: ["-e", "1"] }).outputSync();
    return Deno.build.os === "linux" ? ["perl", `${ROOT}/tests/support/reaper.pl`] : [];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function runTests(args: string[], env: Record<string, string>): Promise<number> {
  const [program, ...own] = [...reaper(), Deno.execPath()];
  const child = new Deno.Command(program!, {
    args: [...own, "test", "-A", "--parallel", "--doc", ...std.flags, ...args],
    cwd: ROOT,
    // Many tests wait most of their time, for a deadline or a pause of the tool.
    env: {
      DENO_JOBS: String(2 * navigator.hardwareConcurrency),
      ...Deno.env.toObject(),
      ...commandUnderTest(),
      ...env,
    },
    stdout: "piped",
  }).spawn();
  let output = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    Deno.stdout.writeSync(bytes);
    output += decoder.decode(bytes, { stream: true });
  }
  const { code } = await child.status;
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const summary = /(\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?: \(\d+ steps?\))?(?: \| (\d+) ignored)?/.exec(
    plain,
  );
  if (summary !== null) {
    console.log(`${summary[1]} passed, ${summary[2]} failed` + (summary[3] ? `, ${summary[3]} skipped` : ""));
  }
  return code;
}

/** One file without imports; {@link "./minify.ts"} says what is shortened in it. */
async function bundle(path = BUNDLE): Promise<number> {
  return await deno(["bundle", "--quiet", ...std.flags, "-o", path, "main.ts"]) ||
    await run("tools/minify.ts", [path]);
}

/** The npm package below a directory. */
async function npm(output = `${ROOT}/dist`): Promise<number> {
  return await bundle(`${output}/npm/tombstone.js`) || await run("tools/npm.ts", [output]);
}

/** The binary is made from the bundle, so that it needs nothing from any registry. */
async function compile(args: string[]): Promise<number> {
  const code = await bundle();
  if (code !== 0) return code;
  const compiled = await deno(["compile", "-A", ...args, "-o", BINARY, BUNDLE]);
  if (compiled === 0) return 0;
  console.error("deno compile failed. It needs Deno's runtime (denort), which it downloads from Deno's own host;");
  console.error(
    "hint: where that cannot be reached, name a copy of the same version: DENORT_BIN=/path/to/denort deno task compile",
  );
  return compiled;
}

/** Strangers run the bundle, so it is what real servers are tried with. */
function servers(): Promise<number> {
  if (!Deno.env.has("TOMBSTONE_CMD")) Deno.env.set("TOMBSTONE_CMD", `${Deno.execPath()} run -A ${BUNDLE}`);
  return run("tools/servers.ts", rest);
}

/** Everything that must hold before a change lands. */
async function ok(): Promise<number> {
  const steps: [string, () => Promise<number>][] = [
    ["format", () => deno(["fmt", "--check", "--quiet"])],
    ["lint", () => deno(["lint", "--quiet"])],
    ["types", () => deno(["check", "--quiet", ...std.flags, ...SOURCES])],
    ["documentation", () => deno(["doc", "--quiet", "--lint", ...std.flags, "main.ts", ...libModules()])],
    ["tests", () => test([], "full")],
  ];
  for (const [name, step] of steps) {
    const code = await step();
    console.error(`${code === 0 ? "ok" : "FAILED"}: ${name}`);
    if (code !== 0) return code;
  }
  return 0;
}

function libModules(path = "lib"): string[] {
  return [...Deno.readDirSync(`${ROOT}/${path}`)].flatMap((entry) =>
    entry.isDirectory ? libModules(`${path}/${entry.name}`) : [`${path}/${entry.name}`]
  );
}

const TASKS: Record<string, () => Promise<number>> = {
  ok,
  bundle: () => bundle(rest[0]),
  test: () => test(rest),
  "test:full": () => test(rest, "full"),
  compile: () => compile(rest),
  docs: () => run("tools/docs.ts", rest),
  release: async () => await bundle() || await run("tools/release.ts", rest),
  npm: () => npm(rest[0]),
  demo: () => run("tools/demo.ts", rest),
  bench: () => run("tools/bench.ts", rest),
  many: () => run("tools/many.ts", rest),
  crash: () => run("tools/crash.ts", rest),
  soak: () => run("tools/soak.ts", rest),
  servers: async () => await bundle() || await servers(),
};

const chosen = TASKS[task ?? ""];
if (chosen === undefined) {
  console.error(`Cannot run task "${task}": expected one of ${Object.keys(TASKS).join(", ")}`);
  Deno.exit(2);
}
Deno.exit(await chosen());

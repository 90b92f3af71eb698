/**
 * The scripts of a package, and the package manager that runs them.
 *
 * @module
 */
import { parse } from "@std/jsonc/parse";
import { dirname } from "../paths.ts";
import { asString, type Fields, isFields, parseObject } from "./json.ts";

/** Looks at the files of a project. */
export interface Files {
  /** The text of a file; `null` if there is none. */
  read: (path: string) => string | null;
  /** Whether there is such a file. */
  has: (path: string) => boolean;
}

/** A script that can be run. */
export interface Script {
  /** Program and arguments that run it. */
  command: string[];
  /** The file that has it: `package.json` or `deno.json`. */
  file: string;
  /** What it does, as it stands there; `null` for a task of Deno that only depends on others. */
  line: string | null;
}

/** The scripts of a directory. */
export interface Scripts {
  /** The directory. */
  dir: string;
  /** Each script by its name. */
  scripts: Map<string, Script>;
  /** A file there that is not valid JSON; `null` if there is none. */
  broken: string | null;
}

/** How each package manager runs a script. */
const RUN = {
  npm: ["npm", "run"],
  pnpm: ["pnpm", "run"],
  yarn: ["yarn", "run"],
  bun: ["bun", "run"],
  deno: ["deno", "task"],
} as const;

/** Files that identify a package manager. */
const LOCK_FILES: [file: string, manager: keyof typeof RUN][] = [
  ["pnpm-lock.yaml", "pnpm"],
  ["yarn.lock", "yarn"],
  ["bun.lock", "bun"],
  ["bun.lockb", "bun"],
  ["package-lock.json", "npm"],
  ["npm-shrinkwrap.json", "npm"],
  ["deno.lock", "deno"],
];

/** Files with tasks of Deno; the first one counts. */
const DENO_FILES = ["deno.json", "deno.jsonc"];

/**
 * The scripts of the nearest directory, from `from` up to `top`, that has a `package.json` or `deno.json`; `null` without
 * one. A script of `package.json` beats a task of the same name.
 */
export function findScripts(from: string, top: string, files: Files): Scripts | null {
  const dirs = dirsBetween(from, top);
  for (const [at, dir] of dirs.entries()) {
    const deno = DENO_FILES.find((file) => files.has(`${dir}/${file}`));
    const own = deno === undefined ? ["package.json"] : [deno, "package.json"];
    const texts = own.flatMap((file) => {
      const text = files.read(`${dir}/${file}`);
      return text === null
        ? []
        : [{ file, content: file === "package.json" ? parseObject(text) : parseWithComments(text) }];
    });
    if (texts.length === 0) continue;
    const manager = managerOf(dirs.slice(at), files);
    const scripts = texts.flatMap(({ file, content }) => {
      const isPackage = file === "package.json";
      const run = RUN[isPackage ? manager : "deno"];
      return linesOf(isPackage ? content?.scripts : content?.tasks)
        .map(([name, line]): [string, Script] => [name, { command: [...run, name], file, line }]);
    });
    const broken = texts.find(({ content }) => content === null)?.file ?? null;
    return { dir, scripts: new Map(scripts), broken: broken === null ? null : `${dir}/${broken}` };
  }
  return null;
}

function parseWithComments(text: string): Fields | null {
  try {
    const value: unknown = parse(text);
    return isFields(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * The package manager of the first of these directories that names one, by the field `packageManager` or by a lock
 * file.
 */
function managerOf(dirs: string[], files: Files): keyof typeof RUN {
  for (const dir of dirs) {
    const field = asString(parseObject(files.read(`${dir}/package.json`) ?? "")?.packageManager);
    const name = field?.split("@")[0];
    if (name !== undefined && Object.hasOwn(RUN, name)) return name as keyof typeof RUN;
    const lock = LOCK_FILES.find(([file]) => files.has(`${dir}/${file}`));
    if (lock !== undefined) return lock[1];
  }
  return "npm";
}

function linesOf(scripts: unknown): [name: string, line: string | null][] {
  return Object.entries(isFields(scripts) ? scripts : {}).flatMap(([name, script]): [string, string | null][] => {
    // A task of Deno may be an object with a command.
    if (isFields(script)) return [[name, asString(script.command)]];
    return typeof script === "string" ? [[name, script]] : [];
  });
}

function dirsBetween(from: string, top: string): string[] {
  const dirs: string[] = [];
  for (let dir = from;; dir = dirname(dir)) {
    dirs.push(dir);
    if (dir === top || dir === dirname(dir)) return dirs;
  }
}

/** The rules of the rooms of `lib/` for imports, checked on text: ranks, circles, sizes. */

/** From the bottom to the top. A file imports its own room and those of lower rank, never one of the same rank. */
const RANKS = ["", "spec", "os", "state", "process", "readiness", "engine", "export", "api", "cli", "mod.ts"];

/** The longest file that is allowed, in lines. */
const MAX_LINES = 250;

/** Which file each file imports, types and `import()` included: path to paths, all below `lib/`. */
function importsOf(path: string, text: string): string[] {
  const code = text.replace(/^\s*(\/\*\*?|\*).*$/gm, "").replace(/^\s*\/\/.*$/gm, "");
  const specifiers = [...code.matchAll(/\bfrom\s*"(\.[^"]*)"|\bimport\s*\(?\s*"(\.[^"]*)"/g)];
  return specifiers.map(([, from, imported]) => new URL((from ?? imported)!, `file:///${path}`).pathname.slice(1));
}

/** The room of a file, by its path below `lib/`. Files of `lib/` itself are at the bottom, except `mod.ts`. */
function roomOf(path: string): string {
  if (path === "mod.ts") return path;
  return path.includes("/") ? path.split("/")[0]! : "";
}

/** The groups of files that import each other, even indirectly: each sorted, only groups of more than one file. */
function circles(graph: Map<string, string[]>): string[][] {
  // Tarjan's algorithm: a group is complete when nothing in it reaches a file visited earlier.
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (path: string) => {
    order.set(path, order.size);
    lowest.set(path, order.get(path)!);
    stack.push(path);
    for (const next of graph.get(path) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) lowest.set(path, Math.min(lowest.get(path)!, lowest.get(next)!));
    }
    if (lowest.get(path) !== order.get(path)) return;
    const group = stack.splice(stack.indexOf(path));
    if (group.length > 1 || graph.get(path)?.includes(path)) found.push(group.sort());
  };
  for (const path of graph.keys()) if (!order.has(path)) visit(path);
  return found;
}

/** The violations of the rules, one line each, in files given as path below `lib/` to text. */
export function violations(files: Record<string, string>): string[] {
  const graph = new Map(Object.entries(files).map(([path, text]) => [path, importsOf(path, text)]));
  const wrong: string[] = [];
  for (const [path, imports] of graph) {
    const lines = files[path]!.split("\n").length - 1;
    if (lines > MAX_LINES) wrong.push(`${path} has ${lines} lines`);
    const room = roomOf(path);
    if (!RANKS.includes(room)) wrong.push(`${path} is in no room`);
    for (const imported of imports) {
      const isBelow = RANKS.indexOf(roomOf(imported)) < RANKS.indexOf(room) || roomOf(imported) === room;
      if (!graph.has(imported)) wrong.push(`${path} imports ${imported}, which is not there`);
      else if (!isBelow) wrong.push(`${path} imports ${imported}, which is not below it`);
    }
  }
  for (const group of circles(graph)) wrong.push(`a circle: ${group.join(", ")}`);
  return wrong;
}

/** Words that only `lib/os/` may contain, and their names in messages. Comments may contain them. */
const PLATFORM: [RegExp, string][] = [
  [/\/bin\/|\/dev\/|\/proc\b/, "a path of the system"],
  [/\.startsWith\("\/"\)|@std\/path|split\(":"\)/, "rules of paths"],
  [/\b(uid|gid)\b/, "a user id"],
  [/["'`]SIG[A-Z]/, "a signal"],
  [/\b0o[0-7]/, "mode bits"],
  [/\b128 \+|code: 1[34]\d\b/, "an exit code of a signal"],
  [/\b(sid|pgid|pgrp|tpgid)\b|\bsetsid\b/, "a session or group id"],
  [/\bDeno\.(kill|dlopen)\b/, "a system call"],
  [/\bDeno\.build\b/, "which system it is"],
  [/["'`](ss|df|ps|mount|lsof|sudo|chmod|ulimit|ls) /, "a program of the system"],
  [/\bstartTime\b *([<>]|- )|[<>-] \w+\.startTime\b/, "what a start time counts in"],
  [/"(\.\.\/)+os\/(linux|posix)\//, "one back end"],
];

/** Files in which such words do not mean the system that the tool runs on. */
const OTHER_MEANING: [RegExp, string[], string][] = [
  [
    /^export\//,
    ["a path of the system", "rules of paths", "a signal"],
    "words of the systems that units and manifests are for",
  ],
  [/^cli\/completions\.ts$/, ["a path of the system"], "words of the shells that read the scripts"],
  [/^paths\.ts$/, ["rules of paths"], "the one place that names the rules"],
  [/^spec\/(values|types)\.ts$/, ["a signal"], "names that users write"],
  [/^(spec\/(values|outside)|readiness\/http)\.ts$/, ["rules of paths"], "the path of a URL"],
  [/^errors\.ts$/, ["an exit code of a signal", "a signal"], "exit codes that are promised, the same on every system"],
];

/** Words of the operating system in files above `lib/os/`, one line each; files are given as path below `lib/` to text. */
export function platformWords(files: Record<string, string>): string[] {
  return Object.entries(files).filter(([path]) => !path.startsWith("os/")).flatMap(([path, text]) => {
    const code = text.replace(/^\s*(\/\*\*?|\*).*$/gm, "").replace(/(^|\s)\/\/ .*$/gm, "");
    const fine = OTHER_MEANING.filter(([file]) => file.test(path)).flatMap(([, words]) => words);
    return PLATFORM.filter(([word, name]) => word.test(code) && !fine.includes(name))
      .map(([word, name]) => `${path} knows ${name}: ${word.exec(code)![0]}`);
  });
}

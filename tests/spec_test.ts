/**
 * The table of settings and everything derived from it. No test here needs a system: nothing is read, written or run.
 * The tests of a setting follow from its entry, so a new entry is tested as well.
 */
import { Ajv } from "npm:ajv@8";
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { flagAt, type Flags, givenBy, START_FLAGS } from "../lib/cli/start_flags.ts";
import { UsageError } from "../lib/errors.ts";
import { type Described, readDescription } from "../lib/spec/description.ts";
import { type Field, helpOf, isGivenIn, optionOf, otherwiseOf, type Type, type Types } from "../lib/spec/field.ts";
import { FIELDS as TABLE, GROUPS, type Path } from "../lib/spec/fields.ts";
import { NAME, parseName } from "../lib/spec/names.ts";
import { HTTP_STATUS } from "../lib/spec/probes.ts";
import { parseProject } from "../lib/spec/project_file.ts";
import {
  DEFAULTS,
  readSettings,
  type Settings,
  settingsFrom,
  settingsOf,
  type Source,
  valueOf,
} from "../lib/spec/settings.ts";
import { exampleOf, TYPES } from "../lib/spec/types.ts";
import { parsePortRequest } from "../lib/spec/port_request.ts";
import { parseCount, parseDuration, parseSignal, parseVariables } from "../lib/spec/values.ts";

const FIELDS: (Field & { path: Path })[] = [...TABLE];
const NAMES = Object.keys(TYPES) as (keyof Types)[];
const PLACE = { name: "--x", base: () => "/base" };

const typeOf = (name: keyof Types) => TYPES[name] as Type<unknown, unknown>;

/**
 * JSON values of each type. `good`: the schema and the parser accept them; `bad`: both refuse them; `beyond`: only the
 * parser refuses them, since a schema cannot express the reason.
 */
const VALUES: Record<keyof Types, { good: unknown[]; bad: unknown[]; beyond?: unknown[] }> = {
  boolean: { good: [true, false], bad: ["true", 1, null, []] },
  string: { good: ["x", "two words"], bad: ["", 1, null, ["x"]] },
  "string[]": { good: ["x", ["x", "y"], []], bad: ["", [1], [""], {}] },
  names: { good: [[], ["db", "cache"]], bad: ["db", [""], [1], {}] },
  command: { good: ["npm run dev", ["a", ""]], bad: ["", [], [1], {}, 1] },
  variables: {
    good: [{}, { A: "x", B: 1, C: true, D: "" }],
    bad: ["A=1", ["A=1"], { A: null }, { A: {} }],
    beyond: [{ "A=": "x" }, { "a b": "x" }, { A: "\0" }],
  },
  count: { good: [0, 100], bad: [-1, 1.5, 101, "3"] },
  port: {
    good: [0, 65535, "3000+", "1+", "65535+"],
    bad: [-1, 1.5, 65536, "80", "+", "0+", "65536+", "3000++", [3000]],
  },
  host: { good: ["localhost", "::1", "127.0.0.1"], bad: ["", "a b", "http://x", "a\nb", 1] },
  duration: {
    good: ["250ms", "1.5s", "30", 0, 0.5, "5m", "4h"],
    bad: ["soon", "-1s", "1d", "", -1, true],
    beyond: ["9000h", 1e12],
  },
  size: { good: ["50MB", "512k", "1GiB", "7b", "8", 0, 1000], bad: ["big", "1TB", "", -1, 0.5], beyond: ["9999999GB"] },
  path: { good: ["a", "/a/b", "../a"], bad: ["", 1, ["a"]] },
  "path[]": { good: ["a", ["/a", "b"]], bad: ["", [""], 1] },
  "regex[]": { good: ["^ready$", ["a", "b|c"]], bad: ["", 1, [""]], beyond: ["(", ["a", "("]] },
  "target[]": { good: ["/", ["/a?b", "https://x/"], "HTTP://x:{port}/"], bad: ["", "x", "ftp://x", ["x"]] },
  statuses: { good: ["200", "200-399, 401"], bad: ["", "20", "600", "200-", 200], beyond: ["300-200"] },
  pid: { good: [1, 4194304], bad: [0, -1, 1.5, 4194305, "12", null] },
  label: { good: ["x", "agent:7/a", "é"], bad: ["", "a b", "a\n", "x".repeat(201), 1, ["x"]] },
  signal: { good: ["TERM", "SIGINT", "quit"], bad: ["", 15], beyond: ["STOP", "nothing"] },
};

/** A value of a setting that is not its default. */
function sampleOf(field: Field): unknown {
  return JSON.parse(exampleOf(field));
}

/** An object with this value at a path such as `stop.timeout`. */
function nested(path: string, value: unknown): Record<string, unknown> {
  const [first, rest] = path.split(/\.(.*)/) as [string, string | undefined];
  return { [first]: rest === undefined ? value : nested(rest, value) };
}

/** Two objects, and the objects in them, as one. */
function merged(one: Record<string, unknown>, other: Record<string, unknown>): Record<string, unknown> {
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  return Object.entries(other).reduce((all, [name, value]) => {
    const both = isObject(all[name]) && isObject(value);
    return { ...all, [name]: both ? merged(all[name] as typeof one, value as typeof one) : value };
  }, one);
}

/** The flags for this value of a setting. */
function flagsFor({ flag, type }: Field, value: unknown): Flags {
  const isMap = typeof value === "object" && !Array.isArray(value);
  const texts = isMap ? Object.entries(value!).map((pair) => pair.join("=")) : [value].flat().map(String);
  return {
    has: (name) => name === flag && TYPES[type].word === null && value === true,
    text: (name) => name === flag ? texts[0] : undefined,
    texts: (name) => name === flag ? texts : [],
  };
}

const inFile = (value: unknown) =>
  readDescription(value, { node: "web", where: "tombstone.json", base: () => "/project", kind: "file" });

const inProgram = (value: unknown) =>
  readDescription(value, { node: "web", where: "the options of start", base: () => "/project", kind: "program" });

const settings = (source: Source) => settingsFrom(source, (line) => ["shell", line]);

/** A description with this setting on top, as a file or, where a file cannot have it, a program gives it. */
function described(field: Field, context: Record<string, unknown>, value: unknown): Promise<Described> {
  if (isGivenIn(field, "file")) return inFile(merged(context, nested(field.path, value)));
  return inProgram(merged(context, nested(optionOf(field.path), value)));
}

/** The settings that result from a description. */
function outcomeOf({ source, after }: Described): unknown {
  return { settings: settings(source), env: valueOf(source, "env"), whilePid: valueOf(source, "while_pid"), after };
}

/** The other fields of the description: some settings have no effect alone (`http_status`), some exclude others (`none`). */
const CONTEXTS = [{ command: "serve" }, { command: "serve", port: 1, probes: { http: "/x" } }];

/** The contexts in which a setting changes the outcome. */
async function telling(field: Field): Promise<Record<string, unknown>[]> {
  const found = [];
  for (const context of CONTEXTS) {
    try {
      const without = JSON.stringify(outcomeOf(await inFile(context)));
      if (JSON.stringify(outcomeOf(await described(field, context, sampleOf(field)))) !== without) found.push(context);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }
  return found;
}

Deno.test("each path, flag, option and place in the record is in the table once, and each group has an explanation", () => {
  const lists = {
    paths: FIELDS.map(({ path }) => path),
    flags: START_FLAGS.map(({ name }) => name),
    options: FIELDS.map(({ path }) => optionOf(path)),
    places: FIELDS.flatMap(({ recorded }) => recorded ?? []),
  };
  for (const [what, list] of Object.entries(lists)) assertEquals(list, [...new Set(list)], what);
  const groups = new Set(FIELDS.flatMap(({ path }) => path.includes(".") ? path.split(".")[0]! : []));
  assertEquals([...groups].sort(), Object.keys(GROUPS).sort());
  for (const { path, flag } of FIELDS) {
    assertMatch(path, /^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?$/);
    if (flag !== undefined) assertEquals(flagAt(path), `--${flag}`);
  }
});

Deno.test("each default is a value of its type, is in the help, and applies if nothing is given", () => {
  const source: Source = { node: "web", given: new Map(), base: () => "/", place: (path) => path };
  for (const field of FIELDS) {
    const type = typeOf(field.type);
    const value = valueOf(source, field.path) as unknown;
    if (field.default === undefined) {
      assertEquals(value, type.none, field.path);
      continue;
    }
    assertEquals(value, type.parse(field.default, { ...PLACE, base: () => "/" }), field.path);
    assert(helpOf(field).endsWith(`(${otherwiseOf(field)})`), field.path);
    assert(field.otherwise !== undefined || helpOf(field).includes(field.default), field.path);
    assertNotEquals(type.parse(sampleOf(field), PLACE), value, `the example of ${field.path} is its default`);
  }
  assertEquals(valueOf(source, "probes.http_status"), [HTTP_STATUS]);
  assertEquals(readSettings({}), DEFAULTS);
  assertEquals(DEFAULTS.timeout_ms, 60_000);
});

Deno.test("the schema of each type and its parser agree, on good and on bad values", () => {
  for (const name of NAMES) {
    const type = typeOf(name);
    const { good, bad, beyond = [] } = VALUES[name];
    const isValid = new Ajv({ allowUnionTypes: true }).compile(type.schema);
    const isTaken = (value: unknown) => {
      try {
        if (!type.accepts(value)) return false;
        type.parse(value, PLACE);
        return true;
      } catch (error) {
        if (error instanceof UsageError) return false;
        throw error;
      }
    };
    for (const value of [JSON.parse(type.example), ...good]) {
      assertEquals([isValid(value), isTaken(value)], [true, true], `${name}: ${JSON.stringify(value)}`);
    }
    for (const value of bad) assertEquals([isValid(value), isTaken(value)], [false, false], `${name}: ${value}`);
    for (const value of beyond) assertEquals(isTaken(value), false, `${name}: ${JSON.stringify(value)}`);
  }
});

Deno.test("an error names the place, and its hint has a valid example", async () => {
  for (const field of FIELDS) {
    for (const value of VALUES[field.type].bad) {
      const error = await assertRejects(
        async () => outcomeOf(await described(field, { command: "serve" }, value)),
        UsageError,
        isGivenIn(field, "file")
          ? `"${field.path}" of node "web" in tombstone.json`
          : `"${optionOf(field.path)}" of node "web" in the options of start`,
      );
      assert(error.hint.length > 0 && !error.message.includes("\n"), error.message);
    }
    outcomeOf(await described(field, { command: "serve" }, sampleOf(field)));
  }
});

Deno.test("each setting reaches the start from the file, from its flag and from its option, as the same value", async () => {
  for (const field of FIELDS.filter(({ path }) => path !== "command")) {
    const contexts = await telling(field);
    assert(contexts.length > 0, `${field.path} changes nothing`);
    for (const context of contexts) {
      const value = sampleOf(field);
      const expected = outcomeOf(await described(field, context, value));
      if (field.only === "call") {
        const inJson = merged(context, nested(field.path, value));
        await assertRejects(() => inFile(inJson), UsageError, "there is no such field");
      }
      const options = merged(context, nested(optionOf(field.path), value));
      if (field.only === "file") await assertRejects(() => inProgram(options), UsageError, "there is no such field");
      else assertEquals(outcomeOf(await inProgram(options)), expected, field.path);
      if (field.flag === undefined) continue;
      const { source } = await inFile(context);
      const given = new Map([...source.given, ...givenBy(flagsFor(field, value))]);
      assertEquals(outcomeOf({ source: { ...source, given }, after: [] }), expected, field.path);
    }
  }
});

Deno.test("the command is a list as it is, or a line for the shell", async () => {
  const commandOf = async (command: unknown) => settings((await inFile({ command })).source).command;
  assertEquals(await commandOf(["a", "", "b c"]), ["a", "", "b c"]);
  assertEquals(await commandOf("a | b"), ["shell", "a | b"]);
});

Deno.test("a misspelt option is refused, and the error suggests the nearest", async () => {
  const error = await assertRejects(() => inProgram({ command: "serve", sweep_files: "a" }), UsageError, "sweep_files");
  assertMatch(error.hint, /did you mean "sweepFiles"\?/);
  const inner = await assertRejects(() => inProgram({ command: "x", probes: { htttp: "/" } }), UsageError);
  assertMatch(inner.hint, /did you mean "http"\?/);
});

Deno.test("an option that is undefined is not given", async () => {
  const { source } = await inProgram({ command: "serve", port: undefined, probes: { aliveFor: undefined } });
  assertEquals(settings(source), { ...settings((await inFile({ command: "serve" })).source) });
});

Deno.test("settings are recorded and read back as they are", async () => {
  for (const field of FIELDS) {
    for (const context of await telling(field)) {
      const { source } = await described(field, context, sampleOf(field));
      const asked = settings(source);
      assertEquals(readSettings(JSON.parse(JSON.stringify(asked))), asked, field.path);
      assertEquals(settingsOf({ ...asked, pid: 1 } as Settings), asked);
    }
  }
});

Deno.test("an invalid recorded value becomes the default of its setting, and changes no other", () => {
  const ODD = [null, 1.5, -1, "relative\0", [], [1], {}, { type: "tcp" }, [{ type: "tcp", port: 99999 }], [null], true];
  for (const { recorded, type } of FIELDS) {
    if (recorded === undefined) continue;
    for (const odd of ODD) {
      if (typeOf(type).restore(odd) !== null) continue;
      assertEquals(readSettings(nested(recorded, odd)), DEFAULTS, `${recorded}: ${JSON.stringify(odd)}`);
    }
  }
  for (const odd of ODD) {
    const all = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, odd]));
    assertEquals(readSettings(all).stop, DEFAULTS.stop);
    assertEquals(readSettings(all).probes.length, 1);
  }
  assertEquals(readSettings({ sweep_files: ["relative", "/absolute", "/with\0nul"] }).sweep_files, []);
  assertEquals(readSettings({ sweep_files: ["relative", "/absolute"] }).sweep_files, ["/absolute"]);
  assertEquals(readSettings({ stop: { signal: "SIGSTOP" } }).stop.signal, "SIGTERM");
});

Deno.test("no record and no message contains values of variables", async () => {
  const { source } = await inFile({ command: "serve", env: { TOKEN: "secret" } });
  assert(!JSON.stringify(settings(source)).includes("secret"));
  const bad = [{ TOKEN: ["secret"] }, { "TOKEN=": "secret" }, { "a b": "secret" }, { TOKEN: "secret\0" }];
  for (const env of bad) {
    const error = await assertRejects(async () => outcomeOf(await inFile({ command: "serve", env })), UsageError);
    assert(!`${error.message} ${error.hint}`.includes("secret"), error.message);
  }
});

Deno.test("the current directory is read only for a relative path", async () => {
  const base = () => {
    throw new Error("asked for");
  };
  const read = async (value: unknown) =>
    settings((await readDescription(value, { node: "web", where: "here", base, kind: "file" })).source);
  assertEquals((await read({ command: "serve", cwd: "/x/../y", sweep_files: "/z" })).cwd, "/y");
  await assertRejects(() => read({ command: "serve", cwd: "/x", sweep_files: "z" }), Error, "asked for");
});

Deno.test("a project is parsed only from its text; an empty one describes nothing", async () => {
  assertEquals((await parseProject("\n", "/p")).size, 0);
  const project = await parseProject(
    '{ "nodes": { "web": { "command": "x", "after": ["db"] }, "db": { "command": "y" } } }',
    "/p",
  );
  assertEquals([...project].map(([name, { after }]) => [name, after]), [["web", ["db"]], ["db", []]]);
  assertEquals(settings(project.get("db")!.source).cwd, "/p");
  await assertRejects(
    () => parseProject("{", "/p"),
    UsageError,
    'Cannot use "/p/tombstone.json": it is not valid JSON',
  );
});

Deno.test("names of nodes and workspaces: 1 to 64 letters, digits, dots, dashes, underscores", () => {
  for (const name of ["a", "0", "web.1", "a-b_c", "x".repeat(64)]) assertEquals(parseName("node", name), name);
  for (const name of ["", ".a", "-a", "a/b", "a b", "é", "x".repeat(65), "workspace.json", "a\n"]) {
    assertThrows(() => parseName("node", name), UsageError, "as the name of a node");
  }
  assert(NAME.test("workspace.json"));
});

Deno.test("durations, ports, counts, variables and signals", () => {
  assertEquals(["250ms", "30s", "5m", "4h", "2", "0.5", "1.5s"].map((text) => parseDuration("--t", text)), [
    250,
    30_000,
    300_000,
    14_400_000,
    2_000,
    500,
    1_500,
  ]);
  assertEquals([0, 0.25, 60].map((seconds) => parseDuration("--t", seconds)), [0, 250, 60_000]);
  assertEquals(["0", "65535", "3000+"].map((text) => parsePortRequest("--port", text)), [0, 65535, "3000+"]);
  for (const text of [":3000", "localhost:3000", "LocalHost:3000", "127.0.0.1:3000", "[::1]:3000"]) {
    assertEquals([parsePortRequest("--port", text), parsePortRequest("--port", `${text}+`)], [3000, "3000+"]);
  }
  assertEquals(parseCount("-n", "0"), 0);
  assertEquals(parseVariables("--env", ["A=1", "B=", "C=x=y", "A=2"]), { A: "2", B: "", C: "x=y" });
  assertEquals(["TERM", "SIGINT", "quit"].map((text) => parseSignal("--s", text)), ["SIGTERM", "SIGINT", "SIGQUIT"]);
  const wrong = [
    ...["", "s", "-1s", "1 s", "1d", "1e3", "∞", "9999h99"].map((text) => () => parseDuration("--t", text)),
    ...["", "65536", "1.0", "0x50", "１", "+", "0+", "65536+", "+3000"].map((text) => () =>
      parsePortRequest("--port", text)
    ),
    ...[NaN, Infinity, -1].map((value) => () => parseDuration("--t", value)),
    () => parseSignal("--s", "SIGSTOP"),
    () => parseVariables("--env", ["=x"]),
    () => parseVariables("--env", ["x"]),
  ];
  for (const call of wrong) assertEquals(assertThrows(call, UsageError).exitCode, 2);
});

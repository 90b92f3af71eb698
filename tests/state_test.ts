/** The recovery table: the state that follows from files and processes. Every row, and every combination of facts. */
import { assert, assertEquals } from "@std/assert";
import { classify, type NodeFiles, type NodeState } from "../lib/engine/state.ts";
import { live } from "../lib/os/scan.ts";
import type { Identity, ProcessRow } from "../lib/os/rows.ts";
import type { Scan } from "../lib/os/types.ts";
import { inodeOf } from "../lib/state/durable.ts";
import { type NodeDir, nodeDir } from "../lib/state/node_dir.ts";
import { here, type Origin } from "../lib/state/origin.ts";
import { DEFAULTS } from "../lib/spec/settings.ts";

/** Where a record was written. */
const ORIGINS = {
  here: here(),
  "earlier boot": { ...here(), boot_id: crypto.randomUUID() },
  "other sandbox": { ...here(), pid_namespace: "pid:[1]" },
  "other host": { ...here(), host_id: "another" },
} satisfies Record<string, Origin>;
type Place = keyof typeof ORIGINS;

/** The fate of a process that a record names. */
type Fate = "lives" | "gone" | "replaced";

/** Three processes live, each since tick 5: a starter, a main process, a run. */
const [STARTER, MAIN, RUN, NOBODY] = [1000, 2000, 3000, 4000];
const idOf = (pid: number, fate: Fate) => ({
  pid: fate === "gone" ? NOBODY! : pid,
  startTime: fate === "lives" ? 5 : 4,
});
const rowOf = (pid: number): ProcessRow | null =>
  [STARTER, MAIN, RUN].includes(pid)
    ? { pid, startTime: 5, ppid: 1, isAlive: true, isStopped: false, name: "node" }
    : null;
const scan: Scan = {
  ...live,
  read: rowOf,
  find: ({ pid, startTime }: Identity) => startTime === 5 ? rowOf(pid) : null,
  environment: () => null,
  list: () => [],
  listAsync: () => Promise.resolve([]),
};

/** The content of the tombstone's place. */
type TombstoneFact = "missing" | "unreadable" | { failed: boolean; place: Place; starter: Fate };

/** The content of the place of `node.info`. */
type InfoFact = "missing" | "unreadable" | {
  attempt: "that of the tombstone" | "another" | "none";
  place: Place;
  main: Fate;
  run: "none" | Fate;
};

/** Everything that a judgement depends on. */
interface Facts {
  tombstone: TombstoneFact;
  info: InfoFact;
  /** Whether a launcher has recorded itself. */
  launched: boolean;
  /** Whether a process without any record was found. */
  unrecorded: boolean;
  /** Whether a process has the log open, and the lock; these count if pids mean nothing. */
  log: "held" | "free";
  lock: "held" | "free";
}

const ATTEMPT = crypto.randomUUID();
const OTHER = crypto.randomUUID();

/** Directories with the files that the judgement reads, one for each combination; they exist as long as this object. */
class Directories implements Disposable {
  readonly #root = Deno.makeTempDirSync({ prefix: "tombstone-" });
  readonly #held: Deno.FsFile[] = [];

  of({ launched, log, lock }: Facts): NodeDir {
    const dir = nodeDir(this.#root, "w", `${launched ? "launched" : "new"}-${log}-${lock}`);
    try {
      Deno.statSync(dir.path);
    } catch {
      Deno.mkdirSync(dir.path, { recursive: true });
      for (const path of [dir.lock, dir.log]) Deno.writeTextFileSync(path, "", { mode: 0o600 });
      if (launched) Deno.writeTextFileSync(`${dir.path}/launch.${ATTEMPT}`, "");
      if (log === "held") this.#held.push(Deno.openSync(dir.log, { append: true }));
      if (lock === "held") {
        const file = Deno.openSync(dir.lock, { read: true, write: true });
        file.lockSync(true);
        this.#held.push(file);
      }
    }
    return dir;
  }

  [Symbol.dispose](): void {
    for (const file of this.#held) file.close();
    Deno.removeSync(this.#root, { recursive: true });
  }
}

function filesOf(facts: Facts, directories: Directories): NodeFiles {
  const dir = directories.of(facts);
  const { tombstone, info } = facts;
  const unreadable = { kind: "unreadable", reason: "it is empty" } as const;
  const files: NodeFiles = {
    dir,
    entries: [],
    tombstone: { kind: "missing" },
    info: { kind: "missing" },
    launches: facts.launched ? [{ attempt: ATTEMPT, process: null, recordedAtMs: null }] : [],
    unrecorded: facts.unrecorded ? [OTHER] : [],
  };
  if (tombstone === "unreadable") files.tombstone = unreadable;
  else if (tombstone !== "missing") {
    const { pid, startTime } = idOf(STARTER!, tombstone.starter);
    const record = {
      ...{ ...DEFAULTS, ...ORIGINS[tombstone.place], attempt: ATTEMPT, begun_at: "" },
      ...{ starter_pid: pid, starter_start_time: startTime, elsewhere: null, while_process: null, tree: [] },
      ...{ failed: tombstone.failed ? "it failed" : null, failed_at: null, older_pid_files: [], older_files: [] },
    };
    files.tombstone = { kind: "record", record };
  }
  if (info === "unreadable") files.info = unreadable;
  else if (info !== "missing") {
    const { pid, startTime } = idOf(MAIN!, info.main);
    const attempt = { "that of the tombstone": ATTEMPT, another: OTHER, none: null }[info.attempt];
    const run = info.run === "none" ? null : idOf(RUN!, info.run);
    const record = {
      ...{ ...DEFAULTS, ...ORIGINS[info.place], node_name: dir.node, workspace: dir.workspace, attempt, port: 0 },
      ...{ pid, start_time: startTime, leader_pid: pid, held_log: inodeOf(dir.log), nonce: null, bind_addr: null },
      ...{ protocol: null, also_listens: [], started_at: null, ready_at: null, ready_ms: null, stop_began_at: null },
      ...{
        while_process: null,
        tree: [],
        run: run === null ? null : { id: OTHER, pid: run.pid, start_time: run.startTime },
      },
    };
    files.info = { kind: "record", record };
  }
  return files;
}

/** A state in a word or two. */
function wordsOf(state: NodeState): string {
  switch (state.kind) {
    case "unfinished":
      return state.phase;
    case "died":
      return state.rebooted ? "died, rebooted" : state.namespace === "ended" ? "died with its sandbox" : "died";
    default:
      return state.kind;
  }
}

const NOTHING: Facts = {
  tombstone: "missing",
  info: "missing",
  launched: false,
  unrecorded: false,
  log: "free",
  lock: "free",
};
const begun: Exclude<TombstoneFact, string> = { failed: false, place: "here", starter: "gone" };
const done: Exclude<InfoFact, string> = { attempt: "that of the tombstone", place: "here", main: "lives", run: "none" };

/** The table. */
const ROWS: [string, Partial<Facts>, string][] = [
  ["nothing is there", {}, "stopped"],
  ["a process that nothing records", { unrecorded: true }, "unrecorded"],
  ["a launch record alone", { launched: true }, "interrupted"],
  ["a start at work", { tombstone: { ...begun, starter: "lives" } }, "live"],
  ["its starter is gone", { tombstone: begun }, "interrupted"],
  ["the starter's pid was given to another", { tombstone: { ...begun, starter: "replaced" } }, "interrupted"],
  ["it failed, and told so", { tombstone: { ...begun, failed: true } }, "failed"],
  ["it failed, and its starter still runs", { tombstone: { ...begun, failed: true, starter: "lives" } }, "failed"],
  ["its starter ran before the reboot", { tombstone: { ...begun, place: "earlier boot" } }, "interrupted"],
  ["a tombstone that nobody can read", { tombstone: "unreadable" }, "interrupted"],
  ["… whatever has been committed", { tombstone: "unreadable", info: done }, "interrupted"],
  ["committed, the tombstone not removed yet", { tombstone: begun, info: done }, "running"],
  ["a start over another node's record", { tombstone: begun, info: { ...done, attempt: "another" } }, "interrupted"],
  ["a start over a record of another tool", { tombstone: begun, info: { ...done, attempt: "none" } }, "interrupted"],
  ["it runs", { info: done }, "running"],
  ["it runs, of a run that is at work", { info: { ...done, run: "lives" } }, "running"],
  ["its run is gone", { info: { ...done, run: "gone" } }, "abandoned"],
  ["its run's pid was given to another", { info: { ...done, run: "replaced" } }, "abandoned"],
  ["its main process is gone", { info: { ...done, main: "gone" } }, "died"],
  ["its pid was given to another", { info: { ...done, main: "replaced" } }, "died"],
  ["gone, and so is its run", { info: { ...done, main: "gone", run: "gone" } }, "died"],
  ["gone by a reboot, whoever has its pid now", { info: { ...done, place: "earlier boot" } }, "died, rebooted"],
  ["a record that nobody can read", { info: "unreadable" }, "unreadable"],
  ["of another sandbox, its log free", { info: { ...done, place: "other sandbox" } }, "died with its sandbox"],
  ["of another sandbox, its log held", { info: { ...done, place: "other sandbox" }, log: "held" }, "foreign"],
  ["of another host", { info: { ...done, place: "other host" } }, "foreign"],
  ["begun on another host", { tombstone: { ...begun, place: "other host" } }, "foreign"],
  ["begun in another sandbox, whose starter has the lock", {
    tombstone: { ...begun, place: "other sandbox" },
    lock: "held",
  }, "live"],
  ["begun in another sandbox, and given up", { tombstone: { ...begun, place: "other sandbox" } }, "interrupted"],
  ["begun in another sandbox, and somebody has the log", {
    tombstone: { ...begun, place: "other sandbox" },
    launched: true,
    log: "held",
  }, "foreign"],
];

Deno.test("the recovery table: each row of files and processes is one state", () => {
  using directories = new Directories();
  for (const [name, facts, expected] of ROWS) {
    assertEquals(wordsOf(classify(filesOf({ ...NOTHING, ...facts }, directories), scan)), expected, name);
  }
});

/** Every combination of what the types permit. */
function* everything(): Generator<Facts> {
  const places = Object.keys(ORIGINS) as Place[];
  const fates: Fate[] = ["lives", "gone", "replaced"];
  const tombstones: TombstoneFact[] = ["missing", "unreadable"];
  for (const failed of [false, true]) {
    for (const place of places) for (const starter of fates) tombstones.push({ failed, place, starter });
  }
  const infos: InfoFact[] = ["missing", "unreadable"];
  for (const attempt of ["that of the tombstone", "another", "none"] as const) {
    for (const place of places) {
      for (const main of fates) {
        for (const run of ["none", ...fates] as const) infos.push({ attempt, place, main, run });
      }
    }
  }
  const either = [false, true];
  for (const tombstone of tombstones) {
    for (const info of infos) {
      for (const launched of either) {
        for (const unrecorded of either) {
          for (const log of ["held", "free"] as const) {
            for (const lock of ["held", "free"] as const) yield { tombstone, info, launched, unrecorded, log, lock };
          }
        }
      }
    }
  }
}

/** The mistake in a judgement; `null`: none. */
function wrongWith(facts: Facts, state: NodeState): string | null {
  const tombstone = typeof facts.tombstone === "string" ? null : facts.tombstone;
  const info = typeof facts.info === "string" ? null : facts.info;
  const places = [tombstone?.place, info?.place];
  const isElsewhere = places.includes("other host") || places.includes("other sandbox");
  const isServing = info !== null && info.place === "here" && info.main === "lives";
  const isCommitted = facts.tombstone === "missing" || tombstone !== null && info?.attempt === "that of the tombstone";
  const isStarting = tombstone !== null && !tombstone.failed && tombstone.place === "here" &&
    tombstone.starter === "lives";
  const holdsLog = (place: Place | undefined) => place === "other sandbox" && facts.log === "held";

  if (places.includes("other host")) {
    return state.kind === "foreign" ? null : "what another host knows is told from here";
  }
  if (holdsLog(info?.place) && state.kind !== "foreign") return "whoever holds the log elsewhere is taken for gone";
  switch (state.kind) {
    case "stopped":
      return facts.tombstone === "missing" && facts.info === "missing" && !facts.launched && !facts.unrecorded
        ? null
        : "something is left";
    case "running":
      if (!isServing || !isCommitted) return "nothing shows that it runs";
      return info.run === "none" || info.run === "lives" ? null : "its run is gone";
    case "abandoned":
      if (!isServing || !isCommitted) return "nothing shows that it runs";
      return info.run === "gone" || info.run === "replaced" ? null : "its run is at work, or it has none";
    case "died":
      if (info === null || isServing) return "what is proven alive is called dead";
      if (!isCommitted) return "a start that has not finished is passed over";
      return state.rebooted === (info.place === "earlier boot") &&
          (state.namespace === "ended") === (info.place === "other sandbox")
        ? null
        : "the wrong cause";
    case "unfinished":
      if (isCommitted && (facts.tombstone !== "missing" || facts.info !== "missing")) return "it is committed";
      if (state.phase === "failed") return tombstone?.failed === true ? null : "nothing says that it failed";
      if (state.phase === "live") {
        return isStarting || tombstone?.place === "other sandbox" && facts.lock === "held" ? null : "nobody is at work";
      }
      return isStarting ? "who is at work is called interrupted" : null;
    case "unrecorded":
      return facts.unrecorded && facts.tombstone === "missing" && facts.info === "missing" ? null : "there is a record";
    case "unreadable":
      return facts.info === "unreadable" && facts.tombstone === "missing"
        ? null
        : "it can be read, or a start is recorded";
    case "foreign":
      return isElsewhere ? null : "everything of it can be seen from here";
  }
}

Deno.test("every combination of files and processes: a process that is proven alive is never called dead, and every state occurs", () => {
  using directories = new Directories();
  const met = new Set<string>();
  let count = 0;
  for (const facts of everything()) {
    const state = classify(filesOf(facts, directories), scan);
    const wrong = wrongWith(facts, state);
    assert(wrong === null, `${wrong}: ${wordsOf(state)}, of ${JSON.stringify(facts)}`);
    met.add(wordsOf(state));
    count++;
  }
  assertEquals(count, 26 * 146 * 16);
  assertEquals(
    [...met].sort(),
    [...new Set(ROWS.map(([, , expected]) => expected))].sort(),
  );
});

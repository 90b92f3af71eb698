/**
 * Steps of the contract tests that need another process: `contract_child.ts BACK_END starved PID` examines a process
 * without a free descriptor, `contract_child.ts BACK_END look PID` with the given PATH. Prints the result.
 *
 * @module
 */
import { linux } from "../../lib/os/linux/system.ts";
import { posix } from "../../lib/os/posix/system.ts";
import { TombstoneError } from "../../lib/errors.ts";

const [name, how, pid] = Deno.args;
const { processes } = name === "linux" ? linux : posix;
const answers: Record<string, () => unknown> = {
  read: () => processes.read(Number(pid)),
  list: () => processes.list("TOMBSTONE_ATTEMPT").some((row) => row.pid === Number(pid)) || null,
};
const held: Deno.FsFile[] = [];
try {
  while (how === "starved") held.push(Deno.openSync("/dev/null"));
} catch (error) {
  if (!(error instanceof Error) || !error.message.includes("os error 24")) throw error; // EMFILE
}
const seen: Record<string, string> = {};
for (const [question, ask] of Object.entries(answers)) {
  try {
    seen[question] = ask() === null ? "gone" : "there";
  } catch (error) {
    if (!(error instanceof TombstoneError)) throw error;
    seen[question] = "cannot be told";
  }
}
held.forEach((file) => file.close());
console.log(JSON.stringify(seen));

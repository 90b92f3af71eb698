/**
 * Ending leases, as tests see it: one command waits only two seconds for that, and a busy machine may take longer.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Document, insertBeforeCommand, isRunning, type RunOptions, type Sandbox, until } from "./sandbox.ts";

/** Another project of the same state directory, as options to run a command there. */
export function elsewhere(sandbox: Sandbox): RunOptions {
  const cwd = `${sandbox.root}/elsewhere`;
  Deno.mkdirSync(`${cwd}/.git`, { recursive: true });
  return { cwd };
}

/** What was ended, by the last of several commands. */
export interface Ended {
  /** Its document. */
  document: Document;
  /** What it says of the end; `null`: the first command did not wait long enough to say it. */
  ended: Document | null;
  /** Its exit code. */
  code: number;
  /** Messages of all of them. */
  stderr: string;
}

/**
 * Runs a command, again if the first one did not wait long enough, until it has ended one lease: of this node, of this
 * kind, with this process.
 */
export async function untilEnded(
  sandbox: Sandbox,
  { node, lease, pid }: { node: string; lease: string; pid: number },
  options: RunOptions = elsewhere(sandbox),
  args: string[] = ["list"],
): Promise<Ended> {
  let last: Ended = { document: null, ended: null, code: 0, stderr: "" };
  const isSlow = () => last.stderr.includes(`"${node}" of `) && last.stderr.includes(" is still being ended: ");
  await until(`the lease of ${node} is ended`, async () => {
    const { code, stdout, stderr } = await sandbox.run(insertBeforeCommand(args, "--json"), options);
    const document = JSON.parse(stdout);
    last = { document, ended: document.leases_ended?.[0] ?? null, code, stderr: last.stderr + stderr };
    return last.ended !== null || isSlow() && !isRunning(pid);
  });
  assert(!isRunning(pid), last.stderr);
  if (last.ended === null) return last;
  assertEquals(last.document.leases_ended.length, 1, last.stderr);
  assertEquals([last.ended.node, last.ended.lease], [node, lease], last.stderr);
  assert(isSlow() || last.ended.pids.includes(pid), last.stderr);
  return last;
}

/**
 * Has servers where they can be tried: those from npm in a folder of their own each, those of Debian by apt-get.
 *
 * @module
 */
import { ensureDirSync } from "@std/fs";
import { exists } from "../../tests/support/sandbox.ts";
import type { Server } from "./server.ts";

/** Directories in which Debian has daemons, also for those in whose PATH they are not. */
const SYSTEM = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** PATH for everything that is tried. */
export const PATH = [...new Set([...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM])].join(":");

/**
 * Where servers are installed and tried, unless `--cache` says otherwise. Those of root are often run as another user, who
 * may not look into root's home.
 */
export function defaultCache(): string {
  const cache = Deno.uid() === 0
    ? "/var/cache"
    : Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return Deno.env.get("TOMBSTONE_SERVERS_CACHE") || `${cache}/tombstone-servers`;
}

/** Runs a command to its end. */
export async function run(command: string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    ...options,
    env: { PATH, ...options.env },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { code, output: [text(stdout), text(stderr)].filter((part) => part !== "").join("\n") };
}

/** The name in `name@version`. */
function packageName(wanted: string): string {
  return wanted.replace(/(?<=.)@[^/]*$/, "");
}

/** Makes a server available; resolves to why it is not, or to `null`. */
export async function install(
  server: Server,
  dir: string,
  debian: "install" | "what-is-there",
): Promise<string | null> {
  ensureDirSync(dir);
  return await installDebian(server, debian) ?? await installNpm(server, dir);
}

async function installDebian({ program, check }: Server, debian: "install" | "what-is-there"): Promise<string | null> {
  if (program === undefined) return null;
  const isThere = async () => await hasProgram(program[0]) && (check === undefined || (await run(check)).code === 0);
  if (await isThere()) return null;
  const missing = `not installed: apt-get install ${program[1]}`;
  if (debian !== "install" || Deno.uid() !== 0 || !await hasProgram("apt-get")) return missing;
  // Debian starts a service as it installs it, unless RUNLEVEL or policy-rc.d(8) forbids it.
  const policy = "/usr/sbin/policy-rc.d";
  const isOurs = !exists(policy);
  if (isOurs) Deno.writeTextFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...program[1].split(" ")];
    await run(command, { env: { RUNLEVEL: "1", DEBIAN_FRONTEND: "noninteractive" } });
  } finally {
    if (isOurs) Deno.removeSync(policy);
  }
  return await isThere() ? null : missing;
}

async function hasProgram(program: string): Promise<boolean> {
  if (program.includes("/")) return exists(program);
  return (await run(["sh", "-c", `command -v ${program}`])).code === 0;
}

async function installNpm({ npm, name }: Server, dir: string): Promise<string | null> {
  if (npm === undefined || npm.every((wanted) => exists(`${dir}/node_modules/${packageName(wanted)}`))) return null;
  const manifest = `${dir}/package.json`;
  if (!exists(manifest)) Deno.writeTextFileSync(manifest, JSON.stringify({ name: `try-${name}`, private: true }));
  const { code, output } = await run(["npm", "install", "--no-audit", "--no-fund", "--prefix", dir, ...npm]);
  return code === 0 ? null : `npm install failed: ${output.split("\n").find((line) => /E[A-Z]+/.test(line)) ?? code}`;
}

/** The version of a server that is there. */
export async function versionOf(server: Server, dir: string): Promise<string> {
  if (server.npm !== undefined) {
    const manifest = Deno.readTextFileSync(`${dir}/node_modules/${packageName(server.npm[0]!)}/package.json`);
    return JSON.parse(manifest).version;
  }
  const { output } = await run(server.version ?? [server.program![0], "--version"], { cwd: dir });
  return /\d+(?:\.\d+)+/.exec(output)?.[0] ?? /\d+/.exec(output)?.[0] ?? "?";
}

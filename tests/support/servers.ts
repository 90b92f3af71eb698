/**
 * The real servers that the tests of crash safety start, kill and look for.
 *
 * @module
 */
import { fixture, type Sandbox } from "./sandbox.ts";

/** A server that listens on a port given to it. */
export interface Server {
  /** Name for reports. */
  name: string;
  /** Command that serves on this port, with its files in the sandbox's project. */
  command(sandbox: Sandbox, port: number): string[];
}

/** nginx in the foreground with one worker: it is up in milliseconds, and overwrites its environment. */
const nginx: Server = {
  name: "nginx",
  command(sandbox, port) {
    const home = sandbox.project;
    const conf = `${home}/nginx.conf`;
    Deno.chmodSync(sandbox.root, 0o755); // the worker is another user's when the master is root's
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    Deno.writeTextFileSync(
      conf,
      `daemon off; pid ${home}/nginx.pid; error_log stderr; worker_processes 1; events {}
      http { access_log off; ${temporary.map((name) => `${name}_temp_path ${home}/${name};`).join(" ")}
        server { listen 127.0.0.1:${port}; return 200 ok; } }`,
    );
    return ["nginx", "-p", home, "-c", conf, "-e", "stderr"];
  },
};

/** redis with a companion in its session. */
const redis: Server = {
  name: "redis",
  command: (_sandbox, port) => [
    "sh",
    "-c",
    `sleep 600 & exec redis-server --port ${port} --bind 127.0.0.1 --save ''`,
  ],
};

/** The fixture with a child in a session of its own. */
const node: Server = { name: "node", command: (_sandbox, port) => fixture(`port=${port}`, "child") };

/** Each server with the program that it takes. */
const SERVERS: [string, Server][] = [["nginx", nginx], ["redis-server", redis], ["node", node]];

/**
 * The server of this name, or the quickest of those that are installed.
 *
 * @throws {Error} there is none of that name
 */
export function chooseServer(name?: string): Server {
  const found = SERVERS.find(([program, server]) => name === undefined ? isInstalled(program) : server.name === name);
  if (found === undefined) throw new Error(`Cannot use server "${name}": expected nginx, redis or node`);
  return found[1];
}

/** Whether a program is on PATH. */
export function isInstalled(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((path) => {
    try {
      return Deno.statSync(`${path}/${program}`).isFile;
    } catch (error) {
      if (error instanceof Error && "code" in error) return false;
      throw error;
    }
  });
}

/** Whether a program is installed; otherwise says how to get it, once per test file. */
export function installed(program: string, debianPackage: string): boolean {
  const isThere = isInstalled(program);
  if (!isThere) console.log(`skipped: ${program} is not installed (apt-get install ${debianPackage})`);
  return isThere;
}

/** Debian keeps PostgreSQL's programs out of PATH, one directory a version. */
export function findPostgres(): string | null {
  try {
    const versions = [...Deno.readDirSync("/usr/lib/postgresql")].map((entry) => Number(entry.name));
    return `/usr/lib/postgresql/${Math.max(...versions)}/bin`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("skipped: PostgreSQL is not installed (apt-get install postgresql)");
    return null;
  }
}

/**
 * What has to be known of a real server in order to try it.
 *
 * @module
 */

/** Where a server is tried. */
export interface Site {
  /** Its project directory, with `node_modules` where it comes from npm. */
  dir: string;
  /** The port that it is told to serve on. */
  port: number;
  /** More free ports, for whatever else it listens on. */
  more: [number, number, number];
}

/** How a server is had, started and judged. */
export interface Server {
  /** What it is called in the table and by `--only`. */
  name: string;
  /** Packages from npm, with versions where they matter; the first is the one whose version the table shows. */
  npm?: string[];
  /** The program that must be there, or a path, and Debian's package of it. */
  program?: [program: string, debianPackage: string];
  /** Whether all of it is there, where the program alone does not tell: a command that exits with 0. */
  check?: string[];
  /** A command whose output names the version. */
  version?: string[];
  /** The files of its project, written before it is tried. */
  files?(site: Site): Record<string, string>;
  /** A script for sh that makes what cannot be written: databases, keys. Runs in the project, once. */
  prepare?(site: Site): string;
  /** The command, as its own manual gives it. */
  command(site: Site): string[];
  /** Variables that the tool hands to it by `--env`. */
  env?(site: Site): Record<string, string>;
  /** Flags for each start, such as `--pid-file`. */
  flags?(site: Site): string[];
  /** The probe of a server that has no TCP port, or that discovery cannot find; the start without `--port` uses it. */
  probe?(site: Site): string[];
  /** It serves on no TCP port. */
  portless?: true;
  /** A path that it answers with HTTP. */
  http?: string;
  /** Paths below the project that belong to the server: it may write there. */
  own?: string[];
  /** The file that it logs to, if not its output. */
  logFile?(site: Site): string;
  /** What it writes when it ends well. */
  farewell?: RegExp;
  /** What is peculiar about it. */
  note?: string;
}

/** A web server for Node, in one file that needs no package: `node server.js PORT`. */
export const NODE_SERVER = `
const port = Number(process.argv[2] ?? process.env.PORT);
const server = require("http").createServer((_, response) => response.end("hello\\n"));
server.listen(port, "127.0.0.1", () => console.log("listening on " + port));
process.on("SIGTERM", () => server.close(() => { console.log("ended well"); process.exit(0); }));
`;

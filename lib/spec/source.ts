/**
 * Where the settings of a node are asked for: flags of the command line, a node in `tombstone.json`, or options of the
 * library.
 *
 * @module
 */

/** Values by the long name of their flag. */
export interface Flags {
  /** Whether a switch was given. */
  has(name: string): boolean;
  /** The value of a flag; `undefined` if it was not given. */
  text(name: string): string | undefined;
  /** The values of a flag that may be given several times. */
  texts(name: string): string[];
}

/** What is asked for, and how to speak of it. */
export interface Source {
  /** Name of the node. */
  node: string;
  /** The values. */
  flags: Flags;
  /** Absolute directory that relative paths begin at; asked for only where one does. */
  readonly base: string;
  /** What messages call the place of a value: `--port`, or `"port" of node "web" in tombstone.json`. */
  place: (flag: string) => string;
}

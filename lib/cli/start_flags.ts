/**
 * The flags of commands that start a node: its settings, and options of the start.
 *
 * @module
 */
import { LOCK_TIMEOUT_MS } from "../engine/request.ts";
import { type Field, helpOf } from "../spec/field.ts";
import { FIELDS, type Path } from "../spec/fields.ts";
import { TYPES } from "../spec/types.ts";

/** One flag. */
export interface Flag {
  /** Long name without the dashes. */
  name: string;
  /** One-letter form. */
  short?: string;
  /** Placeholder of its value; without one the flag is a switch. */
  value?: string;
  /** Whether it may be given several times. */
  repeat?: true;
  /** One line for the help. */
  summary: string;
}

/** Values by the long name of their flag. */
export interface Flags {
  /** Whether a switch was given. */
  has(name: string): boolean;
  /** The value of a flag; `undefined` if it was not given. */
  text(name: string): string | undefined;
  /** The values of a flag that may be given several times. */
  texts(name: string): string[];
}

/** The settings that have a flag, each with its name. */
const FLAGGED: [name: string, field: Field & { path: Path }][] = FIELDS.flatMap((field) =>
  "flag" in field ? [[field.flag, field]] : []
);

/** The flags of a node's settings. */
const SETTING_FLAGS: Flag[] = FLAGGED.map(([name, field]) => {
  const { word, repeat } = TYPES[field.type];
  const value = field.word ?? word;
  return {
    name,
    ...(value === null ? {} : { value }),
    ...(repeat === "repeatable" ? { repeat: true } : {}),
    summary: helpOf(field),
  };
});

/** How long to wait for the lock. */
export const LOCK_TIMEOUT: Flag = {
  name: "lock-timeout",
  value: "TIME",
  summary: `how long to wait while another tombstone command works on the node (${LOCK_TIMEOUT_MS / 1000}s)`,
};
/** Whether to accept state of another machine. */
export const FORCE: Flag = {
  name: "force",
  summary: "act even if the state was written on another host or in another pid namespace",
};
/** Nodes by their session. */
export const SESSION: Flag = {
  name: "session",
  value: "ID",
  summary: "the nodes of this session, in every workspace",
};
/** Variables for the server. */
export const ENV: Flag = SETTING_FLAGS.find(({ name }) => name === "env")!;

/** Flags of commands that start a node. */
export const START_FLAGS: Flag[] = [
  ...SETTING_FLAGS,
  LOCK_TIMEOUT,
  { name: "trace", summary: "print at the end where the time went, a bar per step" },
  { name: "replace", summary: "stop the node first if it runs" },
  FORCE,
];

/** The settings in flags. */
export function givenBy(flags: Flags): Map<Path, unknown> {
  const given = new Map<Path, unknown>();
  for (const [name, { path, type }] of FLAGGED) {
    const { word, repeat } = TYPES[type];
    const texts = flags.texts(name);
    if (word === null ? flags.has(name) : texts.length > 0) {
      given.set(path, word === null ? true : repeat === "repeatable" ? texts : texts[0]);
    }
  }
  return given;
}

/** Name of a setting in messages: its flag. */
export function flagAt(path: Path): string {
  return `--${FLAGGED.find(([, field]) => field.path === path)?.[0] ?? path}`;
}

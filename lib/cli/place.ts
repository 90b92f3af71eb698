/**
 * Commands in messages, as this user has to type them: with the same `--workspace` and `--state-dir` as this call.
 *
 * @module
 */
import { system } from "../os/system.ts";
import type { Flags } from "./start_flags.ts";
import { COMMANDS } from "./table.ts";

/** Flags that say where nodes are, each with its value as typed. */
export type Place = [flag: string, value: string][];

/** The flags of a call that say where its nodes are. */
export function placeOf(flags: Flags): Place {
  return ["workspace", "state-dir"].flatMap((flag): Place => {
    const value = flags.text(flag);
    return value === undefined ? [] : [[flag, value]];
  });
}

/** Commands that are about all workspaces, or about the machine. */
const OF_ALL = ["list", "doctor", "completions"];

const TYPED = new RegExp(`\\btombstone (${COMMANDS.map(({ name }) => name).join("|")})(?= |$|[,;)])`, "g");

/** A message whose commands have these flags; commands that have their own keep them. */
export function withPlace(text: string, place: Place): string {
  if (place.length === 0) return text;
  return text.replace(TYPED, (found: string, name: string, at: number) => {
    const rest = text.slice(at + found.length).split("tombstone ")[0]!;
    const missing = place.filter(([flag]) =>
      !rest.includes(`--${flag} `) && !(flag === "workspace" && OF_ALL.includes(name))
    );
    return [found, ...missing.map(([flag, value]) => `--${flag} ${system.shell.quote(value)}`)].join(" ");
  });
}

/**
 * Units of systemd (systemd.service(5), systemd.syntax(7)).
 *
 * @module
 */
import { isStep } from "../spec/probes.ts";
import { declaredFiles } from "../spec/settings.ts";
import {
  commandOf,
  comment,
  commonLosses,
  envFilesOf,
  type ExportedFile,
  type ExportedNode,
  type ExportedProject,
  filler,
  label,
  lossesOf,
  portOf,
  quote,
  variablesOf,
} from "./node.ts";

/** One unit for each node. */
export function systemd(
  project: ExportedProject,
  names: string[],
  resolve: (program: string, cwd: string) => string,
): ExportedFile[] {
  return names.map((name) => {
    const node = project.nodes.get(name)!;
    return { name: unitOf(project, name), text: comment(remarks(node, project)) + sections(node, project, resolve) };
  });
}

function unitOf(project: ExportedProject, name: string): string {
  return `${label(project.name)}-${label(name)}.service`;
}

function remarks(node: ExportedNode, project: ExportedProject): string[] {
  const unit = unitOf(project, node.name);
  const { settings } = node;
  const losses = commonLosses(node, project);
  if (!settings.clear_env) losses.push("the environment of your shell: systemd passes almost none of it");
  if (settings.stdin_open) losses.push("an input that stays open: systemd gives /dev/null");
  losses.push("the size of its log: its output goes to the journal");
  return [
    `${node.name} of ${project.name}, from its tombstone.json.`,
    `For this user: ~/.config/systemd/user/${unit}, then systemctl --user enable --now ${unit}`,
    `For the system: /etc/systemd/system/${unit}, with User=, then systemctl enable --now ${unit}`,
    "",
    ...lossesOf(losses),
  ];
}

function sections(
  node: ExportedNode,
  project: ExportedProject,
  resolve: (program: string, cwd: string) => string,
): string {
  const { settings, after, name } = node;
  const fill = filler(project, name, () => "127.0.0.1");
  const needs = after.map((other) => unitOf(project, other)).join(" ");
  const port = portOf(project, name);
  const notifies = settings.probes.some(({ type }) => type === "notify");
  const ready = settings.probes.flatMap((probe) => commandOf(probe, port) ?? []);
  const [program, ...args] = settings.command.map(fill);
  const lines = (entries: [string, string | null][]) =>
    entries.filter(([, value]) => value !== null).map(([key, value]) => `${key}=${value}\n`).join("");
  return [
    "[Unit]\n",
    lines([
      ["Description", `${name} of ${project.name}`.replaceAll("%", "%%")],
      ["Requires", needs === "" ? null : needs],
      ["After", `network.target ${needs}`.trim()],
    ]),
    "\n[Service]\n",
    lines([
      ["Type", isStep(settings) ? "oneshot" : notifies ? "notify" : settings.pid_file !== null ? "forking" : "exec"],
      ["NotifyAccess", notifies ? "all" : null],
      ["PIDFile", settings.pid_file === null ? null : settings.pid_file.replaceAll("%", "%%")],
      ["WorkingDirectory", settings.cwd.replaceAll("%", "%%")],
      ...envFilesOf(node).map((
        { path, required },
      ): [string, string] => ["EnvironmentFile", `${required ? "" : "-"}${path.replaceAll("%", "%%")}`]),
      ...variablesOf(project, node, fill).map((
        [key, value],
      ): [string, string] => ["Environment", word(`${key}=${value}`, "value")]),
      ...declaredFiles(settings).map((
        { path },
      ): [string, string] => ["ExecStartPre", `-/bin/rm -f ${word(path, "word")}`]),
      ["ExecStart", [resolve(program!, settings.cwd), ...args].map((one) => word(one, "word")).join(" ")],
      // systemd starts dependent units only after these have succeeded.
      ...ready.map((command): [string, string] => ["ExecStartPost", shell(`until ${command}; do sleep 0.1; done`)]),
      ["TimeoutStartSec", seconds(settings.timeout_ms)],
      ["ExecStop", settings.stop.command === null ? null : shell(fill(settings.stop.command))],
      ["KillSignal", settings.stop.signal],
      ["KillMode", "mixed"],
      ["TimeoutStopSec", seconds(settings.stop.timeout_ms)],
      ["RemainAfterExit", isStep(settings) ? "yes" : null],
      ["Restart", isStep(settings) ? null : "on-failure"],
    ]),
    "\n[Install]\n",
    lines([["WantedBy", "default.target"]]),
  ].join("");
}

/** A time span of systemd.time(7). */
function seconds(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

function shell(command: string): string {
  return `/bin/sh -c ${word(command, "word")}`;
}

/** Quotes for a unit file. Specifiers (`%`) are escaped everywhere, variables (`$`) in command lines. */
function word(text: string, kind: "word" | "value"): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n").replaceAll("\t", "\\t")
    .replaceAll("%", "%%");
  const safe = kind === "word" ? escaped.replaceAll("$", "$$$$") : escaped;
  return /^[A-Za-z0-9_@+=:,./-]+$/.test(safe) && quote(text) === text ? safe : `"${safe}"`;
}

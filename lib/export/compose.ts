/**
 * A Compose file (the Compose Specification), with a service for each node.
 *
 * @module
 */
import { isWithin } from "../paths.ts";
import { isStep } from "../spec/probes.ts";
import { stringify } from "@std/yaml/stringify";
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
  variablesOf,
} from "./node.ts";

/** Where the project is inside the containers. */
const MOUNT = "/app";

/** One file with all of these nodes. */
export function compose(project: ExportedProject, names: string[], image: string | null): ExportedFile[] {
  const services = Object.fromEntries(
    names.map((name) => [label(name), service(project.nodes.get(name)!, project, image)]),
  );
  const remarks = names.flatMap((name) => {
    const node = project.nodes.get(name)!;
    return lossesOf(losses(node, project), "").map((line, index) => index === 0 ? `${name} ${line}` : `  ${line}`);
  });
  const head = [
    `${project.name}, from its tombstone.json. To start it: docker compose up --wait`,
    ...(image === null
      ? ["Fill in every image: it must have the service's program and the command of its healthcheck."]
      : []),
    "A server must listen on 0.0.0.0 in its container, not on 127.0.0.1.",
    "",
  ];
  const text = stringify({ services }, { lineWidth: -1, useAnchors: false });
  return [{ name: "compose.yaml", text: comment([...head, ...remarks]) + text }];
}

function losses(node: ExportedNode, project: ExportedProject): string[] {
  const { settings } = node;
  const all = commonLosses(node, project);
  if (settings.probes.some(({ type }) => type === "notify")) all.push("ready by READY=1 (sd_notify)");
  if (settings.stop.command !== null) all.push(`the stop command: ${settings.stop.command}`);
  if (settings.sweep_files.length > 0) all.push(`stale files to remove: ${settings.sweep_files.join(", ")}`);
  if (settings.pid_file !== null) all.push("a server that daemonises itself: keep it in the foreground");
  if (!settings.clear_env) all.push("the environment of your shell");
  return all;
}

function service(node: ExportedNode, project: ExportedProject, image: string | null): Record<string, unknown> {
  const { settings, after, name } = node;
  const fill = filler(project, name, label);
  // Dollars are variables of the file.
  const plain = (text: string) => fill(text).replaceAll("$", "$$$$");
  const port = portOf(project, name);
  const check = healthcheckOf(node, project);
  const env = variablesOf(project, node, fill).map(([key, value]) => [key, value.replaceAll("$", "$$$$")]);
  const files = envFilesOf(node);
  const needs = after.map((other) => [label(other), {
    condition: conditionFor(project.nodes.get(other)!, project),
  }]);
  return {
    image: image ?? "IMAGE",
    command: settings.command.map(plain),
    ...(settings.stdin_open ? { stdin_open: true } : {}),
    working_dir: inside(project, settings.cwd),
    volumes: [`.:${MOUNT}`],
    ...(files.length === 0 ? {} : { env_file: files }),
    ...(env.length === 0 ? {} : { environment: Object.fromEntries(env) }),
    ...(port === null ? {} : { ports: [`127.0.0.1:${port}:${port}`] }),
    ...(needs.length === 0 ? {} : { depends_on: Object.fromEntries(needs) }),
    ...(check === null ? {} : { healthcheck: check }),
    init: true,
    restart: isStep(settings) ? "no" : "unless-stopped",
    stop_signal: settings.stop.signal,
    stop_grace_period: seconds(settings.stop.timeout_ms),
    ...(settings.log.max_bytes === 0 ? {} : {
      logging: { driver: "json-file", options: { "max-size": `${Math.ceil(settings.log.max_bytes / 1e6)}m` } },
    }),
  };
}

/** What a service waits for that comes after this one. */
function conditionFor(node: ExportedNode, project: ExportedProject): string {
  if (isStep(node.settings)) return "service_completed_successfully";
  return healthcheckOf(node, project) === null ? "service_started" : "service_healthy";
}

/** All probes that carry over, in one command; `null` if none does. */
function healthcheckOf({ settings, name }: ExportedNode, project: ExportedProject): Record<string, unknown> | null {
  const commands = settings.probes.flatMap((probe) => commandOf(probe, portOf(project, name)) ?? []);
  if (commands.length === 0) return null;
  return {
    test: ["CMD-SHELL", commands.join(" && ").replaceAll("$", "$$$$")],
    interval: "5s",
    timeout: "5s",
    retries: 3,
    start_period: seconds(settings.timeout_ms),
  };
}

/** A path of the project as the container sees it. */
function inside({ dir }: ExportedProject, path: string): string {
  return isWithin(path, dir) ? MOUNT + path.slice(dir.length) : path;
}

/** A duration of the Compose Specification. */
function seconds(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/**
 * Pods of Kubernetes, each with a startup and a readiness probe, and a service where it has a port.
 *
 * @module
 */
import { stringify } from "@std/yaml/stringify";
import { isStep, type Probe } from "../spec/probes.ts";
import {
  commandOf,
  comment,
  commonLosses,
  type ExportedFile,
  type ExportedNode,
  type ExportedProject,
  filler,
  label,
  lossesOf,
  portOf,
  variablesOf,
} from "./node.ts";

/** One file with the pods and services of these nodes. */
export function kubernetes(project: ExportedProject, names: string[], image: string | null): ExportedFile[] {
  const remarks = names.flatMap((name) =>
    lossesOf(losses(project.nodes.get(name)!, project), "")
      .map((line, index) => index === 0 ? `${name} ${line}` : `  ${line}`)
  );
  const head = [
    `${project.name}, from its tombstone.json. To start it: kubectl apply -f ${label(project.name)}.yaml`,
    ...(image === null ? ["Fill in every image: it must have the program and its files."] : []),
    "A server must listen on 0.0.0.0 in its pod, not on 127.0.0.1.",
    "",
  ];
  const documents = names.flatMap((name) => documentsOf(project.nodes.get(name)!, project, image));
  const text = documents.map((document) => stringify(document, { lineWidth: -1, useAnchors: false })).join("---\n");
  return [{ name: `${label(project.name)}.yaml`, text: comment([...head, ...remarks]) + text }];
}

function losses(node: ExportedNode, project: ExportedProject): string[] {
  const { settings, after } = node;
  const all = commonLosses(node, project);
  if (settings.probes.some(({ type }) => type === "notify")) all.push("ready by READY=1 (sd_notify)");
  if (after.length > 0) all.push(`the start after ${after.join(", ")}: the program must retry until they are there`);
  if (settings.stop.signal !== "SIGTERM") {
    all.push(`the stop signal ${settings.stop.signal}: set STOPSIGNAL in the image`);
  }
  if (settings.sweep_files.length > 0) all.push(`stale files to remove: ${settings.sweep_files.join(", ")}`);
  if (settings.pid_file !== null) all.push("a server that daemonises itself: keep it in the foreground");
  all.push(`its directory ${settings.cwd}: the image has its own`);
  if (settings.env_file.length > 0) all.push(`the variables of ${settings.env_file.join(", ")}: make a Secret of them`);
  if (!settings.clear_env) all.push("the environment of your shell");
  return all;
}

function documentsOf(node: ExportedNode, project: ExportedProject, image: string | null): Record<string, unknown>[] {
  const { settings, name } = node;
  const fill = filler(project, name, label);
  // `$(NAME)` is a variable in commands and values.
  const plain = (text: string) => fill(text).replaceAll("$(", "$$$$(");
  const port = portOf(project, name);
  const labels = { app: label(project.name), node: label(name) };
  const env = variablesOf(project, node, fill).map(([key, value]) => ({
    name: key,
    value: value.replaceAll("$(", "$$$$("),
  }));
  const check = checkOf(settings.probes, port);
  const { command, timeout_ms } = settings.stop;
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: label(name), labels },
    spec: {
      ...(isStep(settings) ? { restartPolicy: "OnFailure" } : {}),
      terminationGracePeriodSeconds: Math.ceil(timeout_ms / 1000),
      containers: [{
        name: label(name),
        image: image ?? "IMAGE",
        command: settings.command.map(plain),
        ...(settings.stdin_open ? { stdin: true } : {}),
        ...(env.length === 0 ? {} : { env }),
        ...(port === null ? {} : { ports: [{ containerPort: port }] }),
        ...(check === null ? {} : {
          startupProbe: {
            ...check,
            periodSeconds: 1,
            failureThreshold: Math.max(1, Math.ceil(settings.timeout_ms / 1000)),
          },
          readinessProbe: { ...check, periodSeconds: 5 },
        }),
        ...(command === null
          ? {}
          : { lifecycle: { preStop: { exec: { command: ["/bin/sh", "-c", fill(command)] } } } }),
      }],
    },
  };
  if (port === null) return [pod];
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: label(name), labels },
    spec: { selector: labels, ports: [{ port, targetPort: port }] },
  };
  return [pod, service];
}

/**
 * One handler: HTTP or TCP if that is the only probe; else one command with all probes that carry over; `null` if none
 * does.
 */
function checkOf(probes: Probe[], port: number | null): Record<string, unknown> | null {
  const carried = probes.filter((probe) => commandOf(probe, port) !== null);
  const beyondTcp = carried.filter(({ type }) => type !== "tcp");
  const [only] = beyondTcp;
  if (carried.length === 0) return null;
  if (only === undefined) return { tcpSocket: { port } };
  if (beyondTcp.length === 1 && only.type === "http" && only.target.startsWith("/") && port !== null) {
    return { httpGet: { path: only.target, port } };
  }
  return { exec: { command: ["/bin/sh", "-c", beyondTcp.map((probe) => commandOf(probe, port)).join(" && ")] } };
}

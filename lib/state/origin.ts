/**
 * Where a record was written: machine, boot, namespaces.
 *
 * @module
 */
import { system } from "../os/system.ts";
import { asString, type Fields } from "../spec/json.ts";

/** Where and in which boot a record was written. */
export interface Origin {
  /** Boot id; `null` if the platform has none. */
  boot_id: string | null;
  /** Machine id; `null` if the writer recorded none. */
  host_id: string | null;
  /** Pid namespace; `null` if the platform has none. */
  pid_namespace: string | null;
  /** Network namespace, to which its port belongs; `null` if the platform has none or none was recorded. */
  network_namespace: string | null;
  /** Time namespace, to whose clock its start times belong; `null` if the platform has none or none was recorded. */
  time_namespace: string | null;
}

/** Namespaces of an attempt that was taken over from another pid namespace and is not known to be dead yet. */
export type Elsewhere = Pick<Origin, "pid_namespace" | "network_namespace">;

let origin: Origin | undefined;

/** The origin of records that this process writes; it cannot change while it runs. */
export function here(): Origin {
  return origin ??= {
    boot_id: system.host.boot(),
    host_id: system.host.machine(),
    pid_namespace: system.host.namespace("pid"),
    network_namespace: system.host.namespace("net"),
    time_namespace: system.host.namespace("time"),
  };
}

/** Reads the origin of a record; a missing or invalid value is `null`. */
export function readOrigin(fields: Fields): Origin {
  return {
    boot_id: asString(fields.boot_id),
    host_id: asString(fields.host_id),
    pid_namespace: asString(fields.pid_namespace),
    network_namespace: asString(fields.network_namespace),
    time_namespace: asString(fields.time_namespace),
  };
}

/** Reads {@linkcode Elsewhere}; `null` for anything else. */
export function readElsewhere(value: unknown): Elsewhere | null {
  const { pid_namespace, network_namespace } = (value ?? {}) as Fields;
  const namespace = asString(pid_namespace);
  return namespace === null ? null : { pid_namespace: namespace, network_namespace: asString(network_namespace) };
}

/**
 * Relation of a record to this process: same boot and pid namespace, an earlier boot, another pid namespace of this boot,
 * or another machine.
 */
export type Relation = "same-boot" | "earlier-boot" | "other-namespace" | "other-host";

/** The relation of a record to this process. */
export function relate(origin: Origin): Relation {
  const now = here();
  if (origin.host_id !== null && origin.host_id !== now.host_id) return "other-host";
  if (origin.boot_id !== null && now.boot_id !== null && origin.boot_id !== now.boot_id) return "earlier-boot";
  if (origin.pid_namespace !== null && origin.pid_namespace !== now.pid_namespace) return "other-namespace";
  return "same-boot";
}

/**
 * Whether start times of this record can be compared: if boots have ids here, the record must have one, and it must be of
 * the same time namespace, since each has its own clock.
 */
export function isDated(origin: Origin): boolean {
  return (origin.boot_id !== null || system.host.boot() === null) && !hasOtherClock(origin);
}

/** Whether the record was written in another time namespace than this one. */
export function hasOtherClock({ time_namespace }: Origin): boolean {
  const now = here().time_namespace;
  return time_namespace !== null && now !== null && time_namespace !== now;
}

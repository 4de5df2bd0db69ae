import type { DockerInspectCounters } from './docker-inspects.ts';

export interface DockerOptions {
  /** Default `/var/run/docker.sock`. */
  readonly socketPath?: string | undefined;
  /** Cgroup parents in use besides dockerd's defaults, as `dockerParentPattern` takes them. */
  readonly cgroupParents?: readonly string[] | undefined;
  /** Default 8. */
  readonly inspectConcurrency?: number | undefined;
  /** Of one request. Default 2000. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long a new container waits for the details that rules use; an inspect may take as long. Default 4000. */
  readonly detailsWaitMs?: number | undefined;
}

/** Counts since the start. */
export interface DockerCounters extends DockerInspectCounters {
  readonly connects: number;
  readonly events: number;
  /** Descriptions of a container over the limit: in an event or a list, or the answer to an inspect. */
  readonly oversized: number;
}

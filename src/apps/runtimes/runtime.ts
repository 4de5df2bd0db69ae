import type { Container } from '../identity.ts';

/** The name by which a runtime is configured and shown. */
export type RuntimeName = Container['runtime'];

/** The cgroup that is a container: the outermost one that a pattern matched. */
export interface ContainerCgroup {
  readonly cgroupId: number;
  /** Path within the deciding hierarchy. */
  readonly path: string;
  /** From the path, by the pattern. */
  readonly handle: string;
}

/** What a runtime tells, at any time and in any order, also more than once. Never throws. */
export interface RuntimeSink {
  /** This is the container `key`. Again on every change (a rename, the first process). */
  described(runtime: RuntimeName, key: string, container: Container): void;
  /** The runtime answered, and knows no such container. */
  notFound(runtime: RuntimeName, key: string): void;
  /** The runtime cannot name it for good, with a sentence why. */
  refused(runtime: RuntimeName, key: string, reason: string): void;
  /** The runtime forgot the container (its cgroup went before). */
  destroyed(runtime: RuntimeName, key: string): void;
  /** A running container's first process: its cgroup may be where no pattern looks. */
  running(runtime: RuntimeName, key: string, pid: number): void;
  /** Whether a cgroup of this container is known and alive. */
  hasCgroup(runtime: RuntimeName, key: string): boolean;
}

/** What a runtime was asked, since the start. */
export interface RuntimeCounters {
  readonly connects: number;
  /** About containers; lists and streams of events are not counted. */
  readonly questions: number;
  /** Of them: without a usable answer. */
  readonly failures: number;
  /** Not asked because too many waited. */
  readonly refused: number;
  /** Descriptions of containers that were over their bound. Absent for runtimes whose answers need none. */
  readonly oversized?: number;
}

/** For `varvel status`. */
export interface RuntimeStatus {
  readonly name: RuntimeName;
  readonly connected: boolean;
  /** A sentence: where it is connected, or why it is not. */
  readonly message: string;
  /** Of a runtime that is asked. */
  readonly counters?: RuntimeCounters;
}

/** One source of identities. */
export interface Runtime {
  /** Whether new containers are to be told only with what a closer look tells. Runtimes that know all at once lack it. */
  waitForDetails?(wanted: boolean): void;
  readonly name: RuntimeName;
  /** What names a cgroup's container to this runtime, as in the sink's `key`. */
  keyOf(cgroup: ContainerCgroup): string;
  /**
   * The name of the part of a container that a cgroup is, which is not inside of the container's own, such as
   * `liveness-healthcheck-0`. Undefined for a container's own cgroup. Runtimes whose containers have no such parts lack it.
   */
  sidecarOf?(cgroup: ContainerCgroup): string | undefined;
  /** The name of the sidecar whose cgroup inside the container's has this path; undefined where such cgroups are none. */
  nestedSidecarOf?(key: string, path: string): string | undefined;
  /**
   * Begins to tell the sink. Resolves when the first list was told or could not be had; never rejects:
   * an engine that is not there is a warning, and is tried again until `stop`.
   */
  start(sink: RuntimeSink): Promise<void>;
  /**
   * A cgroup with this key has appeared, after all that had it were gone: it may be another container's. What was asked
   * before is void. Runtimes whose containers never have a key that was another's lack it.
   */
  renew?(key: string): void;
  /** Asks for a container that has a cgroup but no identity; the answer comes through the sink. */
  lookup(cgroup: ContainerCgroup): void;
  /** Compares with the runtime's list: tells what changed meanwhile. Never rejects. */
  reconcile(): Promise<void>;
  status(): RuntimeStatus;
  stop(): Promise<void>;
}

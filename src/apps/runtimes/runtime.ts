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

/** Takes a runtime's reports, at any time, in any order, also repeated. Never throws. */
export interface RuntimeSink {
  /** This is the container `key`. Again on every change (a rename, the first process). */
  described(runtime: RuntimeName, key: string, container: Container): void;
  /** The runtime answered, and knows no such container. */
  notFound(runtime: RuntimeName, key: string): void;
  /** The runtime will never identify it; `reason` is a sentence. */
  refused(runtime: RuntimeName, key: string, reason: string): void;
  /** The runtime forgot the container (its cgroup went before). */
  destroyed(runtime: RuntimeName, key: string): void;
  /** A running container's first process; its cgroup may be one that no pattern matches. */
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
  /** Absent for a runtime that is not asked. */
  readonly counters?: RuntimeCounters;
}

/** One source of identities. */
export interface Runtime {
  /** Whether to report new containers only with the details of an inspect. Absent for runtimes that know all at once. */
  waitForDetails?(wanted: boolean): void;
  readonly name: RuntimeName;
  /** What names a cgroup's container to this runtime, as in the sink's `key`. */
  keyOf(cgroup: ContainerCgroup): string;
  /**
   * The sidecar's name, if the cgroup is a sidecar's beside the container's own, such as `liveness-healthcheck-0`.
   * Undefined for a container's own cgroup. Absent for runtimes without such sidecars.
   */
  sidecarOf?(cgroup: ContainerCgroup): string | undefined;
  /** The name of the sidecar whose cgroup, nested in the container's, has this path; undefined if it is no sidecar's. */
  nestedSidecarOf?(key: string, path: string): string | undefined;
  /**
   * Starts reporting to the sink. Resolves after the first list or failed attempt. Never rejects: an unreachable engine
   * is logged as a warning and retried until `stop`.
   */
  start(sink: RuntimeSink): Promise<void>;
  /**
   * A new cgroup has this key: it may be another container's. Answers to earlier requests are void. Absent for runtimes
   * that never reuse a key.
   */
  renew?(key: string): void;
  /** Asks for a container that has a cgroup but no identity; the answer comes through the sink. */
  lookup(cgroup: ContainerCgroup): void;
  /** Compares with the runtime's list: tells what changed meanwhile. Never rejects. */
  reconcile(): Promise<void>;
  status(): RuntimeStatus;
  stop(): Promise<void>;
}

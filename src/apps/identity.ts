/** The app that owns a container: whose log stream a detection goes to. */
export interface AppIdentity {
  readonly name: string;
  readonly guid: string | undefined;
  readonly space: string | undefined;
  readonly org: string | undefined;
  readonly processType: string | undefined;
  readonly instance: string | undefined;
  /** What the platform runs in the container, where that is not an instance of the app; no tenant can choose it. */
  readonly workload?: 'task' | 'staging';
  /**
   * The tags that the platform gives the app's own log lines (Garden: `log_config.tags`); absent where it has none.
   * Some are the tenant's choice: they describe the app, and decide nothing.
   */
  readonly tags?: Readonly<Record<string, string>>;
}

/** One mount of a container, as the runtime made it. */
export interface ContainerMount {
  /** On the host; '' for what has no place there. */
  readonly source: string;
  readonly destination: string;
  /** Options as given: `ro`, `z`, …; '' for none. */
  readonly mode: string;
  readonly writable: boolean;
  readonly propagation: string;
}

/** What only an inspect of the container returns. */
export interface ContainerDetails {
  /** At most MAX_MOUNTS. */
  readonly mounts: readonly ContainerMount[];
  readonly hostPid: boolean;
  readonly hostNetwork: boolean;
  readonly hostIpc: boolean;
  /** Its first IPv4 address; undefined without a network of its own. */
  readonly ip: string | undefined;
  /** The words of the health check that Docker runs in it, of at most MAX_HEALTHCHECK characters together. */
  readonly healthcheck?: readonly string[] | undefined;
}

export const MAX_MOUNTS = 256;
export const MAX_HEALTHCHECK = 8192;

/** A container as its runtime describes it. Nothing the tenant can write from inside decides a value here. */
export interface Container {
  /** The runtime's full id (Docker: 64 hex digits; Garden: the handle; the cgroup runtime: the name from the pattern). */
  readonly fullId: string;
  /** First 12 characters, as Falco's container.id; of Garden the whole handle. */
  readonly id: string;
  readonly name: string;
  readonly runtime: 'docker' | 'garden' | 'cri' | 'cgroup';
  /** Image reference as given, e.g. `registry/app:1`. */
  readonly image: string | undefined;
  readonly imageRepository: string | undefined;
  readonly imageTag: string | undefined;
  readonly imageId: string | undefined;
  /** `sha256:…` of the image's manifest; undefined for an image that came from no registry. */
  readonly imageDigest: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Of a pod's container: the labels of the pod's definition, without the kubelet's. */
  readonly podLabels?: Readonly<Record<string, string>>;
  /** undefined while not known (the create event does not say). */
  readonly privileged: boolean | undefined;
  readonly tty: boolean | undefined;
  /** The sidecar that a detection is of, which has a cgroup beside the container's or in it: `liveness-healthcheck-0`, `envoy`. */
  readonly sidecar?: string;
  /** Host pid of the first process; 0 while not known. */
  readonly initPid: number;
  /** Unix ms. */
  readonly startedAtMs: number | undefined;
  /**
   * Whether a previous run may have written to its file system, where a container can run again (Docker). Undefined
   * while not known; absent where each run is a new container.
   */
  readonly ranBefore?: boolean | undefined;
  /**
   * Undefined if the platform does not confirm whose container it is: its detections then go to operators only. Never a
   * partial identity: an unconfirmed name or guid could send a line to another tenant.
   */
  readonly app: AppIdentity | undefined;
  /** A sentence for the operator: why there is no app, or what of its identity could not be used. */
  readonly doubt?: string;
  /** undefined while not known. */
  readonly details: ContainerDetails | undefined;
  /** Path of the app's log file, for the cgroup runtime (config). */
  readonly logFile: string | undefined;
}

/** In the kernel's scope map: events of `pending` and `included` cgroups are emitted, others not. */
export type ScopeState = 'pending' | 'included' | 'excluded';

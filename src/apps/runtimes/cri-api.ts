/** What the Container Runtime Interface says, as far as it is read. See `cri-service.ts` for how it is encoded. */

/** `ContainerState` and `NamespaceMode` of the API; a newer server may say a number that is not among them. */
export const CONTAINER_STATE = { created: 0, running: 1, exited: 2 } as const;
export const NAMESPACE_OF_NODE = 2;

type Labels = Readonly<Record<string, string>>;

export interface CriVersion {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
}

interface CriImage {
  readonly image: string;
  /** Empty with older servers. */
  readonly userSpecifiedImage: string;
}

export interface CriContainer {
  readonly id: string;
  readonly podSandboxId: string;
  readonly metadata: { readonly name: string } | null;
  readonly image: CriImage | null;
  readonly imageRef: string;
  readonly state: number;
  readonly labels: Labels;
  /** Empty with older servers. */
  readonly imageId: string;
}

/** A pod, as its sandbox was made for it. */
export interface CriPod {
  readonly id: string;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly namespace: string;
  } | null;
  readonly labels: Labels;
  readonly annotations: Labels;
}

export interface CriMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly propagation: number;
}

export interface CriContainerStatus {
  readonly id: string;
  readonly state: number;
  /** Unix ns, as a decimal number; "0" before it started. */
  readonly startedAt: string;
  readonly image: CriImage | null;
  readonly mounts: readonly CriMount[];
}

export interface CriPodStatus {
  readonly id: string;
  readonly network: { readonly ip: string } | null;
  readonly linux: {
    readonly namespaces: {
      readonly options: {
        readonly network: number;
        readonly pid: number;
        readonly ipc: number;
      } | null;
    } | null;
  } | null;
}

/** What each method takes and answers. */
export interface CriMethods {
  Version: [object, CriVersion];
  ListContainers: [{ filter?: { id: string } }, { readonly containers: readonly CriContainer[] }];
  ListPodSandbox: [{ filter?: { id: string } }, { readonly items: readonly CriPod[] }];
  ContainerStatus: [
    { containerId: string; verbose: boolean },
    { readonly status: CriContainerStatus | null; readonly info: Labels },
  ];
  PodSandboxStatus: [{ podSandboxId: string }, { readonly status: CriPodStatus | null }];
}

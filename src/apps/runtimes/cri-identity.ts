import {
  MAX_MOUNTS,
  type AppIdentity,
  type Container,
  type ContainerDetails,
  type ContainerMount,
} from '../identity.ts';
import { parseImageReference } from '../image-reference.ts';
import { appFromLabels, boundedLabels, isPlainText, SANDBOX_LABEL } from '../labels.ts';
import {
  CONTAINER_STATE,
  NAMESPACE_OF_NODE,
  type CriContainer,
  type CriContainerStatus,
  type CriMount,
  type CriPod,
  type CriPodStatus,
} from './cri-api.ts';

/** What the runtime says of one container, as far as it answered. */
export interface CriFound {
  readonly container: CriContainer;
  /** Undefined: it lists no such pod. */
  readonly pod: CriPod | undefined;
  /** Undefined: not asked, or no answer. */
  readonly status: CriContainerStatus | undefined;
  /** The verbose part of the status: JSON, whose form is the runtime's own. */
  readonly info: string | undefined;
  readonly podStatus: CriPodStatus | undefined;
}

/** The kubelet's labels of every container and pod; it writes them over whatever a pod's author wrote there. */
const KUBELET = {
  pod: 'io.kubernetes.pod.name',
  namespace: 'io.kubernetes.pod.namespace',
  uid: 'io.kubernetes.pod.uid',
  container: 'io.kubernetes.container.name',
} as const;
/** The platform's number of a pod in its StatefulSet. */
const POD_INDEX = 'apps.kubernetes.io/pod-index';
const COMMON_NAME = 'app.kubernetes.io/name';

/** Cloud Foundry on Kubernetes: its labels of an app's pod, and the container that is the app. */
const KORIFI = {
  app: 'korifi.cloudfoundry.org/app-guid',
  process: 'korifi.cloudfoundry.org/process-guid',
  type: 'korifi.cloudfoundry.org/process-type',
  container: 'application',
} as const;

/** Verbose statuses are some 20 KiB, and grow with the app's environment. */
const MAX_INFO_CHARS = 4 * 1024 * 1024;
/** `MountPropagation` of the API, in the words of mount(8). */
const PROPAGATION = ['private', 'rslave', 'rshared'];

/**
 * Builds a container from the runtime's answers about it and its pod. Nothing in it can be written from inside the
 * container: labels and annotations come from the pod's definition. `app` is undefined, with a `doubt`, when container
 * and pod disagree about where they belong. The same holds in a Korifi pod for a container that Korifi did not make.
 * Never throws.
 */
export function containerFromCri(found: CriFound): Container {
  const { container, pod, status, podStatus } = found;
  const name = plain(container.metadata?.name) ?? container.id.slice(0, 12);
  const labels = labelsOf(container, pod, name);
  const image = imageOf(container, status);
  const reference = image === undefined ? undefined : parseImageReference(image);
  const pulled = parseImageReference(container.imageRef);
  const info = parseInfo(found.info);
  const running = status?.state === CONTAINER_STATE.running;
  const startedAtMs = Number(status?.startedAt ?? 0) / 1e6;
  const named = appOf(container, pod, name, labels);
  return {
    fullId: container.id,
    id: container.id.slice(0, 12),
    name,
    runtime: 'cri',
    image,
    imageRepository: reference?.repository,
    imageTag: reference?.tag,
    imageId:
      plain(container.imageId) ?? (pulled.repository === undefined ? pulled.digest : undefined),
    imageDigest: pulled.repository === undefined ? reference?.digest : pulled.digest,
    labels,
    ...(pod === undefined ? {} : { podLabels: podLabelsOf(pod) }),
    privileged: info?.privileged,
    tty: info?.tty,
    initPid: running ? (info?.pid ?? 0) : 0,
    startedAtMs: startedAtMs > 0 ? startedAtMs : undefined,
    details: status === undefined ? undefined : detailsOf(status, podStatus),
    logFile: undefined,
    ...(typeof named === 'string' ? { app: undefined, doubt: named } : { app: named }),
  };
}

/** Whether a container of Korifi's that is an app: what `runtimes.cri.apps: korifi` lets through. */
export function isKorifiApp(container: Container): boolean {
  return container.name === KORIFI.container && container.labels[KORIFI.app] !== undefined;
}

/**
 * The pod's labels and its `varvel.` annotations, by which it can opt in too. The kubelet's and the agent's come last,
 * so that nothing replaces them.
 */
function labelsOf(
  container: CriContainer,
  pod: CriPod | undefined,
  name: string,
): Readonly<Record<string, string>> {
  const asked = Object.entries(pod?.annotations ?? {}).filter(([key]) => key.startsWith('varvel.'));
  const { metadata } = pod ?? {};
  return boundedLabels({
    ...platformLabels({ ...pod?.labels, ...container.labels }),
    ...Object.fromEntries(asked),
    ...pod?.labels,
    ...container.labels,
    ...(metadata === null || metadata === undefined
      ? {}
      : {
          [KUBELET.pod]: metadata.name,
          [KUBELET.namespace]: metadata.namespace,
          [KUBELET.uid]: metadata.uid,
        }),
    [KUBELET.container]: name,
    [SANDBOX_LABEL]: container.podSandboxId,
  });
}

/** Without the kubelet's labels, which `k8s.pod.name` and similar fields show. */
function podLabelsOf(pod: CriPod): Readonly<Record<string, string>> {
  const own = Object.entries(pod.labels).filter(([key]) => !key.startsWith('io.kubernetes.'));
  return boundedLabels(Object.fromEntries(own));
}

/** The labels that the agent reads. They come first: a pod may have more labels than are kept. */
function platformLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const read = [POD_INDEX, COMMON_NAME, KORIFI.app, KORIFI.process, KORIFI.type];
  const names = [...Object.values(KUBELET), SANDBOX_LABEL, ...read];
  return Object.fromEntries(names.flatMap((name) => entryOf(labels, name)));
}

function entryOf(labels: Readonly<Record<string, string>>, name: string): [string, string][] {
  const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
  return value === undefined ? [] : [[name, value]];
}

/** The app, or a sentence why there is none. */
function appOf(
  container: CriContainer,
  pod: CriPod | undefined,
  name: string,
  labels: Readonly<Record<string, string>>,
): AppIdentity | string {
  const metadata = pod?.metadata;
  if (metadata === undefined || metadata === null) return 'The runtime does not know its pod.';
  const space = plain(metadata.namespace);
  const podName = plain(metadata.name);
  if (space === undefined || podName === undefined)
    return 'Its pod has no usable name or namespace.';
  const said = [
    [KUBELET.namespace, metadata.namespace],
    [KUBELET.pod, metadata.name],
    [KUBELET.uid, metadata.uid],
    [KUBELET.container, container.metadata?.name],
  ] as const;
  for (const [label, meant] of said) {
    const value = container.labels[label];
    if (value !== undefined && value !== meant)
      return `Its label ${label} says ${shown(value)}, its runtime says ${shown(meant)}.`;
  }
  const korifi = plain(pod?.labels[KORIFI.app]);
  const instance = plain(labels[POD_INDEX]);
  if (korifi !== undefined) {
    if (name !== KORIFI.container)
      return `It is in the pod of an app of Korifi's, but the app is in the container "${KORIFI.container}".`;
    const number = instance ?? /-(\d{1,9})$/.exec(podName)?.[1];
    const processType = plain(labels[KORIFI.type]);
    return {
      name: korifi,
      guid: korifi,
      space,
      org: undefined,
      processType,
      instance: number,
      tags: tagsOf({
        app_id: korifi,
        space_id: space,
        process_id: plain(labels[KORIFI.process]),
        process_type: processType,
        process_instance_id: plain(metadata.uid),
        instance_id: number,
      }),
    };
  }
  const own = appFromLabels(labels, plain(labels[COMMON_NAME]) ?? podName);
  return {
    ...own,
    // The namespace comes from the cluster; no label replaces it.
    space,
    processType: own.processType ?? name,
    instance: own.instance ?? (own.name === podName ? undefined : instance),
  };
}

function tagsOf(tags: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const known = Object.entries(tags).filter((tag): tag is [string, string] => tag[1] !== undefined);
  return Object.fromEntries(known);
}

/** The image by name; runtimes also report its id on this host. */
function imageOf(
  container: CriContainer,
  status: CriContainerStatus | undefined,
): string | undefined {
  const names = [container.image, status?.image].flatMap((spec) => [
    plain(spec?.userSpecifiedImage),
    plain(spec?.image),
  ]);
  const given = names.filter((name) => name !== undefined);
  return given.find((name) => parseImageReference(name).repository !== undefined) ?? given[0];
}

function detailsOf(
  { mounts }: CriContainerStatus,
  pod: CriPodStatus | undefined,
): ContainerDetails {
  const options = pod?.linux?.namespaces?.options;
  return {
    mounts: mounts.slice(0, MAX_MOUNTS).map(mountOf),
    hostPid: options?.pid === NAMESPACE_OF_NODE,
    hostNetwork: options?.network === NAMESPACE_OF_NODE,
    hostIpc: options?.ipc === NAMESPACE_OF_NODE,
    ip: plain(pod?.network?.ip),
  };
}

function mountOf({ hostPath, containerPath, readonly, propagation }: CriMount): ContainerMount {
  return {
    source: hostPath,
    destination: containerPath,
    mode: readonly ? 'ro' : '',
    writable: !readonly,
    propagation: PROPAGATION[propagation] ?? '',
  };
}

interface Info {
  readonly pid: number;
  readonly privileged: boolean;
  readonly tty: boolean;
}

/**
 * The first process, and what is not in the status itself. containerd gives the definition of the container as `config`,
 * CRI-O has `privileged` at the top; both have the `runtimeSpec`. The app's environment is in it too: nothing else is kept.
 */
function parseInfo(text: string | undefined): Info | undefined {
  if (text === undefined || text.length > MAX_INFO_CHARS) return undefined;
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch {
    return undefined;
  }
  const pid = at(info, 'pid');
  const privileged =
    at(info, 'privileged') ?? at(info, 'config', 'linux', 'security_context', 'privileged');
  const tty = at(info, 'config', 'tty') ?? at(info, 'runtimeSpec', 'process', 'terminal');
  return {
    pid: typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0 ? pid : 0,
    privileged: privileged === true,
    tty: tty === true,
  };
}

function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

function plain(value: unknown): string | undefined {
  return typeof value === 'string' && isPlainText(value) ? value : undefined;
}

function shown(value: string | undefined): string {
  return value === undefined || value === '' ? 'something else' : value.slice(0, 256);
}

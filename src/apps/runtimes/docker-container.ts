import type Docker from 'dockerode';
import { MAX_HEALTHCHECK, MAX_MOUNTS } from '../identity.ts';
import type { Container, ContainerDetails, ContainerMount } from '../identity.ts';
import { parseImageReference } from '../image-reference.ts';
import { appFromLabels, boundedLabels, isPlainText } from '../labels.ts';

/** A container event of the engine, as far as it is used. */
export interface DockerEvent {
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The engine's clock, as `since` takes it: seconds and nanoseconds. */
  readonly since: string;
  readonly timeMs: number;
}

const CONTAINER_ID = /^[0-9a-f]{64}$/;

/** One line of `GET /events`, undefined when it is not a container's event. Never throws. */
export function parseDockerEvent(line: string): DockerEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { Type: type, Action: action, Actor: actor, timeNano, time } = value;
  if (type !== 'container' || typeof action !== 'string' || !isRecord(actor)) return undefined;
  const { ID: id, Attributes: attributes } = actor;
  if (typeof id !== 'string' || !CONTAINER_ID.test(id)) return undefined;
  const seconds = typeof time === 'number' ? time : 0;
  // timeNano is past 2^53: its digits are taken from the text, a number would round them.
  const digits = typeof timeNano === 'number' ? /"timeNano":(\d{10,})/.exec(line)?.[1] : undefined;
  const since =
    digits === undefined ? String(seconds) : `${digits.slice(0, -9)}.${digits.slice(-9)}`;
  return {
    action,
    id,
    attributes: isRecord(attributes) ? attributes : {},
    since,
    timeMs: Math.floor(Number(since) * 1000),
  };
}

/**
 * Reads action and id from the head of an event that was too long: the engine writes them before the attributes. No
 * attribute can imitate them: quotes in JSON strings are escaped. Undefined for other events.
 */
export function parseCutEvent(head: string): Pick<DockerEvent, 'action' | 'id'> | undefined {
  const found = /"Type":"container","Action":"([a-z]+)","Actor":\{"ID":"([0-9a-f]{64})"/.exec(head);
  const [, action, id] = found ?? [];
  return action === undefined || id === undefined ? undefined : { action, id };
}

/** A container of which nothing but its id is known. */
export const containerFromId = (id: string): Container =>
  build({ id, name: undefined, image: undefined, labels: undefined });

/**
 * A container from its `create` event. The engine copies the labels into the attributes and then sets its
 * own `name` and `image` (Docker 26, daemon/events.go; measured), so a label of one of those names loses and
 * is missing here; the list and inspect, which keep labels apart, complete it.
 */
export function containerFromCreate(event: DockerEvent): Container {
  const { name, image, ...labels } = event.attributes;
  return {
    ...build({ id: event.id, name: text(name), image: text(image), labels }),
    ...(event.action === 'create' ? { ranBefore: false } : {}),
  };
}

/** A container from `GET /containers/json`; undefined when the engine's answer makes no sense. */
export function containerFromList(info: Docker.ContainerInfo): Container | undefined {
  if (!CONTAINER_ID.test(info.Id)) return undefined;
  // Legacy links add names with two slashes.
  const names = Array.isArray(info.Names) ? info.Names : [];
  const name = names.find((candidate) => candidate.lastIndexOf('/') === 0) ?? names[0];
  return {
    ...build({
      id: info.Id,
      name: text(name),
      image: text(info.Image),
      imageId: text(info.ImageID),
      labels: info.Labels,
    }),
    // For a running container only inspect has it, not the list.
    ...(RAN_BEFORE[info.State] === undefined ? {} : { ranBefore: RAN_BEFORE[info.State] }),
  };
}

const RAN_BEFORE: Readonly<Record<string, boolean>> = {
  created: false,
  exited: true,
  restarting: true,
  dead: true,
};

/** A container from `GET /containers/ID/json`; undefined when the engine's answer makes no sense. */
export function containerFromInspect(info: Docker.ContainerInspectInfo): Container | undefined {
  if (!CONTAINER_ID.test(info.Id)) return undefined;
  const startedAtMs = Date.parse(info.State.StartedAt);
  return {
    ...build({
      id: info.Id,
      name: text(info.Name),
      image: text(info.Config.Image),
      imageId: text(info.Image),
      labels: info.Config.Labels,
    }),
    privileged: info.HostConfig.Privileged === true,
    tty: info.Config.Tty,
    initPid: info.State.Running && info.State.Pid > 0 ? info.State.Pid : 0,
    // The engine's zero time (year 1) means never.
    startedAtMs: startedAtMs > 0 ? startedAtMs : undefined,
    ranBefore: Date.parse(info.State.FinishedAt) > 0,
    details: detailsOf(info),
  };
}

function detailsOf(info: Docker.ContainerInspectInfo): ContainerDetails {
  const { PidMode, NetworkMode, IpcMode } = info.HostConfig;
  const mounts: unknown = info.Mounts;
  return {
    mounts: Array.isArray(mounts) ? mounts.slice(0, MAX_MOUNTS).map(mountOf) : [],
    hostPid: PidMode === 'host',
    hostNetwork: NetworkMode === 'host',
    hostIpc: IpcMode === 'host',
    ip: addressOf(info.NetworkSettings.Networks),
    healthcheck: healthcheckOf(info.Config),
  };
}

/** The argv that the engine runs (`CMD` or `CMD-SHELL` first); undefined for none, and for one that is longer than is kept. */
function healthcheckOf(config: object): readonly string[] | undefined {
  const { Healthcheck, Shell } = config as { Healthcheck?: unknown; Shell?: unknown };
  const test = isRecord(Healthcheck) ? Healthcheck['Test'] : undefined;
  if (!Array.isArray(test)) return undefined;
  const [kind, ...words] = test.map(String);
  if (words.join(' ').length > MAX_HEALTHCHECK) return undefined;
  if (kind === 'CMD-SHELL') {
    // An image may name another one (SHELL).
    const shell = Array.isArray(Shell) && Shell.length > 0 ? Shell.map(String) : ['/bin/sh', '-c'];
    return [...shell, ...words];
  }
  return kind === 'CMD' && words.length > 0 ? words : undefined;
}

function mountOf(mount: unknown): ContainerMount {
  const { Source, Destination, Mode, RW, Propagation } = isRecord(mount) ? mount : {};
  return {
    source: text(Source) ?? '',
    destination: text(Destination) ?? '',
    mode: text(Mode) ?? '',
    writable: RW === true,
    propagation: text(Propagation) ?? '',
  };
}

function addressOf(networks: unknown): string | undefined {
  for (const network of Object.values(isRecord(networks) ? networks : {})) {
    const address = isRecord(network) ? text(network['IPAddress']) : undefined;
    if (address !== undefined && address !== '') return address;
  }
  return undefined;
}

/** The digest of the image by the reference it was started with, or by the first that it has. */
export function digestFromImage(info: unknown, image: string | undefined): string | undefined {
  const digests: unknown = isRecord(info) ? info['RepoDigests'] : undefined;
  if (!Array.isArray(digests)) return undefined;
  const named = digests.filter((one): one is string => typeof one === 'string');
  const repository = image === undefined ? undefined : parseImageReference(image).repository;
  const found =
    named.find((one) => repository !== undefined && one.startsWith(`${repository}@`)) ?? named[0];
  return found?.split('@')[1];
}

/**
 * Merges two descriptions: the newer one, completed with what only the older one has. The create event's labels can
 * lack two (see `containerFromCreate`), so they never replace others.
 */
export function mergeContainer(older: Container | undefined, newer: Container): Container {
  if (older === undefined) return newer;
  return {
    ...newer,
    image: newer.image ?? older.image,
    imageRepository: newer.imageRepository ?? older.imageRepository,
    imageTag: newer.imageTag ?? older.imageTag,
    imageId: newer.imageId ?? older.imageId,
    privileged: newer.privileged ?? older.privileged,
    tty: newer.tty ?? older.tty,
    initPid: newer.initPid === 0 ? older.initPid : newer.initPid,
    startedAtMs: newer.startedAtMs ?? older.startedAtMs,
    // The first known value stays: later, the first run itself would count as a previous one.
    ranBefore: older.ranBefore ?? newer.ranBefore,
    imageDigest: newer.imageDigest ?? older.imageDigest,
    details: newer.details ?? older.details,
  };
}

/** The same container under another name; its app's name follows when no label gives one. */
export function renamedContainer(container: Container, name: string): Container {
  const cleaned = containerName(name, container.id);
  return { ...container, name: cleaned, app: appFromLabels(container.labels, cleaned) };
}

function build(parts: {
  id: string;
  name: string | undefined;
  image: string | undefined;
  imageId?: string | undefined;
  labels: unknown;
}): Container {
  const id = parts.id.slice(0, 12);
  const name = containerName(parts.name ?? '', id);
  const labels = boundedLabels(parts.labels);
  const image = parts.image !== undefined && isPlainText(parts.image) ? parts.image : undefined;
  const reference = image === undefined ? undefined : parseImageReference(image);
  return {
    fullId: parts.id,
    id,
    name,
    runtime: 'docker',
    image,
    imageRepository: reference?.repository,
    imageTag: reference?.tag,
    imageId: parts.imageId ?? (reference?.repository === undefined ? reference?.digest : undefined),
    imageDigest: reference?.digest,
    labels,
    privileged: undefined,
    tty: undefined,
    initPid: 0,
    startedAtMs: undefined,
    app: appFromLabels(labels, name),
    details: undefined,
    logFile: undefined,
  };
}

function containerName(raw: string, fallback: string): string {
  const name = raw.startsWith('/') ? raw.slice(1) : raw;
  return isPlainText(name) ? name : fallback;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import type { Container } from '../../apps/identity.ts';
import { escapeHidden, escapeText, shorten } from '../escape.ts';
import type { OutgoingLine } from '../receiver.ts';
import type { KeyValue, Resource } from './api.ts';

/** Tags of an app's that are looked at, and bytes of all that are kept. */
const MAX_TAGS = 64;
const MAX_TAGS_BYTES = 8192;
const MAX_TAG_NAME_BYTES = 64;
const MAX_TAG_BYTES = 1024;
/** Of any other value: the longest name that a runtime gives is shorter. */
const MAX_VALUE_BYTES = 256;

/** Labels of a pod's container that the kubelet writes, over whatever a pod's author wrote there. */
const KUBERNETES: readonly (readonly [attribute: string, label: string])[] = [
  ['k8s.namespace.name', 'io.kubernetes.pod.namespace'],
  ['k8s.pod.name', 'io.kubernetes.pod.name'],
  ['k8s.pod.uid', 'io.kubernetes.pod.uid'],
  ['k8s.container.name', 'io.kubernetes.container.name'],
];

/** Tags by which the platform names what an app belongs to, and their attributes. */
const CLOUD_FOUNDRY: ReadonlyMap<string, string> = new Map([
  ['organization_id', 'cloudfoundry.org.id'],
  ['space_id', 'cloudfoundry.space.id'],
  ['process_id', 'cloudfoundry.process.id'],
]);

/** Tags that say again what the attributes say. */
const SAID = new Set([
  'app_id',
  'source_id',
  'app_name',
  'organization_name',
  'space_name',
  'process_type',
  'instance_id',
]);

/**
 * What a line is to keep of the container that it is about, besides its app: some 4 KiB at most. Attributes by the semantic
 * conventions; an image's tag and digest, which are lists there, as one text each.
 */
export function containerFacts(container: Container | undefined): Record<string, string> {
  if (container === undefined) return {};
  const { runtime, labels, fullId, name, sidecar } = container;
  const facts = [
    // A notice about a line from the spool has no container any more.
    ['container.id', container.id === '' ? undefined : fullId],
    ['container.name', name],
    ['container.image.name', container.imageRepository ?? container.image],
    ['container.image.tags', container.imageTag],
    ['container.image.id', container.imageId],
    ['oci.manifest.digest', container.imageDigest],
    ['varvel.sidecar', sidecar],
    ...(runtime === 'cri' ? KUBERNETES.map(([key, label]) => [key, labels[label]] as const) : []),
  ] as const;
  return Object.fromEntries(
    facts.flatMap(([key, value]) =>
      value === undefined || value === '' ? [] : [[key, bounded(value)]],
    ),
  );
}

/**
 * The entity that a line is about: its app and container on its host, so that a line stands beside the app's own logs and
 * traces. The agent is the instrumentation scope. What has no app is the agent's, on its host. At most some 16 KiB.
 */
export function resourceOf({ app, facts = {}, hostname }: OutgoingLine): Resource {
  const { name, guid, org, space, processType, instance, tags } = app ?? {};
  const namespace = [org, space].filter((it) => it !== undefined).join('/');
  // Only Cloud Foundry's runtimes tell tags.
  const cloudFoundry =
    tags === undefined
      ? []
      : [
          ['cloudfoundry.app.id', guid],
          ['cloudfoundry.app.name', name],
          ['cloudfoundry.app.instance.id', instance],
          ['cloudfoundry.process.type', processType],
          ['cloudfoundry.space.name', space],
          ['cloudfoundry.org.name', org],
        ];
  const known = [
    ['service.name', name ?? 'varvel'],
    ['service.namespace', namespace === '' ? undefined : namespace],
    ['service.instance.id', app === undefined ? hostname : (instance ?? facts['container.id'])],
    ['host.name', hostname],
    ...cloudFoundry,
    ['varvel.app.guid', tags === undefined ? guid : undefined],
  ];
  const attributes = [
    ...known.flatMap(([key = '', value]) => (value === undefined ? [] : [textOf(key, value)])),
    ...Object.entries(facts).map(([key, value]) => factOf(key, value)),
  ];
  const { kept, dropped } = tagsOf(tags ?? {});
  return { attributes: [...attributes, ...kept], droppedAttributesCount: dropped };
}

/** The platform's names of what the app belongs to, and the app's own tags, as `varvel.tag.NAME`. */
function tagsOf(tags: Readonly<Record<string, string>>): {
  readonly kept: readonly KeyValue[];
  readonly dropped: number;
} {
  const kept: KeyValue[] = [];
  let dropped = 0;
  let room = MAX_TAGS_BYTES;
  const others = Object.entries(tags)
    .filter(([name]) => !SAID.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  for (const [index, [name, value]] of others.entries()) {
    const tag = textOf(
      CLOUD_FOUNDRY.get(name) ?? `varvel.tag.${escapeText(name)}`,
      value,
      MAX_TAG_BYTES,
    );
    const bytes = Buffer.byteLength(tag.key) + Buffer.byteLength(tag.value.stringValue ?? '');
    const fits = index < MAX_TAGS && Buffer.byteLength(name) <= MAX_TAG_NAME_BYTES && bytes <= room;
    if (fits) {
      room -= bytes;
      kept.push(tag);
    } else dropped++;
  }
  return { kept, dropped };
}

const bounded = (text: string, maxBytes = MAX_VALUE_BYTES): string =>
  shorten(text, maxBytes, escapeHidden).encoded;

const textOf = (key: string, value: string, maxBytes?: number): KeyValue => ({
  key,
  value: { stringValue: bounded(value, maxBytes) },
});

/** The conventions have several tags of an image; a container was started by one. */
function factOf(key: string, value: string): KeyValue {
  if (key !== 'container.image.tags') return textOf(key, value);
  return { key, value: { arrayValue: { values: [{ stringValue: bounded(value) }] } } };
}

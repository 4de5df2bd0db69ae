import type { Container } from '../../apps/identity.ts';
import { firstInContainer } from './ancestors.ts';
import { absent, field, fieldWithReader, future } from './field.ts';
import { MOUNT_FIELDS } from './container-mounts.ts';
import { CONTAINER_PROBE_FIELDS } from './probes.ts';
import { unixOf } from './proc-exe-times.ts';
import type { FieldClass, Value, View } from './field.ts';

/**
 * The identity is not known within the time events are held for it. The value is there, so that
 * `container.id != host` holds: whatever is watched is a container's.
 */
export const PENDING = '<pending>';

const of =
  (read: (container: Container) => Value | undefined) =>
  (view: View): Value | undefined =>
    view.container === undefined ? undefined : read(view.container);

const orPending =
  (read: (container: Container) => string) =>
  (view: View): string =>
    view.container === undefined ? PENDING : read(view.container);

/**
 * When the container started. The runtime tells it after the fact: until then by the oldest process above that is
 * the container's, which began with it.
 */
const startNs = (view: View): bigint | undefined => {
  const { container, process } = view;
  if (container === undefined) return undefined;
  if (container.startedAtMs !== undefined)
    return BigInt(Math.round(container.startedAtMs)) * 1_000_000n;
  return unixOf(view, firstInContainer(process).startBootNs);
};

const DEPRECATED = { deprecated: true };

export const CONTAINER_CLASS: FieldClass = {
  name: 'container',
  description: 'The container that the process runs in',
  fields: [
    field(
      'container.id',
      'CHARBUF',
      `First 12 characters of the id; '${PENDING}' while the runtime has not told it.`,
      orPending((container) => container.id),
    ),
    field(
      'container.full_id',
      'CHARBUF',
      'The whole id.',
      of((container) => container.fullId),
    ),
    field(
      'container.name',
      'CHARBUF',
      'Its name.',
      orPending((container) => container.name),
    ),
    field(
      'container.image',
      'CHARBUF',
      'Its image as given.',
      of((container) => container.image),
    ),
    field(
      'container.image.id',
      'CHARBUF',
      "Its image's id, without the name of the hash.",
      of((container) => container.imageId?.replace(/^\w+:/, '')),
    ),
    field(
      'container.image.repository',
      'CHARBUF',
      "Its image's repository.",
      of((container) => container.imageRepository),
    ),
    field(
      'container.image.tag',
      'CHARBUF',
      "Its image's tag.",
      of((container) => container.imageTag),
    ),
    field('container.type', 'CHARBUF', "The runtime: 'docker', 'garden', 'cri', 'cgroup'.", (v) => {
      return v.container?.runtime;
    }),
    field(
      'container.privileged',
      'BOOL',
      'It runs privileged.',
      of((container) => container.privileged),
    ),
    field('container.start_ts', 'ABSTIME', 'When it started, Unix nanoseconds.', startNs),
    field('container.duration', 'RELTIME', 'Nanoseconds since it started.', (v) => {
      const start = startNs(v);
      return start === undefined ? undefined : v.event.timeNs - start;
    }),
    fieldWithReader(
      'container.label',
      'CHARBUF',
      'One of its labels: container.label[team].',
      (name = '') => ({
        shape: 'single',
        read(view) {
          const labels = view.container?.labels;
          return labels !== undefined && Object.hasOwn(labels, name) ? labels[name] : undefined;
        },
      }),
      { argument: 'required', dotArgument: true },
    ),
    field(
      'container.labels',
      'CHARBUF',
      'All its labels: name:value, name:value.',
      of((container) => {
        return Object.entries(container.labels)
          .map(([name, value]) => `${name}:${value}`)
          .join(', ');
      }),
    ),
    field(
      'container.image.digest',
      'CHARBUF',
      "Its image's digest; absent for an image that came from no registry.",
      of((container) => container.imageDigest),
    ),
    ...MOUNT_FIELDS,
    field(
      'container.ip',
      'CHARBUF',
      'Its first IPv4 address.',
      of((container) => container.details?.ip),
    ),
    future('container.cni.json', 'CHARBUF', "The network plugin's result."),
    field(
      'container.host_pid',
      'BOOL',
      "It shares the host's pid namespace.",
      of((container) => container.details?.hostPid),
    ),
    field(
      'container.host_network',
      'BOOL',
      "It shares the host's network.",
      of((container) => container.details?.hostNetwork),
    ),
    field(
      'container.host_ipc',
      'BOOL',
      "It shares the host's IPC namespace.",
      of((container) => container.details?.hostIpc),
    ),
    ...CONTAINER_PROBE_FIELDS,
    absent('container.info', 'CHARBUF', 'Deprecated: always absent.', DEPRECATED),
  ],
};

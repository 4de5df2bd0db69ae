import type { ProcessImage } from '../../context/process.ts';
import { firstInContainer } from './ancestors.ts';
import { field, future } from './field.ts';
import type { FieldDefinition, View } from './field.ts';

// Health checks: of Docker by the command of the check, of Cloud Foundry by the cgroup of their own that Diego gives them. The
// CRI does not tell a pod's probes.

const DEPRECATED = { deprecated: true };

type Probe = 'healthcheck' | 'liveness' | 'readiness';

/** The name of the check's cgroup, after the handle (see `Container.sidecar`). */
const SIDECAR = /^(?:envoy-)?(startup|liveness|readiness)-healthcheck-/;
const SIDECARS: Readonly<Record<string, Probe>> = {
  startup: 'healthcheck',
  liveness: 'liveness',
  readiness: 'readiness',
};

/** What the process belongs to; 'none' for what is no check, undefined while that is not known. */
export function probeOf({
  container,
  process,
}: Pick<View, 'container' | 'process'>): Probe | 'none' | undefined {
  if (container === undefined) return undefined;
  const { sidecar, details } = container;
  if (sidecar !== undefined) return SIDECARS[SIDECAR.exec(sidecar)?.[1] ?? ''] ?? 'none';
  if (container.runtime !== 'docker') return 'none';
  if (details === undefined) return undefined;
  const { healthcheck } = details;
  if (healthcheck === undefined) return 'none';
  const first = firstInContainer(process);
  // The runtime runs it: no process of the container can start one that comes from outside.
  if (first.parent?.inScope !== false) return 'none';
  return [first.image, first.previousImage].some((image) => isRun(image, healthcheck))
    ? 'healthcheck'
    : 'none';
}

function isRun(image: ProcessImage | undefined, [exe, ...args]: readonly string[]): boolean {
  if (image === undefined || image.exe !== exe || image.args.length !== args.length) return false;
  return args.every((arg, index) => image.args[index] === arg);
}

const isOf =
  (probe: Probe) =>
  (view: View): boolean | undefined => {
    const found = probeOf(view);
    return found === undefined ? undefined : found === probe;
  };

export const CONTAINER_PROBE_FIELDS: readonly FieldDefinition[] = [
  field(
    'container.healthcheck',
    'CHARBUF',
    "The command of its health check, where Docker runs one: '/bin/sh -c curl localhost'.",
    (v) => v.container?.details?.healthcheck?.join(' '),
    DEPRECATED,
  ),
  future('container.liveness_probe', 'CHARBUF', 'Its liveness probe.', DEPRECATED),
  future('container.readiness_probe', 'CHARBUF', 'Its readiness probe.', DEPRECATED),
];

export const PROCESS_PROBE_FIELDS: readonly FieldDefinition[] = [
  field(
    'proc.is_container_healthcheck',
    'BOOL',
    "Started by Docker's health check of the container, or a startup check of Diego's.",
    isOf('healthcheck'),
    DEPRECATED,
  ),
  field(
    'proc.is_container_liveness_probe',
    'BOOL',
    "Started by a liveness check of Diego's.",
    isOf('liveness'),
    DEPRECATED,
  ),
  field(
    'proc.is_container_readiness_probe',
    'BOOL',
    "Started by a readiness check of Diego's.",
    isOf('readiness'),
    DEPRECATED,
  ),
];

import type { AppIdentity, Container } from '../../../src/apps/identity.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import type { Delivery } from '../../../src/streams/stream.ts';

export function containerOf(
  overrides: Partial<Container> = {},
  app: Partial<AppIdentity> = {},
): Container {
  const fullId = overrides.fullId ?? 'ab'.repeat(32);
  return {
    fullId,
    id: fullId.slice(0, 12),
    name: 'shop-1',
    runtime: 'docker',
    image: 'registry/shop:1',
    imageRepository: 'registry/shop',
    imageTag: '1',
    imageId: undefined,
    imageDigest: undefined,
    details: undefined,
    labels: {},
    privileged: false,
    tty: false,
    initPid: 0,
    startedAtMs: undefined,
    app: {
      name: 'shop',
      guid: undefined,
      space: undefined,
      org: undefined,
      processType: undefined,
      instance: undefined,
      ...app,
    },
    logFile: undefined,
    ...overrides,
  };
}

export function detectionOf(overrides: Partial<Detection> = {}): Detection {
  return {
    rule: 'Shell in an app container',
    priority: 'Warning',
    source: 'syscall',
    tags: ['shell', 'container'],
    timeNs: BigInt(Date.now()) * 1_000_000n,
    bootNs: 1n,
    output: 'A shell was started (command=sh)',
    outputFields: { 'proc.name': 'sh', 'container.id': 'abababababab' },
    eventNum: 1,
    cgroupId: 7,
    container: containerOf(),
    ...overrides,
  };
}

export function deliveryOf(
  detection: Partial<Detection> = {},
  overrides: Partial<Delivery> = {},
): Delivery {
  return {
    detection: detectionOf(detection),
    id: '01JGQ0000000000000000000AB',
    seq: 1,
    hostname: 'cell-1',
    ...overrides,
  };
}

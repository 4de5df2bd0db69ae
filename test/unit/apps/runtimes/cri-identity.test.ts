import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CriContainer, CriPod } from '../../../../src/apps/runtimes/cri-api.ts';
import { containerFromCri, isKorifiApp } from '../../../../src/apps/runtimes/cri-identity.ts';

const ID = 'a'.repeat(64);
const SANDBOX = 'b'.repeat(64);
const NOTHING = { status: undefined, info: undefined, podStatus: undefined };
const KORIFI = 'korifi.cloudfoundry.org';

function containerOf(overrides: Partial<CriContainer> = {}): CriContainer {
  return {
    id: ID,
    podSandboxId: SANDBOX,
    metadata: { name: 'application' },
    image: { image: `sha256:${'9'.repeat(64)}`, userSpecifiedImage: 'registry:5000/shop:1' },
    imageRef: `registry:5000/shop@sha256:${'8'.repeat(64)}`,
    state: 1,
    imageId: `sha256:${'9'.repeat(64)}`,
    ...overrides,
    labels: {
      'io.kubernetes.container.name': 'application',
      'io.kubernetes.pod.name': 'shop-2',
      'io.kubernetes.pod.namespace': 'space-1',
      'io.kubernetes.pod.uid': 'u-1',
      ...overrides.labels,
    },
  };
}

const podOf = (labels: Record<string, string> = {}, annotations = {}): CriPod => ({
  id: SANDBOX,
  metadata: { name: 'shop-2', namespace: 'space-1', uid: 'u-1' },
  labels,
  annotations,
});

const korifi = { [`${KORIFI}/app-guid`]: 'g-1', [`${KORIFI}/process-type`]: 'web' };
const of = (pod: CriPod | undefined, container = containerOf()) =>
  containerFromCri({ ...NOTHING, container, pod });

test('an app of Korifi’s: by its labels, its namespace and its index', () => {
  const labels = {
    ...korifi,
    'apps.kubernetes.io/pod-index': '5',
    [`${KORIFI}/process-guid`]: 'p',
  };
  const container = of(podOf(labels));
  assert.deepEqual(container.app, {
    name: 'g-1',
    guid: 'g-1',
    space: 'space-1',
    org: undefined,
    processType: 'web',
    instance: '5',
    tags: {
      app_id: 'g-1',
      space_id: 'space-1',
      process_id: 'p',
      process_type: 'web',
      process_instance_id: 'u-1',
      instance_id: '5',
    },
  });
  assert.ok(isKorifiApp(container));
  // Clusters that do not number pods by a label: by the StatefulSet's name of the pod.
  assert.equal(of(podOf(korifi)).app?.instance, '2');
});

test('another container in such a pod is nobody’s', () => {
  const labels = { 'io.kubernetes.container.name': 'istio-proxy' };
  const container = of(podOf(korifi), containerOf({ metadata: { name: 'istio-proxy' }, labels }));
  assert.equal(container.app, undefined);
  assert.match(container.doubt ?? '', /the app is in the container "application"/);
  assert.ok(!isKorifiApp(container));
});

test('any other pod: by ours and the common labels; its namespace by nobody’s label', () => {
  assert.deepEqual(of(podOf()).app, {
    name: 'shop-2',
    guid: undefined,
    space: 'space-1',
    org: undefined,
    processType: 'application',
    instance: undefined,
  });
  const named = of(
    podOf({ 'app.kubernetes.io/name': 'shop', 'apps.kubernetes.io/pod-index': '1' }),
  );
  assert.deepEqual([named.app?.name, named.app?.instance], ['shop', '1']);
  const own = { 'varvel.app': 'mine', 'varvel.space': 'elsewhere', 'varvel.process-type': 'job' };
  const { app } = of(podOf(own));
  assert.deepEqual([app?.name, app?.space, app?.processType], ['mine', 'space-1', 'job']);
});

test('a pod asks by a label, or by an annotation where it has no such label', () => {
  assert.equal(of(podOf({}, { 'varvel.enable': 'true' })).labels['varvel.enable'], 'true');
  const both = podOf({ 'varvel.enable': 'false' }, { 'varvel.enable': 'true' });
  assert.equal(of(both).labels['varvel.enable'], 'false');
  assert.equal(of(podOf({}, { secret: 'x' })).labels['secret'], undefined);
  const mixed = podOf({ app: 'shop', 'io.kubernetes.pod.name': 'forged' }, { secret: 'x' });
  assert.deepEqual({ ...of(mixed).podLabels }, { app: 'shop' }, 'of the pod’s definition only');
});

test('a pod’s labels never stand in for the kubelet’s or ours, however many there are', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`l${at}`, 'x']));
  const { labels } = of(
    podOf({
      ...many,
      'io.kubernetes.pod.namespace': 'forged',
      'io.kubernetes.sandbox.id': 'forged',
      ...korifi,
    }),
  );
  assert.equal(labels['io.kubernetes.pod.namespace'], 'space-1');
  assert.equal(labels['io.kubernetes.sandbox.id'], SANDBOX);
  assert.equal(labels[`${KORIFI}/app-guid`], 'g-1');
  assert.ok(Object.keys(labels).length <= 128);
});

test('a container whose labels say another place than its pod is nobody’s', () => {
  const places = { namespace: 'space-2', name: 'shop-3', uid: 'u-2' };
  for (const [name, value] of Object.entries(places)) {
    const labels = { [`io.kubernetes.pod.${name}`]: value };
    const container = of(podOf(korifi), containerOf({ labels }));
    assert.equal(container.app, undefined, name);
    assert.match(
      container.doubt ?? '',
      new RegExp(`pod\\.${name} says ${value}, its runtime says`),
    );
  }
  assert.match(of(undefined).doubt ?? '', /does not know its pod/);
  const hostile = { ...podOf(), metadata: { name: 'a\nb', namespace: 'x', uid: '' } };
  assert.equal(of(hostile).app, undefined);
});

test('the image by the name that people gave it, its digest and number', () => {
  const container = of(podOf());
  assert.deepEqual(
    [
      container.image,
      container.imageRepository,
      container.imageTag,
      container.imageDigest,
      container.imageId,
    ],
    [
      'registry:5000/shop:1',
      'registry:5000/shop',
      '1',
      `sha256:${'8'.repeat(64)}`,
      `sha256:${'9'.repeat(64)}`,
    ],
  );
});

test('the closer look: process, privileges, mounts and namespaces, of containerd and of CRI-O; nonsense is none', () => {
  const mount = { containerPath: '/m', hostPath: '/h', readonly: true, propagation: 2 };
  const status = {
    id: ID,
    state: 1,
    startedAt: '1700000000123000000',
    image: null,
    mounts: [mount],
  };
  const options = { network: 2, pid: 0, ipc: 0 };
  const podStatus = {
    id: SANDBOX,
    network: { ip: '10.1.2.3' },
    linux: { namespaces: { options } },
  };
  const look = (info: string | undefined) =>
    containerFromCri({ container: containerOf(), pod: podOf(), status, info, podStatus });
  const containerd = {
    pid: 7,
    config: { tty: true, linux: { security_context: { privileged: true } } },
  };
  const crio = { pid: 7, privileged: true, runtimeSpec: { process: { terminal: true } } };
  for (const info of [containerd, crio]) {
    const it = look(JSON.stringify(info));
    assert.deepEqual([it.initPid, it.privileged, it.tty], [7, true, true]);
    assert.equal(it.startedAtMs, 1_700_000_000_123);
    assert.deepEqual(it.details, {
      mounts: [
        { source: '/h', destination: '/m', mode: 'ro', writable: false, propagation: 'rshared' },
      ],
      hostPid: false,
      hostNetwork: true,
      hostIpc: false,
      ip: '10.1.2.3',
    });
  }
  for (const nonsense of [
    undefined,
    '',
    '[]',
    'null',
    '{"pid":"7"}',
    '{"pid":-1}',
    '{"pid":1e300}',
    '{',
  ])
    assert.equal(look(nonsense).initPid, 0, nonsense);
});

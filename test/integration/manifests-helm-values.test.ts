// Each documented value of the chart in manifests/helm/varvel arrives; what no release can be made of is refused.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ConfigMap, VolumeMount } from 'kubernetes-types/core/v1.d.ts';
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.d.ts';
import { parse } from 'yaml';
import { chartValues } from '../../manifests/docs/helm.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import {
  CHART,
  mergedValues,
  partsOf,
  renderChart,
  type KubernetesValue,
} from '../support/helm-chart.ts';
import { checkKubernetesObjects } from '../support/kubernetes-types.ts';
import { checkPodMonitor, type PodMonitor } from '../support/pod-monitor.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('varvel-manifests-');

/** The configuration of a release as the agent loads it. */
function load(data: Readonly<Record<string, string>>): LoadedConfig {
  for (const [name, text] of Object.entries(data)) writeFileSync(join(folder, name), text);
  return loadConfig({ file: join(folder, 'varvel.yaml'), env: {} });
}

const named = <T extends { name: string }>(list: readonly T[] | undefined, name: string): T =>
  list?.find((one) => one.name === name) ?? assert.fail(`there is no ${name}`);
const digest = `sha256:${'0a'.repeat(32)}`;
const HOSTILE = '- rule: "a\'b"\n  desc: |\n    {{ .Values.x }} <&> \u001b[1m # é\n\n   \n';
const mountOf = (mounts: readonly VolumeMount[] | undefined, path: string): VolumeMount =>
  mounts?.find(({ mountPath }) => mountPath === path) ?? assert.fail(`nothing is at ${path}`);

const podMonitorOf = (objects: readonly KubernetesValue[]): PodMonitor =>
  objects.find(({ kind }) => kind === 'PodMonitor') as PodMonitor;

/** Each documented value with another one, and where that arrives. */
const CHANGED: Readonly<
  Record<
    string,
    readonly [
      value: unknown,
      arrives: (
        parts: ReturnType<typeof partsOf> & { objects: readonly KubernetesValue[] },
      ) => unknown,
      as?: unknown,
    ]
  >
> = {
  'image.repository': ['example.org/v', ({ agent }) => agent.image, 'example.org/v:0.1.0'],
  'image.tag': ['7', ({ agent }) => agent.image, 'registry.example.org/varvel:7'],
  'image.digest': [digest, ({ agent }) => agent.image, `registry.example.org/varvel@${digest}`],
  'image.pullPolicy': ['Always', ({ agent }) => agent.imagePullPolicy],
  'image.pullSecrets': [
    ['one', 'two'],
    ({ pod }) => pod.imagePullSecrets,
    [{ name: 'one' }, { name: 'two' }],
  ],
  fullnameOverride: [
    'cell-guard',
    ({ daemonSet, objects, pod }) => [
      daemonSet.metadata!.name,
      ...objects.map((object) => (object as ConfigMap).metadata!.name),
      pod.serviceAccountName,
      named(pod.volumes, 'config').configMap!.name,
    ],
    Array<string>(6).fill('cell-guard'),
  ],
  'serviceAccount.create': [
    false,
    ({ objects, pod }) => [objects.length, pod.serviceAccountName],
    [2, 'default'],
  ],
  'serviceAccount.name': [
    'other',
    ({ objects, pod }) => [
      (objects.find(({ kind }) => kind === 'ServiceAccount') as ConfigMap).metadata!.name,
      pod.serviceAccountName,
    ],
    ['other', 'other'],
  ],
  'serviceAccount.annotations': [
    { 'example.org/a': 'b' },
    ({ objects }) =>
      (objects.find(({ kind }) => kind === 'ServiceAccount') as ConfigMap).metadata!.annotations,
  ],
  config: [
    {
      mode: 'opt-out',
      rules_files: ['/one.yaml'],
      runtimes: { docker: null, cri: { socket: '/run/k3s/containerd/containerd.sock' } },
      metrics: { listen: 'unix:/run/varvel/metrics.sock' },
      log_level: 'debug',
      context: { max_processes: 1048576 },
    },
    ({ data, agent, pod }) => {
      const { config } = load(data);
      return [
        parse(data['varvel.yaml']!) as unknown,
        [config.mode, config.rulesFiles, config.context.maxProcesses, config.logLevel],
        mountOf(agent.volumeMounts, '/run/k3s/containerd').name,
        named(pod.volumes, 'containerd').hostPath!.path,
      ];
    },
    [
      {
        mode: 'opt-out',
        rules_files: ['/one.yaml', 'local_rules.yaml'],
        runtimes: {
          garden: { enabled: false },
          cri: { socket: '/run/k3s/containerd/containerd.sock' },
        },
        streams: { container: { enabled: true }, stdout: { enabled: true } },
        metrics: { listen: 'unix:/run/varvel/metrics.sock' },
        log_level: 'debug',
        context: { max_processes: 1048576 },
        state_dir: '/var/lib/varvel',
        run_dir: '/run/varvel',
      },
      ['opt-out', ['/one.yaml', join(folder, 'local_rules.yaml')], 1048576, 'debug'],
      'containerd',
      '/run/k3s/containerd',
    ],
  ],
  rules: [
    { 'b.yaml': HOSTILE, 'a.yaml': '[]', 'local_rules.yaml': null },
    ({ data }) => [
      Object.keys(data).sort(),
      data['b.yaml'],
      (parse(data['varvel.yaml']!) as { rules_files: string[] }).rules_files,
    ],
    [
      ['a.yaml', 'b.yaml', 'varvel.yaml'],
      HOSTILE,
      ['/opt/varvel/varvel/manifests/rules/varvel_rules.yaml', 'a.yaml', 'b.yaml'],
    ],
  ],
  enforce: [
    true,
    ({ agent, pod }) => [
      agent.securityContext!.capabilities!.add!.slice(4),
      mountOf(agent.volumeMounts, '/sys/fs/bpf').name,
      named(pod.volumes, 'bpf').hostPath!.path,
    ],
    [['KILL', 'NET_ADMIN'], 'bpf', '/sys/fs/bpf'],
  ],
  lift: [true, ({ data }) => data['lift'], ''],
  secrets: [
    ['siem', 'cf.tls'],
    ({ agent, pod }) =>
      ['siem', 'cf.tls'].map((name) => {
        const { name: volume, readOnly } = mountOf(
          agent.volumeMounts,
          `/etc/varvel-secrets/${name}`,
        );
        const { secretName, defaultMode } = named(pod.volumes, volume).secret!;
        return [secretName, defaultMode, readOnly];
      }),
    [
      ['siem', 0o400, true],
      ['cf.tls', 0o400, true],
    ],
  ],
  env: [[{ name: 'VARVEL_MODE', value: 'always' }], ({ agent }) => agent.env!.slice(1)],
  'state.hostPath': [
    '/var/lib/varvel-node',
    ({ pod }) => named(pod.volumes, 'state'),
    {
      name: 'state',
      hostPath: { path: '/var/lib/varvel-node', type: 'DirectoryOrCreate' },
    },
  ],
  'state.sizeLimit': ['2Gi', ({ pod }) => named(pod.volumes, 'state').emptyDir!.sizeLimit],
  'metrics.enabled': [
    true,
    ({ pod }) => [
      pod.containers.map(({ name }) => name),
      named(named(pod.containers, 'metrics').ports as { name: string }[], 'metrics'),
    ],
    [['varvel', 'metrics'], { name: 'metrics', containerPort: 9434 }],
  ],
  'metrics.port': [
    9999,
    ({ pod }) => {
      const { args, ports } = named(pod.containers, 'metrics');
      return [args!.at(-1), ports![0]!.containerPort];
    },
    ['*:9999', 9999],
  ],
  'metrics.allowFrom': [
    [{ namespaceSelector: { matchLabels: { a: 'b' } } }],
    ({ objects }) =>
      (objects.find(({ kind }) => kind === 'NetworkPolicy') as NetworkPolicy).spec!.ingress,
    [
      {
        ports: [{ port: 'metrics', protocol: 'TCP' }],
        from: [{ namespaceSelector: { matchLabels: { a: 'b' } } }],
      },
    ],
  ],
  'metrics.resources': [
    { limits: { memory: '1Gi' } },
    ({ pod }) => named(pod.containers, 'metrics').resources!.limits,
    { cpu: '200m', memory: '1Gi' },
  ],
  'metrics.podMonitor.enabled': [true, ({ objects }) => podMonitorOf(objects).kind, 'PodMonitor'],
  'metrics.podMonitor.interval': [
    '45s',
    ({ objects }) => podMonitorOf(objects).spec.podMetricsEndpoints[0]!.interval,
  ],
  'metrics.podMonitor.labels': [
    { release: 'main' },
    ({ objects }) => podMonitorOf(objects).metadata.labels['release'],
    'main',
  ],
  resources: [
    { requests: { cpu: '1' }, limits: { memory: '1Gi', cpu: null } },
    ({ agent }) => agent.resources,
    { requests: { cpu: '1', memory: '192Mi' }, limits: { memory: '1Gi' } },
  ],
  updateStrategy: [
    { rollingUpdate: { maxSurge: 0, maxUnavailable: '10%' } },
    ({ daemonSet }) => daemonSet.spec!.updateStrategy,
    { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: '10%' } },
  ],
  nodeSelector: [
    { pool: 'apps', 'kubernetes.io/os': null },
    ({ pod }) => pod.nodeSelector,
    { pool: 'apps', 'kubernetes.io/arch': 'amd64' },
  ],
  tolerations: [[{ key: 'gpu', operator: 'Exists' }], ({ pod }) => pod.tolerations],
  affinity: [
    { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } },
    ({ pod }) => pod.affinity,
  ],
  priorityClassName: ['low', ({ pod }) => pod.priorityClassName],
  terminationGracePeriodSeconds: [60, ({ pod }) => pod.terminationGracePeriodSeconds],
  podLabels: [
    { team: 'platform' },
    ({ daemonSet }) => daemonSet.spec!.template.metadata!.labels,
    {
      team: 'platform',
      'app.kubernetes.io/name': 'varvel',
      'app.kubernetes.io/instance': 'varvel',
    },
  ],
  podAnnotations: [
    { 'example.org/a': 'true' },
    ({ daemonSet }) => daemonSet.spec!.template.metadata!.annotations!['example.org/a'],
    'true',
  ],
};

/** What a value needs beside it. */
const BESIDE: Record<string, object> = {
  'state.hostPath': { updateStrategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } },
};
for (const [path] of Object.entries(CHANGED)) {
  if (!path.startsWith('metrics.') || path === 'metrics.enabled') continue;
  BESIDE[path] = {
    metrics: { enabled: true, podMonitor: { enabled: path.includes('podMonitor') } },
  };
}
const nested = (path: string, value: unknown): object =>
  path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as object;
const changed = Object.entries(CHANGED).map(([path, [value, arrives, as = value]]) => ({
  path,
  arrives,
  as,
  rendered: renderChart(mergedValues(BESIDE[path] ?? {}, nested(path, value))),
}));

describe('values', () => {
  test('each documented one is changed here', () => {
    const rows = chartValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
    assert.deepEqual(
      rows.map(({ path }) => path),
      Object.keys(CHANGED),
    );
    for (const { comment } of rows) assert.match(comment, /^\S.{5,}[^.]$/);
  });

  for (const { path, arrives, as, rendered } of changed)
    test(`${path} arrives`, () => {
      assert.equal(rendered.refused, '');
      const parts = (from: typeof rendered) => ({ ...partsOf(from), objects: from.objects });
      assert.deepEqual(arrives(parts(rendered)), as);
    });

  test('every object of every one of these releases is one of Kubernetes’', () => {
    const all = [renderChart(), ...changed.map(({ rendered }) => rendered)].flatMap(({ objects }) =>
      objects.map((value) => ({ apiVersion: value.apiVersion, kind: value.kind, value })),
    );
    const others = all.filter(({ kind }) => kind !== 'PodMonitor');
    assert.deepEqual(checkKubernetesObjects(others).flat(), []);
    const monitors = all.filter(({ kind }) => kind === 'PodMonitor');
    assert.equal(monitors.length, 3);
    for (const { value } of monitors) assert.equal(checkPodMonitor(value), '');
  });

  test('pods are replaced for another configuration, and not for other rules', () => {
    const sum = (values: object): string | undefined =>
      partsOf(renderChart(values)).daemonSet.spec!.template.metadata!.annotations?.[
        'checksum/config'
      ];
    const is = sum({});
    assert.match(is ?? '', /^[0-9a-f]{64}$/);
    assert.equal(sum({ rules: { 'local_rules.yaml': '- macro: m' } }), is);
    assert.equal(sum({ lift: true }), is);
    assert.notEqual(sum({ config: { log_level: 'debug' } }), is);
  });

  test('pods are replaced by hand where the strategy says so', () => {
    const { daemonSet } = partsOf(
      renderChart({ updateStrategy: { type: 'OnDelete' }, state: { hostPath: '/s' } }),
    );
    assert.deepEqual(daemonSet.spec!.updateStrategy, { type: 'OnDelete' });
  });

  test('two agents with one folder of the node are refused', () => {
    for (const maxSurge of [1, '10%'])
      assert.throws(
        () =>
          renderChart({
            state: { hostPath: '/s' },
            updateStrategy: { rollingUpdate: { maxSurge } },
          }),
        /state\.hostPath: two agents must not share .* Set updateStrategy\.rollingUpdate\.maxSurge to 0/,
      );
  });

  test('a PodMonitor without something to scrape is refused, and what Helm hides from the schema', () => {
    assert.throws(
      () => renderChart({ metrics: { podMonitor: { enabled: true } } }),
      /metrics\.podMonitor\.enabled: there is nothing to scrape\. Set metrics\.enabled too/,
    );
    const hidden = { rules: { 'a.yaml': '# \u0085' } };
    assert.throws(() => renderChart(hidden), /rules\.a\.yaml: YAML takes the character U\+0085/);
  });

  const refusals: readonly (readonly [object, RegExp])[] = [
    [{ imgae: {} }, /additional properties/],
    [{ image: { tga: '1' } }, /\/image .*additional properties/],
    [{ image: { tag: 1.1 } }, /\/image\/tag must be string/],
    [{ image: { digest: 'sha256:1' } }, /\/image\/digest must match/],
    [{ enforce: 'no' }, /\/enforce must be boolean/],
    [{ secrets: ['a b'] }, /\/secrets\/0 must match/],
    [{ secrets: ['a', 'a'] }, /\/secrets must NOT have duplicate/],
    [{ rules: { 'varvel.yaml': '' } }, /\/rules must NOT be valid/],
    [{ rules: { 'a/b.yaml': '' } }, /\/rules must match pattern/],
    [{ rules: { 'a.yaml': '# \u2028' } }, /\/rules\/a\.yaml must NOT be valid/],
    [{ rules: { 'a.yaml': [] } }, /\/rules\/a\.yaml must be string/],
    [{ config: { run_dir: '/tmp' } }, /\/config\/run_dir must be equal/],
    [{ config: { state_dir: null } }, /\/config must have required property 'state_dir'/],
    [{ config: { metrics: { listen: 'off' } } }, /\/config\/metrics\/listen must be equal/],
    [{ config: { runtimes: { cri: { socket: '/crio.sock' } } } }, /\/socket must match/],
    [
      { config: { metrics: { scrape_socket: '/s' } } },
      /\/config\/metrics\/scrape_socket boolean schema/,
    ],
    [{ metrics: { port: 0 } }, /\/metrics\/port must be >= 1/],
    [{ metrics: { podMonitor: { interval: 'often' } } }, /\/interval must match/],
    [{ env: [{ name: 'VARVEL_HOSTNAME', value: 'x' }] }, /\/env\/0\/name must NOT be valid/],
    [{ podLabels: { 'app.kubernetes.io/name': 'x' } }, /\/podLabels must NOT be valid/],
    [
      { metrics: { podMonitor: { labels: { 'app.kubernetes.io/name': 'x' } } } },
      /\/podMonitor\/labels must NOT be valid/,
    ],
    [
      { podAnnotations: { 'kubectl.kubernetes.io/default-container': 'x' } },
      /\/podAnnotations must NOT be valid/,
    ],
    [
      { env: [{ name: 'VARVEL_METRICS_SCRAPE_SOCKET', value: 'x' }] },
      /\/env\/0\/name must NOT be valid/,
    ],
    [{ podAnnotations: { 'checksum/config': 'x' } }, /\/podAnnotations must NOT be valid/],
    [{ updateStrategy: { rollingUpdate: { maxSurge: '1' } } }, /maxSurge must match/],
    [{ terminationGracePeriodSeconds: 0 }, /must be >= 1/],
  ];
  test('what no release can be made of is refused by the schema, by name', () => {
    for (const [values, says] of refusals)
      assert.match(renderChart(values).refused, says, JSON.stringify(values));
  });

  test('the example in the README is taken, also by the agent', () => {
    const [, text = ''] =
      readFileSync(join(CHART, 'README.md'), 'utf8').match(/```yaml\n([^]*?)```/) ?? [];
    const rendered = renderChart(parse(text) as object);
    assert.equal(rendered.refused, '');
    const { data, agent } = partsOf(rendered);
    const { config, warnings } = load(data);
    assert.deepEqual(warnings, []);
    const { tokenFile } = config.streams.http;
    mountOf(agent.volumeMounts, tokenFile!.replace(/\/[^/]+$/, ''));
  });
});

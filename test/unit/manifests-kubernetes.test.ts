import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { ConfigMap, ServiceAccount } from 'kubernetes-types/core/v1.d.ts';
import type { DaemonSet } from 'kubernetes-types/apps/v1.d.ts';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import { loadOptions } from '../../src/rules/configured-rules.ts';
import { parseCommand } from '../../src/cli/command-line.ts';
import { checkKubernetesObjects, type KubernetesObject } from '../support/kubernetes-types.ts';
import { checkPodMonitor, type PodMonitor } from '../support/pod-monitor.ts';

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'manifests/kubernetes');
/** Where the image has what the repository's folder has. */
const IN_IMAGE = '/opt/varvel/varvel';
const folder = mkdtempSync(join(tmpdir(), 'varvel-kubernetes-'));
after(() => rmSync(folder, { recursive: true }));

const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');
const objects = parseAllDocuments(read('varvel.yaml')).map((document) => {
  assert.deepEqual(document.errors, []);
  return document.toJS() as KubernetesObject['value'] & { apiVersion: string; kind: string };
});
const one = (kind: string): (typeof objects)[number] => {
  const found = objects.filter((object) => object.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0]!;
};
const typed = (value: (typeof objects)[number], patch = false): KubernetesObject => ({
  apiVersion: value.apiVersion,
  kind: value.kind,
  value,
  patch,
});

test('every object is one of Kubernetes’, field by field; a wrong name or value is noticed', () => {
  assert.deepEqual(
    objects.map(({ kind }) => kind),
    ['Namespace', 'ServiceAccount', 'ConfigMap', 'DaemonSet'],
  );
  const patches = ['korifi/watch-apps.yaml', 'enforce/rights.yaml', 'metrics/proxy.yaml'].map(
    (name) => parse(read(name)) as (typeof objects)[number],
  );
  const mistakes: [string, string, RegExp][] = [
    ['readOnlyRootFilesystem', 'readOnlyRootFileSystem', /readOnlyRootFileSystem/],
    ['"hostPID":true', '"hostPid":true', /hostPid/],
    ['"maxSurge"', '"maxsurge"', /maxsurge/],
    ['"periodSeconds":30', '"periodSeconds":"30s"', /string.*number/],
    ['"mountPath":"/etc/varvel"', '"path":"/etc/varvel"', /path|mountPath/],
    ['"selector":{', '"selektor":{', /selektor|selector/],
  ];
  const text = JSON.stringify(one('DaemonSet'));
  const spoiled = mistakes.map(([right, wrong]) => {
    assert.ok(text.includes(right), right);
    return typed(JSON.parse(text.replace(right, wrong)) as (typeof objects)[number]);
  });
  const ours = [
    ...objects.map((object) => typed(object)),
    ...patches.map((patch) => typed(patch, true)),
  ];
  const complaints = checkKubernetesObjects([...ours, ...spoiled]);
  assert.deepEqual(complaints.slice(0, ours.length).flat(), []);
  mistakes.forEach(([, wrong, complaint], nth) =>
    assert.match(complaints[ours.length + nth]!.join(), complaint, wrong),
  );
});

test('the configuration in the ConfigMap is one that the agent takes, with its rules, also as Korifi’s variant has it', () => {
  const { data = {} } = one('ConfigMap') as ConfigMap;
  assert.deepEqual(Object.keys(data), ['varvel.yaml', 'local_rules.yaml']);
  for (const [name, text] of Object.entries(data))
    writeFileSync(join(folder, name), text.replaceAll(IN_IMAGE, ROOT));
  const patch = parse(read('korifi/watch-apps.yaml')) as DaemonSet;
  const variables = patch.spec?.template.spec?.containers[0]?.env ?? [];
  const korifi = Object.fromEntries(variables.map(({ name, value = '' }) => [name, value]));
  for (const env of [{}, korifi]) {
    const { config, warnings } = loadConfig({ file: join(folder, 'varvel.yaml'), env });
    assert.deepEqual(warnings, []);
    const {
      errors,
      warnings: others,
      loadedRules,
    } = loadRules(config.rulesFiles.map(readRuleFile), loadOptions(config));
    assert.deepEqual([errors, others], [[], []]);
    assert.ok(loadedRules > 50);
    assert.equal(config.runtimes.cri.enabled, true);
    assert.deepEqual(
      [config.mode, config.runtimes.cri.apps],
      env === korifi ? ['always', 'korifi'] : ['opt-in', 'all'],
    );
  }
});

test('what the configuration names is mounted, and nothing more of the host; no token, no more rights than said', () => {
  const { spec } = one('DaemonSet') as DaemonSet;
  const pod = spec!.template.spec!;
  const [container, ...others] = pod.containers;
  assert.deepEqual(others, []);
  const mounts = new Map(container!.volumeMounts!.map((mount) => [mount.mountPath, mount]));
  const { config } = loadConfig({ file: join(folder, 'varvel.yaml'), env: {} });
  for (const path of [dirname(config.runtimes.cri.socket!), config.runDir, config.stateDir])
    assert.ok(mounts.has(path), path);
  assert.equal(config.runtimes.cri.stateDir, '/run/containerd');
  const ofHost = pod.volumes!.flatMap(({ name, hostPath }) =>
    hostPath ? [[name, hostPath.path]] : [],
  );
  assert.deepEqual(ofHost, [
    ['containerd', '/run/containerd'],
    ['cgroup', '/sys/fs/cgroup'],
    ['tracing', '/sys/kernel/tracing'],
  ]);
  const writable = [...mounts.values()].filter(({ readOnly }) => readOnly !== true);
  assert.deepEqual(
    writable.map(({ name }) => name),
    ['run', 'state', 'cgroup'],
  );
  assert.equal((one('ServiceAccount') as ServiceAccount).automountServiceAccountToken, false);
  assert.deepEqual(
    [pod.automountServiceAccountToken, pod.hostPID, pod.hostNetwork],
    [false, true, undefined],
  );
  const { securityContext, livenessProbe, readinessProbe, startupProbe } = container!;
  assert.deepEqual(securityContext!.capabilities, {
    drop: ['ALL'],
    add: ['BPF', 'PERFMON', 'SYS_PTRACE', 'DAC_READ_SEARCH'],
  });
  assert.deepEqual(
    [
      securityContext!.privileged,
      securityContext!.allowPrivilegeEscalation,
      securityContext!.readOnlyRootFilesystem,
    ],
    [false, false, true],
  );
  for (const probe of [livenessProbe, readinessProbe, startupProbe])
    assert.ok(probe?.exec?.command?.join(' ').includes(`${config.runDir}/metrics.sock`));
  assert.deepEqual(spec!.selector.matchLabels, spec!.template.metadata!.labels);
  for (const name of [
    'kustomization.yaml',
    ...['korifi', 'enforce', 'metrics'].map((it) => `${it}/kustomization.yaml`),
  ]) {
    const { resources, patches = [] } = parse(read(name)) as {
      resources: string[];
      patches?: { path: string }[];
    };
    for (const path of [...resources, ...patches.map((patch) => patch.path)])
      assert.ok(existsSync(join(FOLDER, dirname(name), path)), path);
  }
});

test('the rights to enforce are those of the manifest and more: a patch replaces the list of capabilities whole', () => {
  const [own] = (one('DaemonSet') as DaemonSet).spec!.template.spec!.containers;
  const [more] = (parse(read('enforce/rights.yaml')) as DaemonSet).spec!.template.spec!.containers;
  const added = ({ securityContext }: NonNullable<typeof own>): string[] =>
    securityContext!.capabilities!.add!;
  assert.deepEqual(added(more!), [...added(own!), 'KILL', 'NET_ADMIN']);
});

test('what Prometheus reaches has no rights, no folder but that of the socket, and is what the PodMonitor names', () => {
  const { spec } = parse(read('metrics/proxy.yaml')) as DaemonSet;
  const [agent, proxy] = spec!.template.spec!.containers;
  const { securityContext, volumeMounts, ports, args } = proxy!;
  assert.deepEqual(securityContext, {
    runAsUser: 65534,
    runAsGroup: 65534,
    runAsNonRoot: true,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  });
  assert.deepEqual(
    volumeMounts!.map(({ name, readOnly }) => [name, readOnly]),
    [['metrics', true]],
  );
  const env = Object.fromEntries(agent!.env!.map(({ name, value = '' }) => [name, value]));
  const { config, warnings } = loadConfig({ file: join(folder, 'varvel.yaml'), env });
  assert.deepEqual(warnings, []);
  const socket = config.metrics.scrapeSocket!.path;
  assert.equal(dirname(socket), volumeMounts![0]!.mountPath);
  assert.equal(dirname(socket), agent!.volumeMounts![0]!.mountPath);
  const [command, ...options] = args!;
  const { given } = parseCommand(command!, options);
  assert.equal(given.values['socket'], socket);
  assert.equal(given.values['listen'], `*:${ports![0]!.containerPort}`);
  const daemonSet = one('DaemonSet') as DaemonSet;
  assert.equal(proxy!.image, daemonSet.spec!.template.spec!.containers[0]!.image);
  const monitor = parse(read('metrics/podmonitor.yaml')) as PodMonitor;
  assert.equal(checkPodMonitor(monitor), '');
  assert.deepEqual(monitor.spec.selector, daemonSet.spec!.selector);
  assert.equal(monitor.spec.podMetricsEndpoints[0]!.port, ports![0]!.name);
  assert.match(checkPodMonitor({ ...monitor, spec: { selector: {} } }), /podMetricsEndpoints/);
});

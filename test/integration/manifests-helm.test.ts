// The chart in manifests/helm/varvel gives the same objects as manifests/kubernetes.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { DaemonSet } from 'kubernetes-types/apps/v1.d.ts';
import type { ConfigMap, Container, Volume } from 'kubernetes-types/core/v1.d.ts';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { CHART, partsOf, renderChart, type KubernetesValue } from '../support/helm-chart.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const ROOT = join(import.meta.dirname, '../..');
const KUBERNETES = join(ROOT, 'manifests/kubernetes');
const folder = temporaryFolder('varvel-manifests-');

const manifest = parseAllDocuments(readFileSync(join(KUBERNETES, 'varvel.yaml'), 'utf8')).map(
  (document) => document.toJS() as KubernetesValue,
);
const patch = (name: string): Container & { readonly volumes: readonly Volume[] } => {
  const { spec } = parse(readFileSync(join(KUBERNETES, name), 'utf8')) as DaemonSet;
  const { containers, volumes = [] } = spec!.template.spec!;
  return { ...containers[0]!, volumes };
};
const plain = partsOf(renderChart());

/** Without labels and annotations, and with the configuration as what it says. */
function compared(objects: readonly KubernetesValue[]): unknown {
  return objects
    .map((object) => {
      const text = JSON.stringify(object, (key, value: unknown) => {
        if (['labels', 'matchLabels', 'annotations'].includes(key)) return undefined;
        return key.endsWith('.yaml') ? (parse(value as string) as unknown) : value;
      });
      return JSON.parse(text) as KubernetesValue & { metadata: { name: string } };
    })
    .sort((one, other) => one.kind.localeCompare(other.kind));
}

/** The configuration of a release as the agent loads it. */
function load(
  data: Readonly<Record<string, string>>,
  env: Record<string, string> = {},
): LoadedConfig {
  for (const [name, text] of Object.entries(data)) writeFileSync(join(folder, name), text);
  return loadConfig({ file: join(folder, 'varvel.yaml'), env });
}

describe('the same as manifests/kubernetes', () => {
  test('with its default values the chart gives the same objects, but for the namespace, which the README has made', () => {
    const { objects, refused } = renderChart();
    assert.equal(refused, '');
    const [namespace, ...others] = manifest;
    assert.equal(namespace!.kind, 'Namespace');
    assert.deepEqual(compared(objects), compared(others));
    const { labels = {} } = (namespace as ConfigMap).metadata!;
    const readme = readFileSync(join(CHART, 'README.md'), 'utf8');
    const { notes } = renderChart();
    for (const [name, value] of Object.entries(labels))
      for (const text of [readme, notes]) assert.ok(text.includes(`${name}=${value}`), name);
  });

  test('a change in the manifest is noticed, of whatever kind', () => {
    const text = JSON.stringify(manifest.slice(1));
    for (const [is, becomes] of [
      ['"hostPID":true', '"hostPID":false'],
      ['"BPF",', '"BPF","SYS_ADMIN",'],
      ['mode: opt-in', 'mode: always'],
      ['"periodSeconds":30', '"periodSeconds":31'],
      ['"medium":"Memory",', ''],
    ] as const) {
      assert.ok(text.includes(is), is);
      const changed = JSON.parse(text.replace(is, becomes)) as KubernetesValue[];
      assert.notDeepEqual(compared(renderChart().objects), compared(changed), is);
    }
  });

  test('with "enforce" it gives what the variant adds, and no more', () => {
    const { agent, pod } = partsOf(renderChart({ enforce: true }));
    const more = patch('enforce/rights.yaml');
    assert.deepEqual(agent.securityContext, {
      ...plain.agent.securityContext,
      capabilities: {
        ...plain.agent.securityContext!.capabilities,
        ...more.securityContext!.capabilities,
      },
    });
    assert.deepEqual(agent.volumeMounts, [...plain.agent.volumeMounts!, ...more.volumeMounts!]);
    assert.deepEqual(pod.volumes, [...plain.pod.volumes!, ...more.volumes]);
  });

  test('with "metrics" it gives what that variant adds, and no more', () => {
    const rendered = renderChart({ metrics: { enabled: true, podMonitor: { enabled: true } } });
    const { agent, pod, daemonSet } = partsOf(rendered);
    const read = (name: string): unknown =>
      parse(readFileSync(join(KUBERNETES, 'metrics', name), 'utf8'));
    const { template } = (read('proxy.yaml') as DaemonSet).spec!;
    const [more, proxy] = template.spec!.containers;
    assert.deepEqual(pod.containers, [agent, proxy]);
    assert.deepEqual(agent, {
      ...plain.agent,
      env: [...plain.agent.env!, ...more!.env!],
      volumeMounts: [...plain.agent.volumeMounts!, ...more!.volumeMounts!],
    });
    assert.deepEqual(pod.volumes, [...plain.pod.volumes!, ...template.spec!.volumes!]);
    const { annotations } = daemonSet.spec!.template.metadata!;
    for (const [name, value] of Object.entries(template.metadata!.annotations!))
      assert.equal(annotations![name], value);
    const monitors = rendered.objects.filter(({ kind }) => kind === 'PodMonitor');
    assert.deepEqual(compared(monitors), compared([read('podmonitor.yaml') as KubernetesValue]));
  });

  test('Korifi’s values from the README give the configuration of the variant for Korifi', () => {
    const readme = readFileSync(join(CHART, 'README.md'), 'utf8');
    const said = readme.match(/`--set config\.mode=(\w+) --set config\.runtimes\.cri\.apps=(\w+)`/);
    const [, mode, apps] = said ?? assert.fail('the README has no values for Korifi');
    const values = { config: { mode, runtimes: { cri: { apps } } } };
    const variables = patch('korifi/watch-apps.yaml').env!;
    const env = Object.fromEntries(variables.map(({ name, value = '' }) => [name, value]));
    const ours = load(partsOf(renderChart(values)).data);
    assert.deepEqual(ours.warnings, []);
    assert.deepEqual(ours.config, load(plain.data, env).config);
  });
});

describe('the release', () => {
  test('its name is in the objects’, in a form that Kubernetes takes', () => {
    const names = (release: string): unknown[] =>
      renderChart({}, { release, namespace: 'guards' }).objects.map((object) => {
        const { metadata } = object as ConfigMap;
        assert.equal(metadata!.namespace, 'guards');
        assert.equal(metadata!.labels!['app.kubernetes.io/instance'], release);
        return metadata!.name;
      });
    assert.deepEqual(new Set(names('my-varvel')), new Set(['my-varvel']));
    assert.deepEqual(new Set(names('prod')), new Set(['prod-varvel']));
    // Helm takes 53 bytes at most.
    assert.ok(String(names('x'.repeat(53))[0]).length <= 63);
    // A name that YAML would take for a number.
    assert.deepEqual(new Set(names('1e3')), new Set(['1e3-varvel']));
  });

  test('its notes say how to see the agents, and to lift before an uninstall only where that matters', () => {
    const { notes } = renderChart({ config: { mode: 'always' } }, { namespace: 'guards' });
    assert.match(notes, /kubectl -n guards rollout status daemonset\/varvel/);
    assert.doesNotMatch(notes, /ask to be watched|uninstall/);
    const more = renderChart({ enforce: true }).notes;
    assert.match(more, /ask to be watched[^]*Before you uninstall/);
  });
});

describe('the chart', () => {
  test('it has the files and the fields that Helm wants, with the version of the agent', () => {
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, string>;
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    assert.deepEqual(
      [chart['apiVersion'], chart['name'], chart['type'], chart['version'], chart['appVersion']],
      ['v2', 'varvel', 'application', version, version],
    );
    assert.deepEqual(readdirSync(CHART).sort(), [
      '.helmignore',
      'Chart.yaml',
      'README.md',
      'templates',
      'values.schema.json',
      'values.yaml',
    ]);
  });

  test('what stands in for Helm notices a template that is wrong', () => {
    const spoiled = (name: string, text: string): string => {
      const chart = join(folder, name);
      cpSync(CHART, chart, { recursive: true });
      writeFileSync(join(chart, 'templates/more.yaml'), text);
      return chart;
    };
    for (const [name, text, says] of [
      ['parse', 'a: {{ .Values.x', /more\.yaml:1: unclosed action/],
      ['function', 'a: {{ nothing .Values }}', /function "nothing" not defined/],
      ['include', 'a: {{ include "varvel.nothing" . }}', /no template "varvel.nothing"/],
      ['nil', 'a: {{ .Values.x.y }}', /nil pointer evaluating/],
    ] as const)
      assert.throws(() => renderChart({}, { chart: spoiled(name, text) }), says, name);
    assert.throws(() => renderChart({}, { chart: spoiled('yaml', 'a: [') }), /more\.yaml/);
    const missing = spoiled('missing', 'apiVersion: v1\nkind: "{{ .Values.x }}"');
    assert.ok(renderChart({}, { chart: missing }).objects.some(({ kind }) => kind === ''));
  });
});

// The chart in manifests/helm/varvel, as Helm would render it: see helm-render.go for what stands in for Helm. Where VARVEL_TEST_HELM is the
// path of Helm's own program, that is asked too, and must agree in each object and each refusal. It tells the notes to a cluster only.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import type { DaemonSet } from 'kubernetes-types/apps/v1.d.ts';
import type { ConfigMap, Container, PodSpec } from 'kubernetes-types/core/v1.d.ts';
import { parseAllDocuments } from 'yaml';
import { temporaryFolder } from './temporary-folder.ts';

const ROOT = join(import.meta.dirname, '../..');
export const CHART = join(ROOT, 'manifests/helm/varvel');
/** Where Debian has the sources of Go's libraries. */
const GOPATH = '/usr/share/gocode';

export type KubernetesValue = object & { readonly apiVersion: string; readonly kind: string };

/** What a release is made of. */
export interface Rendered {
  readonly objects: readonly KubernetesValue[];
  readonly notes: string;
  /** What `values.schema.json` says against the values; empty: nothing. */
  readonly refused: string;
}

const folder = temporaryFolder('varvel-helm-');
const program = join(folder, 'render');
const helm = process.env['VARVEL_TEST_HELM'];
/** A Kubernetes that the chart is for: Helm's own default may be older. */
const KUBERNETES = '1.32.0';
let isBuilt = false;
const schema = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as object,
);

interface Release {
  readonly chart: string;
  readonly release: string;
  readonly namespace: string;
}

/** What `helm template RELEASE CHART -n NAMESPACE -f VALUES` gives. Throws what a template says against the values. */
export function renderChart(
  values: object = {},
  { chart = CHART, release = 'varvel', namespace = 'varvel' } = {},
): Rendered {
  const of = { chart, release, namespace };
  if (helm === undefined) return renderByStandIn(values, of);
  const byHelm = renderByHelm(helm, values, of);
  try {
    const rendered = renderByStandIn(values, of);
    const refused = rendered.refused === '' ? undefined : 'refused';
    assert.deepEqual(byHelm.objects ?? 'refused', refused ?? inOrder(rendered.objects));
    return rendered;
  } catch (error) {
    if (!(error instanceof assert.AssertionError)) assert.equal(byHelm.objects, undefined);
    throw error;
  }
}

/** The objects; undefined if it fails. */
function renderByHelm(
  path: string,
  values: object,
  { chart, release, namespace }: Release,
): { readonly objects: readonly KubernetesValue[] | undefined } {
  const file = join(folder, 'values.json');
  // Escaped: a U+0085 as it is would be a line break to YAML 1.1.
  const escaped = JSON.stringify(values).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writeFileSync(file, escaped);
  const { stdout, stderr, status } = spawnSync(
    path,
    ['template', release, chart, '-n', namespace, '-f', file, '--kube-version', KUBERNETES],
    { encoding: 'utf8', env: { ...process.env, HOME: folder } },
  );
  if (status !== 0) assert.match(stderr, /^Error: /m);
  return { objects: status === 0 ? inOrder(objectsOf(stdout, 'helm template')) : undefined };
}

const inOrder = (objects: readonly KubernetesValue[]): readonly KubernetesValue[] =>
  objects.toSorted((a, b) => (a.kind < b.kind ? -1 : 1));

function renderByStandIn(values: object, { chart, release, namespace }: Release): Rendered {
  if (!isBuilt) {
    const source = join(import.meta.dirname, 'helm-render.go');
    const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOPATH };
    execFileSync('go', ['build', '-o', program, source], { env });
    isBuilt = true;
  }
  const input = `${JSON.stringify({ chart, values, release, namespace })}\n`;
  const { stdout, stderr, status } = spawnSync(program, { input, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const {
    files = {},
    values: merged,
    error,
  } = JSON.parse(stdout) as {
    files?: Record<string, string>;
    values?: object;
    error?: string;
  };
  // Helm looks at these first, and renders nothing then.
  if (merged !== undefined && !schema(merged)) {
    const refused = schema.errors!.map(({ instancePath, message }) => `${instancePath} ${message}`);
    return { objects: [], notes: '', refused: refused.join('\n') };
  }
  if (error !== undefined) throw new Error(error);
  const { 'NOTES.txt': notes = '', ...manifests } = files;
  const objects = Object.entries(manifests).flatMap(([name, text]) => objectsOf(text, name));
  return { objects, notes, refused: '' };
}

/** Kubernetes reads YAML 1.1, with each key once. */
const objectsOf = (text: string, name: string): readonly KubernetesValue[] =>
  parseAllDocuments(text, { version: '1.1', uniqueKeys: true, merge: true }).flatMap((document) => {
    assert.deepEqual([document.errors, document.warnings], [[], []], name);
    const value = document.toJS() as KubernetesValue | null;
    return value === null ? [] : [value];
  });

/** The parts of a release that tests look at. */
export function partsOf({ objects }: Rendered): {
  readonly daemonSet: DaemonSet;
  readonly pod: PodSpec;
  readonly agent: Container;
  readonly data: Readonly<Record<string, string>>;
} {
  const one = (kind: string): KubernetesValue => {
    const found = objects.filter((object) => object.kind === kind);
    assert.equal(found.length, 1, kind);
    return found[0]!;
  };
  const daemonSet = one('DaemonSet') as DaemonSet;
  const pod = daemonSet.spec!.template.spec!;
  return { daemonSet, pod, agent: pod.containers[0]!, data: (one('ConfigMap') as ConfigMap).data! };
}

/** The values of both, with those of the other where both have one that is no map. */
export const mergedValues = (one: object, other: object): object =>
  Object.fromEntries(
    [...new Set([...Object.keys(one), ...Object.keys(other)])].map((key) => {
      const [a, b] = [one, other].map((from) => (from as Record<string, unknown>)[key]);
      const areMaps = [a, b].every(
        (it) => typeof it === 'object' && it !== null && !Array.isArray(it),
      );
      return [key, areMaps ? mergedValues(a as object, b as object) : (b ?? a)];
    }),
  );

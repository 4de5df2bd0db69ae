// The chart in manifests/helm/varvel, as Helm would render it: see helm-render.go for what stands in for Helm.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
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

const program = join(temporaryFolder('varvel-helm-'), 'render');
let isBuilt = false;
const schema = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as object,
);

/** What `helm template RELEASE CHART -n NAMESPACE -f VALUES` gives. Throws what a template says against the values. */
export function renderChart(
  values: object = {},
  { chart = CHART, release = 'varvel', namespace = 'varvel' } = {},
): Rendered {
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
  const objects = Object.entries(manifests).flatMap(([name, text]) =>
    // Kubernetes reads YAML 1.1, with each key once.
    parseAllDocuments(text, { version: '1.1', uniqueKeys: true, merge: true }).flatMap(
      (document) => {
        assert.deepEqual([document.errors, document.warnings], [[], []], name);
        const value = document.toJS() as KubernetesValue | null;
        return value === null ? [] : [value];
      },
    ),
  );
  return { objects, notes, refused: '' };
}

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

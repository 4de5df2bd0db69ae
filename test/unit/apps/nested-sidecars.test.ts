import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NestedSidecars } from '../../../src/apps/nested-sidecars.ts';
import type { Process } from '../../../src/context/process.ts';
import { CONTAINER, makeProcess } from '../../support/rules-subject.ts';

const inside = (nestedCgroup: string | undefined): Process => ({ ...makeProcess(), nestedCgroup });

test('a container is shown with the sidecar that the process is of, as one object for each', () => {
  const sidecars = new NestedSidecars((_, path) => path.split('/').at(-1) || undefined);
  const container = { ...CONTAINER };
  assert.equal(sidecars.containerOf(container, inside(undefined)), container);
  assert.equal(sidecars.containerOf(container, inside('/h/')), container);
  const envoy = sidecars.containerOf(container, inside('/h/envoy'));
  assert.deepEqual(envoy, { ...container, sidecar: 'envoy' });
  assert.equal(sidecars.containerOf(container, inside('/h/envoy')), envoy);
  // A cgroup beside the container's says more.
  const check = { ...container, sidecar: 'liveness-healthcheck-0' };
  assert.equal(sidecars.containerOf(check, inside('/h/envoy')), check);
});

test('of more than 64 sidecars in one container the others pass as its own', () => {
  const sidecars = new NestedSidecars((_, path) => path);
  const container = { ...CONTAINER };
  const shown = Array.from({ length: 70 }, (_, n) =>
    sidecars.containerOf(container, inside(`s${n}`)),
  );
  assert.deepEqual(
    shown.map(({ sidecar }) => sidecar),
    Array.from({ length: 70 }, (_, n) => (n < 64 ? `s${n}` : undefined)),
  );
});

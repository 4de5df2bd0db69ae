import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopePatterns } from '../../../src/apps/scope-patterns.ts';
import { UserError } from '../../../src/shared/user-error.ts';

const told = (patterns: ReturnType<typeof scopePatterns>): string[] =>
  patterns.map(({ runtime, prefix, leafPrefix, handle }) =>
    [runtime, prefix, leafPrefix, handle].join(' '),
  );

test('nothing is configured: no patterns', () => {
  assert.deepEqual(scopePatterns({}), []);
});

test('what the operator named comes first, then Docker, Garden and Kubernetes, each with its own places', () => {
  const patterns = scopePatterns({
    cgroups: [{ pattern: '/mine/app-*.service', app: 'mine' }],
    garden: { socketPath: '/run/g.sock', cgroupParents: ['/system.slice/runit.service/garden'] },
    docker: { socketPath: '/run/d.sock', cgroupParents: ['/apps'] },
  });
  assert.deepEqual(told(patterns), [
    'cgroup /mine/ app- any',
    'docker /docker/  hex64',
    'docker /system.slice/ docker- hex64',
    'docker /apps/  hex64',
    'garden /garden/ good none',
    'garden /garden/ bad none',
    'garden /garden/good/  any',
    'garden /garden/bad/  any',
    'garden /garden/  any',
    'garden /system.slice/runit.service/garden/ good none',
    'garden /system.slice/runit.service/garden/ bad none',
    'garden /system.slice/runit.service/garden/good/  any',
    'garden /system.slice/runit.service/garden/bad/  any',
    'garden /system.slice/runit.service/garden/  any',
  ]);
});

test('Kubernetes, with a kubelet that has a root of its own', () => {
  const patterns = scopePatterns({
    cri: { socketPath: '/run/c.sock', cgroupParents: ['/kubelet/kubepods'] },
  });
  assert.deepEqual(told(patterns), [
    'cri /kubepods/  hex64',
    'cri /kubepods.slice/ cri-containerd- hex64',
    'cri /kubepods.slice/ crio- hex64',
    'cri /kubepods.slice/ docker- hex64',
    'cri /kubelet/kubepods/  hex64',
    'cri /kubelet/kubepods/ cri-containerd- hex64',
    'cri /kubelet/kubepods/ crio- hex64',
  ]);
});

test('what cannot be a pattern, and more than the probe takes, are sentences', () => {
  const cgroups = Array.from({ length: 17 }, (_, index) => ({ pattern: `/parent-${index}/*` }));
  const fails = (config: Parameters<typeof scopePatterns>[0], says: RegExp): void =>
    assert.throws(
      () => scopePatterns(config),
      (error: unknown) => error instanceof UserError && says.test(error.message),
    );
  fails({ cgroups }, /17 cgroup patterns; the probe takes 16/);
  fails({ cgroups: [{ pattern: 'relative/*' }] }, /"relative\/\*"/);
  fails({ garden: { socketPath: '/g', cgroupParents: ['/a/*'] } }, /\/a\/\*/);
});

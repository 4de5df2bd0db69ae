import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compilePattern,
  CRI_PATTERNS,
  criPatterns,
  DOCKER_PATTERNS,
  dockerParentPattern,
  GARDEN_PATTERNS,
  leadsToPattern,
  matchPath,
  PODMAN_PATTERNS,
} from '../../../src/apps/patterns.ts';
import type { ScopePattern } from '../../../src/probe/scope.ts';
import { UserError } from '../../../src/shared/user-error.ts';

const ID = '0123456789abcdef'.repeat(4);
const OTHER = 'f'.repeat(64);

function match(patterns: readonly ScopePattern[], path: string) {
  const found = matchPath(patterns, path);
  return found === undefined ? undefined : [found.handle, found.rootPath];
}

test('docker: both cgroup drivers, and nothing that only resembles them', () => {
  assert.deepEqual(match(DOCKER_PATTERNS, `/docker/${ID}`), [ID, `/docker/${ID}`]);
  const scope = `/system.slice/docker-${ID}.scope`;
  assert.deepEqual(match(DOCKER_PATTERNS, scope), [ID, scope]);
  for (const path of [
    '/',
    '/docker',
    '/docker/',
    `/docker/${ID.slice(1)}`,
    `/docker/${ID}0`,
    `/docker/${ID.toUpperCase()}`,
    `/docker/buildkit/${ID}`,
    `/x/docker/${ID}`,
    `/dockerx/${ID}`,
    `/system.slice/docker-${ID}.scope2`,
    `/system.slice/xdocker-${ID}.scope`,
    `/user.slice/docker-${ID}.scope`,
    '/system.slice/docker-.scope',
    '/system.slice/docker.service',
  ]) {
    assert.equal(match(DOCKER_PATTERNS, path), undefined, path);
  }
});

test('the outermost match decides', () => {
  const root = `/docker/${ID}`;
  for (const nested of [
    `${root}/docker/${OTHER}`,
    `${root}/${OTHER}`,
    `${root}/system.slice/docker-${OTHER}.scope`,
    `${root}/a/b/c/docker/${OTHER}`,
  ]) {
    assert.deepEqual(match(DOCKER_PATTERNS, nested), [ID, root]);
  }
});

test('podman: the container, not its monitor', () => {
  assert.deepEqual(match(PODMAN_PATTERNS, `/machine.slice/libpod-${ID}.scope/container`), [
    ID,
    `/machine.slice/libpod-${ID}.scope`,
  ]);
  assert.equal(match(PODMAN_PATTERNS, `/machine.slice/libpod-conmon-${ID}.scope`), undefined);
});

test('kubernetes: at any depth below its root', () => {
  const pod = '/kubepods/burstable/pod3f2c5a4e-0000-0000-0000-000000000000';
  assert.deepEqual(match(CRI_PATTERNS, `${pod}/${ID}`), [ID, `${pod}/${ID}`]);
  assert.equal(match(CRI_PATTERNS, pod), undefined);
  const slice = '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice';
  assert.deepEqual(match(CRI_PATTERNS, `${slice}/cri-containerd-${ID}.scope`), [
    ID,
    `${slice}/cri-containerd-${ID}.scope`,
  ]);
  assert.deepEqual(match(CRI_PATTERNS, `${slice}/crio-${ID}.scope/init`)?.[0], ID);
});

test('kubernetes: below another root of the kubelet’s, by both drivers', () => {
  const pod = '/kubelet/kubepods/besteffort/pod3f2c5a4e';
  assert.deepEqual(match(criPatterns('/kubelet/kubepods'), `${pod}/${ID}`)?.[0], ID);
  assert.equal(match(CRI_PATTERNS, `${pod}/${ID}`), undefined);
  const root = '/kubelet.slice/kubelet-kubepods.slice';
  const slice = `${root}/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod1.slice`;
  for (const prefix of ['cri-containerd-', 'crio-'])
    assert.equal(match(criPatterns(root), `${slice}/${prefix}${ID}.scope`)?.[0], ID);
  for (const wrong of ['kubepods', '/kube*', '/kubepods/', '/a/../b'])
    assert.throws(() => criPatterns(wrong), /The Kubernetes cgroup ".*" must be an absolute path/);
});

test('garden: good and bad hold containers and are none', () => {
  assert.deepEqual(match(GARDEN_PATTERNS, '/garden/h1/init'), ['h1', '/garden/h1']);
  assert.deepEqual(match(GARDEN_PATTERNS, '/garden/good/h1/init'), ['h1', '/garden/good/h1']);
  assert.deepEqual(match(GARDEN_PATTERNS, '/garden/bad/h1'), ['h1', '/garden/bad/h1']);
  assert.equal(match(GARDEN_PATTERNS, '/garden/good'), undefined);
  assert.equal(match(GARDEN_PATTERNS, '/garden/bad'), undefined);
  assert.deepEqual(match(GARDEN_PATTERNS, '/garden/goodness'), ['goodness', '/garden/goodness']);
  assert.deepEqual(match(GARDEN_PATTERNS, '/garden/ba'), ['ba', '/garden/ba']);
  assert.deepEqual(match(GARDEN_PATTERNS, '/garden/h1/good/h2'), ['h1', '/garden/h1']);
});

test('a docker cgroup parent: a path, a bare name, a slice', () => {
  assert.deepEqual(match([dockerParentPattern('/apps')], `/apps/${ID}`)?.[0], ID);
  assert.deepEqual(match([dockerParentPattern('apps')], `/apps/${ID}`)?.[0], ID);
  const slice = dockerParentPattern('apps-web.slice');
  assert.equal(slice.prefix, '/apps.slice/apps-web.slice/');
  assert.deepEqual(match([slice], `/apps.slice/apps-web.slice/docker-${ID}.scope`)?.[0], ID);
  assert.throws(() => dockerParentPattern(`/${'x'.repeat(80)}`), UserError);
});

test('patterns from the configuration', () => {
  assert.deepEqual(compilePattern('/demo/*'), {
    prefix: '/demo/',
    leafPrefix: '',
    handle: 'any',
    leafSuffix: '',
    deep: false,
  });
  assert.deepEqual(match([compilePattern('/a/b/web-*.scope')], '/a/b/web-1.scope/x'), [
    '1',
    '/a/b/web-1.scope',
  ]);
  assert.equal(match([compilePattern('/a/b/web-*.scope')], '/a/b/web-.scope'), undefined);
  const deep = [compilePattern('/a/**/x-*')];
  assert.deepEqual(match(deep, '/a/x-1'), ['1', '/a/x-1']);
  assert.deepEqual(match(deep, '/a/b/c/x-1'), ['1', '/a/b/c/x-1']);
  assert.equal(match(deep, '/b/x-1'), undefined);
});

test('a bad pattern is a sentence with its place', () => {
  const position = { file: 'varvel.yml', line: 3, column: 7 };
  const bad: [string, RegExp][] = [
    ['demo/*', /must start with "\/"/],
    ['/*', /must name a cgroup above/],
    ['/**/*', /must name a cgroup above/],
    ['/demo/x', /must have one "\*" in its last component/],
    ['/demo/*-*', /must have one "\*"/],
    ['/de*mo/*', /only in its last component/],
    ['/demo//*', /must not have empty/],
    ['/demo/../*', /must not have empty, "\." or "\.\."/],
    [`/${'é'.repeat(31)}/*`, /more than 63 bytes/],
    [`/demo/${'x'.repeat(32)}*`, /more than 31 bytes/],
    ['/de\nmo/*', /control characters/],
    ['', /must start with/],
  ];
  for (const [text, message] of bad) {
    assert.throws(
      () => compilePattern(text, position),
      (error: unknown) => {
        assert.ok(error instanceof UserError, text);
        assert.match(error.message, message);
        assert.match(error.toDisplay(), /^varvel\.yml:3:7: The cgroup pattern "/);
        return true;
      },
    );
  }
  assert.equal(compilePattern(`/${'x'.repeat(61)}/*`).prefix.length, 63);
});

test('the walk goes where a pattern can match, and nowhere else', () => {
  assert.equal(leadsToPattern(GARDEN_PATTERNS, '/garden'), true);
  assert.equal(leadsToPattern(GARDEN_PATTERNS, '/garden/good'), true);
  assert.equal(leadsToPattern(GARDEN_PATTERNS, '/gard'), false);
  assert.equal(leadsToPattern(CRI_PATTERNS, '/kubepods/burstable/pod1'), true);
  assert.equal(leadsToPattern(DOCKER_PATTERNS, '/system.slice/ssh.service'), false);
});

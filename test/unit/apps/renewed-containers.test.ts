import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerRegistry, IDENTITY_MEMORY_MS } from '../../../src/apps/container-registry.ts';
import { GARDEN_PATTERNS, matchPath } from '../../../src/apps/patterns.ts';
import { containerFromProperties } from '../../../src/apps/runtimes/garden-identity.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { propertiesOf } from '../../support/garden-server.ts';
import { MemoryScopeMap } from '../../support/memory-scope-map.ts';

/** A registry for a runtime whose handles come again for other containers. */
function world() {
  const map = new MemoryScopeMap();
  const time = { nowMs: 0 };
  const lookups: string[] = [];
  const renewed: string[] = [];
  const registry = new ContainerRegistry({
    scopeMap: map,
    logger: SILENT_LOGGER,
    nowMs: () => time.nowMs,
    match: (path) => {
      const match = matchPath(GARDEN_PATTERNS, path);
      return match && { runtime: 'garden', handle: match.handle, rootPath: match.rootPath };
    },
    keyOf: (_, { handle }) => handle.replace('-check', ''),
    sidecarOf: (_, { handle }) => (handle.endsWith('-check') ? 'check' : undefined),
    renew: (_, key) => renewed.push(key) > 0,
    lookup: (_, cgroup) => lookups.push(cgroup.path),
  });
  return {
    map,
    time,
    lookups,
    renewed,
    registry,
    mkdir: (cgroupId: number, path: string): void => {
      map.set(cgroupId, 'pending');
      registry.found(cgroupId, path);
    },
    say: (handle: string, guid: string): void => {
      const { container } = containerFromProperties(handle, propertiesOf({ guid }));
      registry.decide('garden', handle, { state: 'included', container, reason: 'A test.' });
    },
    guidOf: (cgroupId: number): string | undefined => {
      const resolution = registry.resolve(cgroupId);
      return resolution.state === 'included' ? resolution.container.app?.guid : resolution.state;
    },
  };
}

test('a container’s second cgroup is the same container, also when the first one has gone since', () => {
  const { registry, mkdir, say, guidOf, renewed, map } = world();
  mkdir(10, '/garden/good/h');
  say('h', 'app-1');
  mkdir(11, '/garden/bad/h');
  assert.deepEqual([guidOf(10), guidOf(11)], ['app-1', 'app-1']);
  assert.equal(map.get(11)?.state, 'included');
  registry.remove(10);
  mkdir(12, '/garden/h');
  assert.equal(guidOf(12), 'app-1');
  assert.deepEqual(renewed, []);
});

test('what is said while several are pending is about all of them', () => {
  const { mkdir, say, guidOf, lookups } = world();
  mkdir(10, '/garden/good/h');
  mkdir(11, '/garden/bad/h');
  assert.deepEqual(lookups, ['/garden/good/h', '/garden/bad/h']);
  say('h', 'app-1');
  assert.deepEqual([guidOf(10), guidOf(11)], ['app-1', 'app-1']);
});

test('a handle that comes again is asked for anew, and the one before stays what it was', () => {
  const { registry, mkdir, say, guidOf, renewed, lookups } = world();
  mkdir(10, '/garden/h');
  say('h', 'app-1');
  registry.remove(10);
  mkdir(20, '/garden/h');
  assert.deepEqual(renewed, ['h']);
  assert.deepEqual([guidOf(10), guidOf(20)], ['app-1', 'pending']);
  assert.equal(lookups.length, 2);
  say('h', 'app-2');
  assert.deepEqual([guidOf(10), guidOf(20)], ['app-1', 'app-2']);
  assert.deepEqual(
    registry.entries().map(({ cgroupId, goneAtMs }) => [cgroupId, goneAtMs]),
    [
      [10, 0],
      [20, undefined],
    ],
  );
});

test('one that went before it was named never gets the name of the next', () => {
  const { registry, mkdir, say, guidOf } = world();
  mkdir(10, '/garden/h');
  registry.remove(10);
  mkdir(20, '/garden/h');
  say('h', 'app-2');
  assert.deepEqual([guidOf(10), guidOf(20)], ['pending', 'app-2']);
  assert.equal(registry.counters().pending, 1);
});

test('a name that comes after the cgroup has gone is its own while no other has come', () => {
  const { registry, mkdir, say, guidOf } = world();
  mkdir(10, '/garden/h');
  registry.remove(10);
  say('h', 'app-1');
  assert.equal(guidOf(10), 'app-1');
  mkdir(20, '/garden/h');
  assert.equal(guidOf(20), 'pending');
});

test('the same path with another id is another container, told of its predecessor’s end or not', () => {
  const { registry, mkdir, say, guidOf, map } = world();
  mkdir(10, '/garden/good/h');
  mkdir(11, '/garden/bad/h');
  say('h', 'app-1');
  mkdir(20, '/garden/good/h');
  assert.deepEqual([guidOf(10), guidOf(20)], ['app-1', 'pending']);
  assert.equal(map.get(10), undefined);
  // The other cgroup is there still: it is the new container's, once that is known.
  say('h', 'app-2');
  assert.deepEqual([guidOf(10), guidOf(11), guidOf(20)], ['app-1', 'app-2', 'app-2']);
  assert.equal(registry.hasCgroup('garden', 'h'), true);
});

test('nor does it come back when everything of the one before has been forgotten', () => {
  for (const destroyed of [true, false]) {
    const { registry, mkdir, say, guidOf, time } = world();
    mkdir(10, '/garden/h');
    say('h', 'app-1');
    registry.remove(10);
    time.nowMs += IDENTITY_MEMORY_MS - 1;
    if (destroyed) registry.destroyed('garden', 'h');
    time.nowMs += 1;
    registry.sweep();
    assert.equal(guidOf(10), 'unknown');
    mkdir(20, '/garden/h');
    assert.equal(guidOf(20), 'pending');
  }
});

test('what a list said before the first cgroup came counts at once', () => {
  const { mkdir, say, guidOf, lookups } = world();
  say('h', 'app-1');
  mkdir(10, '/garden/h');
  assert.equal(guidOf(10), 'app-1');
  assert.deepEqual(lookups, []);
});

test('a cgroup beside a container’s own is that container’s, and says which part of it', () => {
  const { registry, mkdir, say, guidOf, renewed, lookups } = world();
  const sidecarOf = (cgroupId: number): string | undefined => {
    const resolution = registry.resolve(cgroupId);
    assert.ok(resolution.state === 'included');
    return resolution.container.sidecar;
  };
  mkdir(10, '/garden/h');
  say('h', 'app-1');
  mkdir(11, '/garden/h-check');
  assert.deepEqual(lookups, ['/garden/h'], 'nobody is asked again');
  assert.deepEqual([guidOf(11), sidecarOf(10), sidecarOf(11)], ['app-1', undefined, 'check']);
  // It comes again at the same place: it is no other container for that.
  registry.remove(11);
  mkdir(12, '/garden/h-check');
  assert.deepEqual([guidOf(10), guidOf(12), renewed], ['app-1', 'app-1', []]);
  registry.remove(10);
  registry.remove(12);
  mkdir(13, '/garden/h');
  assert.deepEqual([guidOf(13), renewed], ['pending', ['h']], 'the handle is another’s');
});

test('a sidecar that is found before its container waits for the same answer', () => {
  const { mkdir, say, guidOf } = world();
  mkdir(11, '/garden/h-check');
  mkdir(10, '/garden/h');
  say('h', 'app-1');
  assert.deepEqual([guidOf(10), guidOf(11)], ['app-1', 'app-1']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_BATCH, MAX_INQUIRIES } from '../../../../src/apps/runtimes/inquiries.ts';
import { propertiesOf, type Misbehaviour } from '../../../support/garden-server.ts';
import { bulk, stage } from './garden-fixture.ts';

test('a burst of containers is asked for in few questions, each handle once', async (t) => {
  const { server, described, lookup, until } = await stage(t);
  const handles = Array.from({ length: 200 }, (_, at) => `h-${at}`);
  for (const [at, handle] of handles.entries())
    server.create(handle, propertiesOf({ guid: `app-${at}` }));
  for (const handle of handles) lookup(handle);
  await until('all are described', () => described.size === 200);
  const questions = bulk(server);
  assert.equal(questions.length, Math.ceil(200 / MAX_BATCH));
  assert.deepEqual(questions.flat().sort(), [...handles].sort());
  for (const [at, handle] of handles.entries())
    assert.equal(described.get(handle)?.app?.guid, `app-${at}`);
});

test('a container that is being made is told when it is complete, not before', async (t) => {
  const { server, described, lookup, until } = await stage(t);
  lookup('h');
  await until('it was asked for', () => bulk(server).length > 0);
  server.begin('h');
  const all = Object.entries({ ...propertiesOf({ guid: 'app-1' }), 'garden.state': 'created' });
  // Each wait is twice the one before: some at once, and the last one alone.
  const last = all.findIndex(([name]) => name === 'network.container_workload');
  for (const some of [all.slice(0, 2), all.slice(2, last), all.slice(last, last + 1)]) {
    const asked = bulk(server).length;
    await until('asked again', () => bulk(server).length > asked);
    assert.equal(described.size, 0);
    for (const [name, value] of some) server.set('h', name, value);
  }
  await until('described', () => described.has('h'));
  assert.equal(described.get('h')?.app?.guid, 'app-1');
});

test('one that Garden never completes is told after a while, without an app', async (t) => {
  const { server, described, warnings, lookup, until } = await stage(t, { patienceMs: 200 });
  server.begin('h');
  server.set('h', 'executor:owner', 'executor');
  lookup('h');
  await until('described', () => described.has('h'));
  assert.equal(described.get('h')?.app, undefined);
  assert.match(described.get('h')?.doubt ?? '', /no log_config/);
  assert.deepEqual(warnings.filter((text) => /not certain/.test(text)).length, 1);
});

test('one that Garden does not know is asked for with back-off, then said to be unknown', async (t) => {
  const { server, notFound, lookup, until } = await stage(t, { patienceMs: 300 });
  lookup('h');
  await until('not found', () => notFound.length > 0);
  assert.deepEqual(notFound, ['h']);
  // 50, 100, 200 ms: no more than these in 300 ms.
  assert.ok(bulk(server).length <= 5, `${bulk(server).length} questions`);
});

test('a cgroup that has gone is not asked for again', async (t) => {
  const { server, cgroups, lookup, runtime, until } = await stage(t);
  server.misbehaviour = 'status 500';
  lookup('h');
  cgroups.delete('h');
  await until('it failed', () => runtime.counters().failures === 1);
  server.misbehaviour = undefined;
  lookup('next');
  await until('the next is asked for', () => bulk(server).flat().includes('next'));
  assert.deepEqual(bulk(server).filter((handles) => handles.includes('h')).length, 1);
});

test('Garden answers nonsense: nothing is thrown or told, one warning, and it is asked again until it is sane', async (t) => {
  const wrongs: Misbehaviour[] = [
    'no JSON',
    'huge',
    'wrong types',
    'other handles',
    'status 500',
    'hangs up',
    'never answers',
  ];
  for (const wrong of wrongs) {
    await t.test(wrong, async (sub) => {
      const { server, runtime, described, destroyed, notFound, warnings, lookup, until } =
        await stage(sub, { requestTimeoutMs: 400 });
      server.create('h', propertiesOf({ guid: 'app-1' }));
      server.create('quiet', propertiesOf({ guid: 'app-2' }));
      // To a busy machine an answer within 0.4 s may not be possible each time.
      for (let tries = 1; !described.has('quiet') && tries <= 20; tries++)
        await runtime.reconcile();
      assert.equal(described.get('quiet')?.app?.guid, 'app-2');
      described.clear();
      server.misbehaviour = wrong;
      const asked = bulk(server).length;
      lookup('h');
      await until('asked three times', () => bulk(server).length >= asked + 3);
      await runtime.reconcile();
      assert.equal(described.has('h'), false);
      assert.deepEqual(notFound, []);
      const said = warnings.filter((text) => /gave no usable answer/.test(text));
      assert.ok(said.length <= 1, said.join(' | '));
      if (wrong !== 'other handles') assert.deepEqual(destroyed, []);
      server.misbehaviour = undefined;
      await until('described', () => described.has('h'));
      assert.equal(described.get('h')?.app?.guid, 'app-1');
    });
  }
});

test('one container that spoils every answer does not keep the others from theirs', async (t) => {
  const { server, runtime, described, lookup, until } = await stage(t);
  const handles = Array.from({ length: 20 }, (_, at) => `h-${at}`);
  for (const handle of handles) server.create(handle, propertiesOf({ guid: `app-of-${handle}` }));
  server.spoilers.add('h-7');
  for (const handle of handles) lookup(handle);
  await until('the others are described', () => described.size === 19);
  assert.equal(described.has('h-7'), false);
  described.clear();
  await runtime.reconcile();
  await until('the others are described again', () => described.size === 19);
  server.spoilers.clear();
  await until('all are described', () => described.size === 20);
  const { questions, failures } = runtime.counters();
  assert.ok(failures > 0 && failures < questions);
  const told = `${failures} of ${questions} questions had no usable answer.`;
  assert.ok(runtime.status().message.endsWith(told), runtime.status().message);
  assert.deepEqual(runtime.status().counters, runtime.counters());
});

test('more containers than can wait to be asked for are counted, and said', async (t) => {
  const { runtime, lookup } = await stage(t, {}, false);
  for (let at = 0; at < MAX_INQUIRIES + 7; at++) lookup(`h-${at}`);
  assert.equal(runtime.counters().refused, 7);
  assert.match(runtime.status().message, /7 times too many containers waited to be asked for\.$/);
});

test('Garden is down at the start, comes, goes, and comes again', async (t) => {
  const { server, runtime, described, warnings, lookup, until } = await stage(t, {}, false);
  assert.equal(runtime.status().connected, false);
  assert.match(
    runtime.status().message,
    /^There is no Garden socket at .*: start Garden, or set runtimes\.garden\.socket/,
  );
  lookup('h');
  await delay(700);
  assert.equal(warnings.length, 1, 'said once, not at each attempt');
  server.create('h', propertiesOf({ guid: 'app-1' }));
  await server.start();
  await until('connected', () => runtime.status().connected);
  await until('described', () => described.get('h')?.app?.guid === 'app-1');
  await server.stop();
  server.create('later', propertiesOf({ guid: 'app-2' }));
  lookup('later');
  await until('the loss is noticed', () => !runtime.status().connected);
  await server.start();
  await until('described', () => described.get('later')?.app?.guid === 'app-2');
  await until('connected again', () => runtime.status().connected);
  assert.match(runtime.status().message, /^Connected to Garden at /);
});

test('containers that are below no pattern are named as the problem that they are', async (t) => {
  const { server, runtime, warnings, cgroups } = await stage(t, { cgroupParents: ['/a/garden'] });
  server.create('h', propertiesOf({ guid: 'app-1' }));
  await runtime.reconcile();
  assert.deepEqual(warnings, [], 'it may be gone, or its cgroup not seen yet');
  await runtime.reconcile();
  await runtime.reconcile();
  const told = /none of its 1 containers is below \/garden or \/a\/garden, so none is watched: set/;
  assert.equal(warnings.filter((text) => told.test(text)).length, 1);
  assert.match(runtime.status().message, told);
  cgroups.add('h');
  await runtime.reconcile();
  assert.match(runtime.status().message, /^Connected to Garden at [^,]*\.$/);
});

test('a cgroup whose name cannot be a handle is refused, not asked for', async (t) => {
  const { server, refused, lookup } = await stage(t);
  for (const name of ['a,b', 'a b', '../x', 'x'.repeat(256), 'ä', '-']) lookup(name);
  assert.equal(refused.length, 6);
  assert.deepEqual(bulk(server), []);
});

test('a cgroup inside a container’s is of a sidecar, by the handle and a name, or by whatever name it has', async (t) => {
  const { runtime } = await stage(t);
  const nested = (path: string): unknown => runtime.nestedSidecarOf('h-1', path);
  assert.equal(nested('/garden/h-1/h-1-envoy'), 'envoy');
  assert.equal(nested('/a/garden/good/h-1/h-1-envoy/init'), 'envoy');
  assert.equal(nested('/garden/h-1/39a1f037-fc2b'), '39a1f037-fc2b');
  assert.equal(nested('/garden/h-1/h-1-'), undefined);
  assert.equal(nested('/garden/h-1/'), undefined);
  assert.equal(nested('/garden/h-10/h-10-envoy'), undefined);
  // On cgroup v2 the container's own processes are in there.
  assert.equal(nested('/garden/h-1/init'), undefined);
  assert.equal(nested('/garden/good/h-1/init'), undefined);
  // Rules may trust health checks, whose cgroups are beside the app's.
  assert.equal(nested('/garden/h-1/liveness-healthcheck-0'), undefined);
  assert.equal(nested('/garden/h-1/h-1-envoy-startup-healthcheck-0'), undefined);
});

test('cgroups of sidecars beside a container are its own: Garden is asked for the container alone', async (t) => {
  const { server, runtime, described, lookup, until, cgroups } = await stage(t);
  const handle = '0f1e2d3c-aaaa-4bbb-8ccc-1234';
  const partOf = (name: string): unknown => {
    const cgroup = { cgroupId: 1, path: `/garden/${name}`, handle: name };
    return [runtime.keyOf(cgroup), runtime.sidecarOf(cgroup)];
  };
  for (const sidecar of [
    'envoy',
    'liveness-healthcheck-0',
    'startup-healthcheck-0',
    'readiness-healthcheck-12',
    'envoy-startup-healthcheck-3',
  ]) {
    assert.deepEqual(partOf(`${handle}-${sidecar}`), [handle, sidecar]);
  }
  for (const other of [
    handle,
    'executor-healthcheck-5b1c',
    'executor-healthcheck-5',
    'envoy',
    `${handle}-check-1`,
  ]) {
    assert.deepEqual(partOf(other), [other, undefined]);
  }
  server.create(handle, propertiesOf({ guid: 'app' }));
  cgroups.add(handle);
  lookup(`${handle}-liveness-healthcheck-0`);
  await until('the container is described', () => described.has(handle));
  assert.deepEqual(bulk(server), [[handle]]);
});

test('in churn, where each list has other containers, nobody is told that Garden is elsewhere', async (t) => {
  const { server, runtime, warnings } = await stage(t);
  for (let round = 0; round < 5; round++) {
    server.create(`h-${round}`, propertiesOf({ guid: 'app-1' }));
    await runtime.reconcile();
    server.destroy(`h-${round}`);
  }
  assert.deepEqual(warnings, []);
  assert.match(runtime.status().message, /^Connected to Garden at [^,]*\.$/);
});

test('Diego’s own containers, which are no app’s, are described without a warning', async (t) => {
  const { server, runtime, warnings, described, cgroups } = await stage(t);
  for (const handle of ['executor-healthcheck-1f2e', 'rootfs-c-9', 'half']) cgroups.add(handle);
  server.create('executor-healthcheck-1f2e', { 'executor:owner': 'executor' });
  server.create('rootfs-c-9', {});
  await runtime.reconcile();
  assert.deepEqual(
    [...described.values()].map(({ app }) => app),
    [undefined, undefined],
  );
  assert.deepEqual(warnings, []);
  server.create('half', { log_config: '{"guid":"g"}' });
  await runtime.reconcile();
  assert.equal(warnings.filter((text) => /app is not certain/.test(text)).length, 1);
});

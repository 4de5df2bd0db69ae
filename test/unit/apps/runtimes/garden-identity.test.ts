import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBulkInfo, parseHandles } from '../../../../src/apps/runtimes/garden-answers.ts';
import type { Container } from '../../../../src/apps/identity.ts';
import { containerFromProperties } from '../../../../src/apps/runtimes/garden-identity.ts';
import { AppWishes, decideScope } from '../../../../src/apps/opt-in.ts';
import { propertiesOf } from '../../../support/garden-server.ts';

const HANDLE = 'a1b2c3d4-0000-4000-8000-0123';
const of = (properties: Record<string, unknown>) =>
  containerFromProperties(HANDLE, { 'garden.state': 'created', ...properties });
const withLogConfig = (change: Record<string, unknown>) => {
  const properties = propertiesOf({ guid: 'app-1' });
  const logConfig = JSON.parse(properties['log_config']!) as Record<string, unknown>;
  return of({ ...properties, log_config: JSON.stringify({ ...logConfig, ...change }) });
};

test('an app’s container: names from its tags, the guid from both, the handle as its id', () => {
  const { container, unfinished } = of(propertiesOf({ guid: 'app-1', index: 3 }));
  assert.equal(unfinished, false);
  assert.equal(container.doubt, undefined);
  const { app } = container;
  assert.deepEqual(
    { ...app, tags: { ...app?.tags } },
    {
      name: 'name-of-app-1',
      guid: 'app-1',
      space: 'dev',
      org: 'acme',
      processType: 'web',
      instance: '3',
      tags: {
        app_id: 'app-1',
        app_name: 'name-of-app-1',
        space_id: 'space-guid',
        space_name: 'dev',
        organization_id: 'org-guid',
        organization_name: 'acme',
        process_id: 'app-1',
        process_type: 'web',
      },
    },
  );
  assert.deepEqual(
    [container.id, container.fullId, container.name, container.runtime, container.initPid],
    [HANDLE, HANDLE, HANDLE, 'garden', 0],
  );
  assert.equal(container.privileged, undefined);
  assert.equal(container.labels['network.container_workload'], 'app');
});

test('a task and a staging show as such; without names the ids stand for them', () => {
  for (const workload of ['task', 'staging'] as const) {
    const { container } = of(propertiesOf({ guid: 'app-1', workload }));
    assert.equal(container.app?.processType, workload);
    assert.equal(container.labels['network.container_workload'], workload);
  }
  const bare = withLogConfig({ tags: null }).container.app;
  assert.deepEqual([bare?.name, bare?.space, bare?.org], ['app-1', 'space-guid', 'org-guid']);
  assert.deepEqual({ ...bare?.tags }, {});
});

test('whoever the platform names twice must be the same, or the container is nobody’s', () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ guid: 'app-2' }, /log_config says that it is the app app-2, its network\.app_id says app-1/],
    [{ guid: 'app-1 ' }, /says that it is the app app-1 ,/],
    [{ guid: undefined }, /no usable guid/],
    [{ guid: 7 }, /no usable guid/],
    [{ guid: ['app-1'] }, /no usable guid/],
    [{ guid: '' }, /no usable guid/],
    [{ guid: 'app-1\n' }, /no usable guid/],
    [{ tags: { app_id: 'app-2' } }, /tag app_id says app-2, its network\.app_id says app-1/],
    [{ tags: { space_id: 'x' } }, /tag space_id says x/],
    [{ tags: { organization_id: 'x' } }, /tag organization_id says x/],
  ];
  for (const [change, doubt] of cases) {
    const { container } = withLogConfig(change);
    assert.equal(container.app, undefined, JSON.stringify(change));
    assert.match(container.doubt ?? '', doubt);
    assert.equal(container.id, HANDLE);
  }
  for (const logConfig of ['', '{', 'null', '[]', '"x"', 7, {}, `"${'x'.repeat(70_000)}"`]) {
    const { container } = of({ ...propertiesOf({ guid: 'app-1' }), log_config: logConfig });
    assert.equal(container.app, undefined);
    assert.match(container.doubt ?? '', /log_config/);
  }
  for (const appId of [undefined, 7, '', 'x'.repeat(300)]) {
    const { container } = of({ ...propertiesOf({ guid: 'app-1' }), 'network.app_id': appId });
    assert.equal(container.app, undefined);
    assert.match(container.doubt ?? '', /no usable network\.app_id/);
  }
});

test('a container that is being made is not finished; without Garden’s last word neither is one that lacks something', () => {
  const all = propertiesOf({ guid: 'app-1' });
  assert.equal(containerFromProperties(HANDLE, {}).unfinished, true);
  assert.equal(containerFromProperties(HANDLE, all).unfinished, false);
  for (const name of Object.keys(all).filter((key) => /log_config|_id$|workload/.test(key))) {
    if (name === 'network.policy_group_id') continue;
    const part = { ...all, [name]: undefined };
    assert.equal(containerFromProperties(HANDLE, part).unfinished, true, name);
    assert.equal(of(part).unfinished, false, name);
  }
});

test('an instance is an index; what is none is absent', () => {
  const cases: [unknown, string | undefined][] = [
    [0, '0'],
    [12, '12'],
    ['4', '4'],
    [-1, undefined],
    [1.5, undefined],
    [1e300, undefined],
    [null, undefined],
    [{}, undefined],
  ];
  for (const [index, instance] of cases)
    assert.equal(withLogConfig({ index }).container.app?.instance, instance);
});

test('tags are bounded, and the platform’s own come first', () => {
  const own = JSON.parse(propertiesOf({ guid: 'app-1' })['log_config']!) as {
    tags: Record<string, string>;
  };
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`tag-${at}`, 'x']));
  const { container } = withLogConfig({
    tags: { ...many, broken: 'a\nb', number: 7, long: 'x'.repeat(300), ...own.tags, varvel: 'on' },
  });
  const { app } = container;
  assert.equal(app?.name, 'name-of-app-1');
  assert.equal(Object.keys(app.tags ?? {}).length, 64);
  for (const name of [...Object.keys(own.tags), 'varvel']) assert.ok(app.tags?.[name]);
  for (const name of ['broken', 'number', 'long']) assert.equal(app.tags?.[name], undefined);
  assert.equal(decideScope('opt-in', container).inScope, true);
  const forged = withLogConfig({ tags: { 'network.container_workload': 'staging' } }).container;
  assert.equal(forged.labels['network.container_workload'], 'app');
  const strange = JSON.parse('{"tags": {"__proto__": "x", "constructor": "y"}}') as object;
  assert.equal(withLogConfig({ ...strange }).container.app?.tags?.['constructor'], 'y');
});

test('the label asks and refuses, as on any runtime, also where the identity is in doubt', () => {
  const scope = (mode: 'opt-in' | 'opt-out' | 'always', varvel?: string, guid = 'app-1') =>
    decideScope(
      mode,
      withLogConfig({ guid, tags: varvel === undefined ? {} : { varvel } }).container,
    );
  assert.equal(scope('opt-in').inScope, false);
  assert.match(scope('opt-in').reason, /no label metric\.tag\.cloudfoundry\.org\/varvel=on/);
  assert.equal(scope('opt-in', 'on').inScope, true);
  assert.equal(scope('opt-in', 'ON').inScope, true);
  assert.equal(scope('opt-in', 'on', 'app-2').inScope, true);
  assert.equal(scope('opt-in', 'off').inScope, false);
  assert.match(scope('opt-in', 'true').reason, /neither "on" nor "off"/);
  assert.equal(scope('opt-out').inScope, true);
  assert.equal(scope('opt-out', 'off').inScope, false);
  assert.equal(scope('always', 'off').inScope, true);
});

test('staging can be left out, by the platform’s word alone', () => {
  const of = (workload: 'app' | 'task' | 'staging', more: object = {}) =>
    containerFromProperties('h', { ...propertiesOf({ guid: 'g', workload }), ...more }).container;
  const inScope = (container: Container, staging?: 'exclude' | 'watch'): boolean =>
    decideScope('always', container, { staging }).inScope;
  assert.equal(inScope(of('staging'), 'exclude'), false);
  assert.match(
    decideScope('always', of('staging'), { staging: 'exclude' }).reason,
    /runtimes\.garden\.staging: exclude/,
  );
  assert.equal(inScope(of('staging'), 'watch'), true);
  assert.equal(inScope(of('app'), 'exclude'), true);
  assert.equal(inScope(of('task'), 'exclude'), true);
  // Whoever names a process type or a label cannot leave himself out.
  const named = withLogConfig({
    source_name: 'APP/PROC/STAGING',
    tags: { process_type: 'staging', 'network.container_workload': 'staging' },
  }).container;
  assert.equal(inScope(named, 'exclude'), true);
  // Cells that do not tell the workload name staging by its log.
  const old = (source: string): Container => {
    const log = JSON.stringify({ guid: 'g', index: 0, source_name: source, tags: {} });
    const told = { ...propertiesOf({ guid: 'g' }), log_config: log };
    Reflect.deleteProperty(told, 'network.container_workload');
    return containerFromProperties('h', told).container;
  };
  assert.equal(inScope(old('STG'), 'exclude'), false);
  assert.equal(inScope(old('APP/PROC/WEB'), 'exclude'), true);
  assert.equal(old('STG').app?.guid, 'g', 'its log is the app’s');
});

test('a task asks as the instances of its app do, the last time that one was seen', () => {
  const wishes = new AppWishes();
  const instance = (varvel?: string, guid = 'g'): Container =>
    containerFromProperties(
      'h',
      propertiesOf({ guid, tags: varvel === undefined ? {} : { varvel } }),
    ).container;
  const task = containerFromProperties(
    't',
    propertiesOf({ guid: 'g', workload: 'task' }),
  ).container;
  const decide = (mode: 'opt-in' | 'opt-out' = 'opt-in') =>
    decideScope(mode, task, { asksElsewhere: wishes.of(task) });
  assert.match(decide().reason, /^It is a task without a policy, and no instance of its app/);
  wishes.note(instance('on', 'another'));
  wishes.note(task);
  assert.equal(decide().inScope, false);
  wishes.note(instance('on'));
  assert.deepEqual(decide(), {
    inScope: true,
    reason: 'It is a task, and its app’s label metric.tag.cloudfoundry.org/varvel is "on".',
  });
  wishes.note(instance('off'));
  assert.deepEqual([decide().inScope, decide('opt-out').inScope], [false, false]);
  wishes.note(instance());
  assert.deepEqual([decide().inScope, decide('opt-out').inScope], [false, true]);
  assert.equal(decideScope('opt-in', task, { file: 'enabled' }).inScope, true);
});

test('answers: lists, and one container’s part of a bulk_info', () => {
  assert.deepEqual(parseHandles({ Handles: ['a', 'b-1'] }), ['a', 'b-1']);
  assert.deepEqual(parseHandles({ Handles: null }), []);
  assert.deepEqual(parseHandles({ Handles: ['a,b', '', 7, '../x', 'ok', 'x'.repeat(300)] }), [
    'ok',
  ]);
  for (const wrong of [null, [], 'x', {}, { Handles: {} }, { handles: [] }])
    assert.equal(parseHandles(wrong), undefined);
  const info = { State: 'active', Properties: { a: 'b' } };
  assert.deepEqual(parseBulkInfo({ h: { Info: info, Err: null } }, 'h'), {
    state: 'known',
    properties: { a: 'b' },
  });
  const none = { Properties: null };
  assert.deepEqual(parseBulkInfo({ h: { Info: none } }, 'h'), { state: 'known', properties: {} });
  assert.equal(
    parseBulkInfo({ h: { Info: info, Err: { Message: 'unknown handle: h' } } }, 'h')?.state,
    'unknown',
  );
  for (const entry of [7, null, [], {}, { Info: 'x' }, { Info: { Properties: [] } }])
    assert.equal(parseBulkInfo({ h: entry }, 'h')?.state, 'nonsense');
  assert.equal(parseBulkInfo({ other: { Info: info, Err: null } }, 'h')?.state, 'nonsense');
  assert.equal(parseBulkInfo({}, 'constructor')?.state, 'nonsense');
  for (const wrong of [null, [], 'x', 7]) assert.equal(parseBulkInfo(wrong, 'h'), undefined);
});

test('whatever the properties are, nothing is thrown, and an app’s guid is what both say', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('app-1', 'app-2'), fc.json());
  const logConfig = fc.oneof(
    text,
    fc.record({ guid: fc.oneof(text, fc.jsonValue()), tags: fc.jsonValue() }).map((value) => {
      return JSON.stringify(value);
    }),
  );
  fc.assert(
    fc.property(
      fc.oneof(logConfig, fc.jsonValue()),
      fc.oneof(text, fc.jsonValue()),
      (log_config, appId) => {
        const { container } = of({ log_config, 'network.app_id': appId });
        if (container.app === undefined) {
          assert.match(container.doubt ?? '', /^[A-Z].*\.$/s);
          return;
        }
        assert.equal(container.app.guid, appId);
        assert.equal((JSON.parse(log_config as string) as { guid: unknown }).guid, appId);
      },
    ),
  );
});
